//! Writes ONNX models of random subnets of every family, each with images and our logits for them.
//!
//! Command:  `cargo run --release --example onnx_samples -- DIR`
//! Result:   32 directories (random subnets, and one in older operator sets and with a fixed batch) with `model.onnx` and `expected.safetensors`, for `experiments/python/check_onnx.py`

use anyhow::{Context, Result};
use burn::tensor::{Device, Distribution, Tensor};
use ofa_model::{Arch, OnnxForm, SearchSpace, Supernet, SupernetConfig, write_state_dict};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::path::Path;

const SUBNETS: usize = 5;
/// Operator sets and batch sizes besides the default.
const FORMS: [(u8, Option<usize>); 3] = [(12, None), (12, Some(3)), (16, Some(3))];
/// Small for speed; 72 gives odd-sized maps after some strides.
const SIZES: [usize; 2] = [64, 72];

fn main() -> Result<()> {
    let dir = std::env::args().nth(1).context("missing argument: the directory to write to")?;
    let device = Device::flex();
    device.seed(1);
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let at = |space: SearchSpace, resolutions: &[usize]| SearchSpace { resolutions: resolutions.to_vec(), ..space };
    let spaces = [
        at(SearchSpace::mobilenet_v3(1.0, 10), &SIZES),
        at(SearchSpace::proxyless_nas(1.3, 10), &SIZES),
        at(SearchSpace::resnet50d(10), &SIZES),
        at(SearchSpace::small_mobilenet_v3(1, 10), &[20, 28]),
    ];
    for space in spaces {
        let supernet = SupernetConfig::new(space)?.with_seed(1).init(&device);
        for number in 0..SUBNETS {
            let arch = supernet.space().sample(rng);
            sample(
                &supernet,
                &arch,
                &OnnxForm::default(),
                &Path::new(&dir).join(format!("{}-{number}", supernet.space().name)),
            )?;
        }
        let arch = supernet.space().sample(rng);
        for (opset, batch) in FORMS {
            let name = format!("{}-opset-{opset}-batch-{}", supernet.space().name, batch.unwrap_or(0));
            sample(&supernet, &arch, &OnnxForm { opset, batch }, &Path::new(&dir).join(name))?;
        }
    }
    Ok(())
}

fn sample(supernet: &Supernet, arch: &Arch, form: &OnnxForm, dir: &Path) -> Result<()> {
    let (channels, size) = (supernet.space().image_channels, arch.resolution);
    let random = |n| Tensor::<4>::random([n, channels, size, size], Distribution::Normal(0.0, 1.0), &Device::flex());
    // Enough images to keep variances away from 0, where folding is ill-conditioned.
    let subnet = supernet.subnet(arch).calibrate([&random(16)]);
    let images = random(3);
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("model.onnx"), subnet.fold().to_onnx_as(form)?)?;
    let logits = subnet.infer(images.clone()).into_data();
    let tensors = [("images".to_owned(), images.into_data()), ("logits".to_owned(), logits)];
    Ok(write_state_dict(&dir.join("expected.safetensors"), &tensors)?)
}
