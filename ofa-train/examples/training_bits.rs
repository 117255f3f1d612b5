//! Question: does training give the same bits on every x86-64 processor with AVX2, whatever the number of threads?
//!
//! Command: `cargo build --release --workspace --example training_bits`, then `target/release/examples/training_bits`, the same
//! with `RAYON_NUM_THREADS=1`, and under `valgrind --tool=none`, whose processor has AVX2 and no AVX-512. Expected: the same
//! lines. It takes 3 seconds, under valgrind half an hour; the MobileNets come first there, within minutes.

#![allow(clippy::print_stdout, reason = "printing is what this program is for")]

use burn::tensor::{Device, Tensor, TensorData};
use ofa_data::ImageBatch;
use ofa_model::{Importance, SearchSpace, Statistics, SupernetConfig};
use ofa_train::*;
use rand::{RngExt, SeedableRng};

const IMAGES: usize = 9;
const STEPS: u64 = 2;

fn main() {
    steps(SearchSpace { resolutions: vec![20], ..SearchSpace::small_mobilenet_v3(1, 10) });
    steps(SearchSpace { resolutions: vec![32], ..SearchSpace::mobilenet_v3(1.0, 10) });
    steps(SearchSpace { resolutions: vec![32], ..SearchSpace::resnet50d(10) });
}

/// Some steps of two subnets with a teacher, channel sorting, calibration, and logits.
fn steps(space: SearchSpace) {
    let device = Device::flex();
    let config = SupernetConfig::new(space.clone()).expect("the space is a published one");
    let (teacher, mut supernet) = (config.clone().with_seed(1).init(&device), config.init(&device.clone().autodiff()));
    let (recipe, archs) = (Recipe::default(), [space.largest(), space.smallest()]);
    let mut optimizer = recipe.optimizer();
    for step in 0..STEPS {
        let batch = noise(&space, step, &device);
        let logits = teacher_logits(&teacher, batch.images.clone(), Precision::F32);
        let teaching = Teaching::Logits(logits, SoftTargets::default());
        let rules = StepRules { label_smoothing: recipe.label_smoothing, teaching, ..StepRules::default() };
        let output = shrink_step(&supernet, &batch, &archs, &rules);
        supernet = optimizer.step(0.05, supernet, output.gradients);
        let (weights, loss) = (weights_sha256(&supernet), output.numbers.loss);
        println!("{}: step {step}, loss {loss:?}, weights {weights}", space.name);
    }
    let sorted = supernet.sort_channels(&space, Importance::L2);
    let images = noise(&space, STEPS, &device).images;
    let subnet = sorted.subnet(&space.smallest()).calibrate([&images]);
    let logits = subnet.forward(images, &mut Statistics::Running).into_data();
    let hash = |hash: u64, logit: f32| (hash ^ u64::from(logit.to_bits())).wrapping_mul(0x0000_0100_0000_01B3);
    println!("{}: logits {:016x}", space.name, logits.iter::<f32>().fold(0, hash));
}

fn noise(space: &SearchSpace, step: u64, device: &Device) -> ImageBatch {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(step);
    let sizes = [IMAGES, space.image_channels, space.resolutions[0], space.resolutions[0]];
    let pixels: Vec<f32> = (0..sizes.iter().product()).map(|_| rng.random_range(-2.0..2.0)).collect();
    let labels: Vec<i32> = (0..IMAGES as i32).collect();
    let images = Tensor::from_data(TensorData::new(pixels, sizes), device);
    ImageBatch::new(images, Tensor::from_ints(labels.as_slice(), device))
}
