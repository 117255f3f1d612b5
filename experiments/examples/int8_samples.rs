//! Writes quantised subnets as ONNX models, each with images and the logits that we simulate for them.
//!
//! Command:  `cargo run --release --example int8_samples -- DIR`
//! Result:   directories with `model.onnx` and `expected.safetensors`, for `experiments/python/check_int8.py`: subnets of
//!           a trained supernet on all 10,000 test images of Fashion-MNIST, and random ones of every family on noise

use anyhow::{Context, Result};
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use experiments::run::images::Images;
use experiments::run::supernet_file;
use ofa_data::evaluation_batches;
use ofa_model::{
    ActivationFormat, Arch, OnnxForm, Quantization, RangeRule, SearchSpace, Subnet, SupernetConfig, write_state_dict,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// A run with a trained supernet.
const RUN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/records/2026-11-26-thorough");
/// Training images that ranges are calibrated on.
const CALIBRATION: usize = 256;
/// Images of noise, for networks without training.
const NOISE: usize = 16;

fn main() -> Result<()> {
    let dir = std::env::args().nth(1).context("missing argument: the directory to write to")?;
    let (dir, device) = (Path::new(&dir), Device::flex());
    let forms = [
        ("asymmetric", Quantization::default(), OnnxForm::default()),
        (
            "symmetric",
            Quantization { activations: ActivationFormat::Symmetric, weight_bits: 8, ..Quantization::default() },
            OnnxForm { opset: 13, batch: None },
        ),
        (
            "percentile",
            Quantization { range: RangeRule::Percentile(99.99), weight_bits: 8, ..Quantization::default() },
            OnnxForm { opset: 16, batch: None },
        ),
    ];
    golden(dir, &device)?;
    trained(dir, &device, &forms)?;
    random(dir, &device, &forms)
}

/// The network of `ofa-model/src/quantized/tests.rs`, whose logits are kept there.
fn golden(dir: &Path, device: &Device) -> Result<()> {
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let supernet = SupernetConfig::new(space.clone())?.with_seed(2).init(device);
    let shape = [4, 1, 20, 20];
    let numbers: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let images = Tensor::<4>::from_data(TensorData::new(numbers, shape), device);
    let subnet = supernet.subnet(&space.smallest()).calibrate([&images]);
    let settings = Quantization { images: 4, ..Quantization::default() };
    let images = std::slice::from_ref(&images);
    sample(&dir.join("golden"), &subnet, images, images, None, &settings, &OnnxForm::default())
}

/// The smallest, the largest and a random subnet of a trained supernet.
fn trained(dir: &Path, device: &Device, forms: &[(&str, Quantization, OnnxForm)]) -> Result<()> {
    let opened = supernet_file::open(Path::new(RUN), device)?;
    let config = opened.config.context("the record of a run has its configuration")?;
    let images = Images::load(&config, None)?;
    let mut evaluator = images.test(&config, device);
    let space = opened.supernet.space();
    let archs = [
        ("smallest", space.smallest()),
        ("random", space.sample(&mut ChaCha8Rng::seed_from_u64(1))),
        ("largest", space.largest()),
    ];
    for (name, arch) in archs {
        let subnet = evaluator.calibrated(&opened.supernet, &arch)?;
        let calibration = images.splits.train.subset(CALIBRATION, 1);
        let batches = |set| evaluation_batches(set, arch.resolution, 200, &images.splits.normalisation(), device);
        let calibration: Vec<Tensor<4>> =
            batches(&calibration)?.map(|batch| Ok(batch?.images)).collect::<Result<_>>()?;
        let (mut all, mut labels) = (Vec::new(), Vec::new());
        for batch in batches(&images.splits.test)? {
            let batch = batch?;
            labels.push(batch.labels.float());
            all.push(batch.images);
        }
        let labels = Tensor::cat(labels, 0).into_data();
        for (form, settings, onnx) in forms {
            let dir = dir.join(format!("trained-{name}-{form}"));
            sample(&dir, &subnet, &calibration, &all, Some(labels.clone()), settings, onnx)?;
        }
    }
    Ok(())
}

/// Random subnets of every family, calibrated on noise.
fn random(dir: &Path, device: &Device, forms: &[(&str, Quantization, OnnxForm)]) -> Result<()> {
    device.seed(1);
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let at = |space: SearchSpace, size| SearchSpace { resolutions: vec![size], ..space };
    let spaces = [
        at(SearchSpace::mobilenet_v3(1.0, 10), 72),
        at(SearchSpace::proxyless_nas(1.3, 10), 64),
        at(SearchSpace::resnet50d(10), 72),
    ];
    for space in spaces {
        let supernet = SupernetConfig::new(space.clone())?.with_seed(1).init(device);
        let arch: Arch = space.sample(rng);
        let noise = |n| {
            let shape = [n, space.image_channels, arch.resolution, arch.resolution];
            Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), device)
        };
        let subnet = supernet.subnet(&arch).calibrate([&noise(NOISE)]);
        let (calibration, images) = (noise(NOISE), noise(8));
        for (form, settings, onnx) in forms {
            let settings = &Quantization { images: NOISE, ..*settings };
            let dir = dir.join(format!("{}-{form}", space.name));
            sample(
                &dir,
                &subnet,
                std::slice::from_ref(&calibration),
                std::slice::from_ref(&images),
                None,
                settings,
                onnx,
            )?;
        }
    }
    Ok(())
}

fn sample(
    dir: &Path,
    subnet: &Subnet,
    calibration: &[Tensor<4>],
    images: &[Tensor<4>],
    labels: Option<TensorData>,
    settings: &Quantization,
    form: &OnnxForm,
) -> Result<()> {
    let quantised = subnet.quantize(calibration, settings)?;
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("model.onnx"), quantised.to_onnx_as(form)?)?;
    let logits = |infer: &dyn Fn(Tensor<4>) -> Tensor<2>| {
        Tensor::cat(images.iter().map(|batch| infer(batch.clone())).collect(), 0).into_data()
    };
    let mut tensors = vec![
        ("images".to_owned(), Tensor::cat(images.to_vec(), 0).into_data()),
        ("simulated".to_owned(), logits(&|batch| quantised.infer(batch))),
        ("float".to_owned(), logits(&|batch| subnet.infer(batch))),
    ];
    tensors.extend(labels.map(|labels| ("labels".to_owned(), labels)));
    Ok(write_state_dict(&dir.join("expected.safetensors"), &tensors)?)
}
