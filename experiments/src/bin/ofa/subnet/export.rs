//! Exports a subnet for other tools: weights that the original's static net loads, an ONNX model and a model card.
//!
//! Command:  `ofa subnet export runs/<run>/subnets/<scenario> --out DIR`
//!           `ofa subnet export runs/<run> --arch r28-.. --out DIR`, calibrated on the run's images
//!           `ofa subnet export SUPERNET_DIR --arch r224-.. --calibrate IMAGES.safetensors --out DIR`
//! Result:   `weights.safetensors` (PyTorch's keys), `model.onnx` (any batch size unless `--fixed-batch`), `card.json`;
//!           with `--int8` also `model_int8.onnx`

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use clap::Args;
use experiments::bench::tensor_file::{ensure_resolution, read_images};
use experiments::config::ExperimentConfig;
use experiments::console::say;
use experiments::deployment::model_card::{ModelCard, imagenet_card};
use experiments::deployment::specialise;
use experiments::machine::device;
use experiments::options::arch::read_arch;
use experiments::options::int8::Int8Options;
use experiments::run::images::Images;
use experiments::run::run_dir::RunDir;
use experiments::run::supernet_file::{self, SUPERNET};
#[cfg(feature = "onnx")]
use ofa_model::OnnxForm;
use ofa_model::{Quantization, QuantizedSubnet, Subnet, SubnetCard, Supernet, write_directory, write_state_dict};
use ofa_train::Evaluator;
use std::path::{Path, PathBuf};

/// Exports a subnet for other tools: weights that the original's static net loads, an ONNX model and a model card.
#[derive(Args)]
#[command(after_help = "Example: ofa subnet export runs/mine/subnets/latency-tight --out exported")]
pub struct Options {
    /// Directory of a subnet; or, with --arch, of a run or a supernet
    network: PathBuf,
    /// Subnet of the run or supernet: text form, file or directory of a subnet
    #[arg(long)]
    arch: Option<String>,
    /// Calibrates batch-norm statistics on the `images` of this .safetensors file [default: training images of the
    /// run, or the existing statistics of a subnet or of a supernet without a run]
    #[arg(long)]
    calibrate: Option<PathBuf>,
    /// Operator set of the ONNX model, from 12: runtimes that are older need a lower one
    #[arg(long, default_value_t = 18, value_parser = clap::value_parser!(u8).range(12..=18))]
    opset: u8,
    /// Batch size of the ONNX model [default: any, chosen when it runs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    fixed_batch: Option<u16>,
    #[command(flatten)]
    int8: Int8Options,
    /// Directory to create
    #[arg(long)]
    out: PathBuf,
    /// Device, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
}

pub fn run(options: &Options) -> Result<()> {
    let out = &options.out;
    ensure!(!out.exists(), "{} exists already; choose another --out", out.display());
    let device = device::by_name(&options.device)?;
    let (mut subnet, card, measured) = open(options, &device)?;
    if let Some(file) = &options.calibrate {
        let images = read_images(file, subnet.space(), &device)?;
        ensure_resolution(file, &images, subnet.arch().resolution)?;
        subnet = subnet.calibrate([&images]);
    }
    // With new statistics it is no longer the network that was measured.
    let measured = measured.filter(|_| options.calibrate.is_none());
    let card = ModelCard::new(&subnet, &card, measured)?;
    let quantised =
        options.int8.settings().map(|settings| quantised(&subnet, options, settings, &device)).transpose()?;
    write_directory(out, |unfinished| -> Result<()> {
        write_state_dict(&unfinished.join("weights.safetensors"), &subnet.to_original())?;
        std::fs::write(unfinished.join("card.json"), serde_json::to_string_pretty(&card)?)?;
        write_onnx(&subnet, quantised.as_ref(), options, unfinished)
    })
    .with_context(|| format!("cannot write {}", out.display()))?;
    say(&format!("{} with {} parameters in {}", card.arch, card.cost.parameters, out.display()));
    Ok(())
}

/// The subnet, its card, and the directory that may hold its measurements.
fn open<'a>(options: &'a Options, device: &Device) -> Result<(Subnet, SubnetCard, Option<&'a Path>)> {
    let network = &options.network;
    match (&options.arch, Supernet::is_saved_in(network) || RunDir::holds_run(network)) {
        (Some(arch), true) => {
            let (subnet, card) = choose(arch, options, device)?;
            Ok((subnet, card, None))
        }
        (None, true) => bail!("{} holds a supernet: choose a subnet of it with --arch", network.display()),
        (Some(_), false) => bail!("{} holds no supernet for --arch to choose from", network.display()),
        (None, false) => {
            let (subnet, card) = Subnet::load(network, device)?;
            Ok((subnet, card, Some(network)))
        }
    }
}

/// A subnet of a run, calibrated on the run's images; or of a supernet without a run, with its existing statistics.
fn choose(arch: &str, options: &Options, device: &Device) -> Result<(Subnet, SubnetCard)> {
    // `runs/<run>/supernet` counts as the run itself, whose images are known.
    let of_run =
        options.network.parent().filter(|parent| options.network.ends_with(SUPERNET) && RunDir::holds_run(parent));
    let opened = supernet_file::open(of_run.unwrap_or(&options.network), device)?;
    let arch = read_arch(arch, opened.supernet.space(), None)?;
    let supernet = &opened.supernet.with_resolution(arch.resolution);
    if let Some(config) = &opened.config {
        let images = Images::load(config, None)?;
        let subnet = images.validation(config, device).calibrated(supernet, &arch)?;
        return Ok((subnet, specialise::card(&images, supernet.space(), &arch)));
    }
    let subnet = supernet.subnet(&arch);
    ensure!(
        options.calibrate.is_some() || has_statistics(&subnet),
        "the batch norms of {} have no statistics yet: supply images with --calibrate",
        options.network.display()
    );
    let card = imagenet_card(&subnet);
    Ok((subnet, card))
}

/// The subnet in 8-bit integers: ranges are calibrated on the images of `--calibrate`, else on those of its run.
fn quantised(subnet: &Subnet, options: &Options, settings: Quantization, device: &Device) -> Result<QuantizedSubnet> {
    if let Some(file) = &options.calibrate {
        let images = read_images(file, subnet.space(), device)?;
        let settings = Quantization { images: settings.images.min(images.dims()[0]), ..settings };
        return Ok(subnet.quantize([&images], &settings)?);
    }
    // A subnet of a run is in `subnets/NAME`, a supernet in `supernet`.
    let run = options.network.ancestors().take(3).find(|dir| RunDir::holds_run(dir)).with_context(|| {
        format!(
            "--int8 needs images to calibrate ranges on, and {} is of no run: supply some with --calibrate",
            options.network.display()
        )
    })?;
    let (_, text) = RunDir::open(run)?;
    let config = ExperimentConfig::parse(&text).with_context(|| run.join("config.toml").display().to_string())?;
    let images = Images::load(&config, None)?;
    let set = images.splits.train.subset(settings.images, config.seed);
    let normalisation = images.splits.normalisation();
    Ok(Evaluator::new(set.clone(), set, config.tables.batch_size, &normalisation, device)
        .quantized(subnet, &settings)?)
}

/// Whether any batch norm has running statistics: training leaves all running means at 0.
fn has_statistics(subnet: &Subnet) -> bool {
    let tensors = subnet.to_original();
    tensors.iter().any(|(key, mean)| key.ends_with("running_mean") && mean.iter::<f32>().any(|mean| mean != 0.0))
}

#[cfg(feature = "onnx")]
fn write_onnx(subnet: &Subnet, quantised: Option<&QuantizedSubnet>, options: &Options, dir: &Path) -> Result<()> {
    let form = OnnxForm { opset: options.opset, batch: options.fixed_batch.map(usize::from) };
    if let Some(quantised) = quantised {
        std::fs::write(dir.join("model_int8.onnx"), quantised.to_onnx_as(&form)?)?;
    }
    Ok(std::fs::write(dir.join("model.onnx"), subnet.fold().to_onnx_as(&form)?)?)
}

#[cfg(not(feature = "onnx"))]
fn write_onnx(_: &Subnet, _: Option<&QuantizedSubnet>, _: &Options, _: &Path) -> Result<()> {
    say("no model.onnx: build with `--features onnx` to export it");
    Ok(())
}
