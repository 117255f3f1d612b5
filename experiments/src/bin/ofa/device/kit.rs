//! Question: how fast is each network of a space on a device that has none of our code?
//!
//! Command:  `ofa device kit --run runs/mine --networks 200 --out kit`; then, on the device, `python3 kit/run.py`; then
//!           `ofa device read kit kit/results.csv --out phone.csv`
//! Result:   a directory of ONNX models of random networks, with a script that times them
//! Hardware: any; the kit needs Python with onnxruntime

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use clap::Args;
use experiments::console::say;
use experiments::machine::latency_device::on_noise;
use experiments::options::int8::Int8Options;
use experiments::run::run_dir::ensure_new;
use experiments::tables::kit::{Kit, Models, archs, write};
use experiments::tables::measured::SpaceOrRun;
use ofa_model::{Arch, ONNX_INPUT, OnnxForm, Quantization, Supernet, SupernetConfig, write_directory};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::path::PathBuf;

/// Writes random networks of a space as ONNX models, with a script that times them on any device.
#[derive(Args)]
#[command(after_help = "Example: ofa device kit --run runs/mine --networks 200 --out kit")]
pub struct Options {
    #[command(flatten)]
    space: SpaceOrRun,
    /// Number of networks; `ofa device read` says whether they were enough
    #[arg(long, default_value_t = 200)]
    networks: usize,
    /// Images per forward pass
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Leaves the batch size of the models open; they are timed at --batch
    #[arg(long)]
    free_batch: bool,
    /// Operator set of the ONNX models: runtimes that are older need a lower one
    #[arg(long, default_value_t = 18, value_parser = clap::value_parser!(u8).range(12..=18))]
    opset: u8,
    #[command(flatten)]
    int8: Int8Options,
    /// Seed of the networks and their weights
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Directory to create
    #[arg(long)]
    out: PathBuf,
}

pub fn run(options: &Options) -> Result<()> {
    ensure_new(&options.out)?;
    let (count, least) = (options.networks, Kit::LEAST);
    ensure!(count >= least, "--networks is {count}: a latency table takes at least {least}");
    let space = options.space.space()?;
    let rng = &mut ChaCha8Rng::seed_from_u64(options.seed);
    let archs = archs(&space, count, || space.sample(rng))?;
    let supernet = SupernetConfig::new(space.clone())?.with_seed(options.seed).init(&Device::flex());
    let form = OnnxForm { opset: options.opset, batch: (!options.free_batch).then_some(options.batch.into()) };
    let mut written = None;
    write_directory(&options.out, |dir| -> Result<()> {
        let export = |arch: &Arch| export(&supernet, arch, &form, options.int8.settings());
        let said = |number: usize| {
            if number.is_multiple_of(50) {
                say(&format!("{number} of {count} networks"));
            }
        };
        written = Some(write(dir, &space, archs, (options.batch.into(), options.opset, ONNX_INPUT), export, said)?);
        Ok(())
    })
    .with_context(|| format!("cannot write {}", options.out.display()))?;
    let out = options.out.display();
    if let Some(kit) = written {
        let both = if options.int8.settings().is_some() { ", each also in 8-bit integers," } else { "" };
        say(&format!("kit {} with {count} networks of `{}`{both} in {out}", kit.id, space.name));
    }
    say(&format!(
        "copy it to the device; there: python3 {out}/run.py; then bring {out}/results.csv back; here: ofa device read \
         {out} {out}/results.csv --out FILE"
    ));
    Ok(())
}

fn export(supernet: &Supernet, arch: &Arch, form: &OnnxForm, int8: Option<Quantization>) -> Result<Models> {
    let (subnet, noise) = on_noise(supernet.subnet(arch));
    let int8 = int8.map(|settings| {
        let settings = Quantization { images: settings.images.min(noise.dims()[0]), ..settings };
        subnet.quantize([&noise], &settings)?.to_onnx_as(form)
    });
    Ok(Models { float: subnet.fold().to_onnx_as(form)?, int8: int8.transpose()? })
}
