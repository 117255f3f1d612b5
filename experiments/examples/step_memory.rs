//! Question: how much memory does a training step take, and does it grow with the number of subnets?
//!
//! Command:  `cargo run --release --example step_memory -- RESOLUTION BATCH SUBNETS`, for the largest subnet of
//! MobileNetV3
//!           at width 1; one process per case, since only the peak of a whole process is known
//! Expected: the same for one subnet and for four: each subnet's graph is freed before the next one is built

#![allow(clippy::print_stdout, reason = "the program reports on the console")]

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Distribution, Int, Tensor};
use experiments::machine::environment::peak_memory_mib;
use experiments::run::start::ready_to_compute;
use ofa_data::ImageBatch;
use ofa_model::{SearchSpace, SupernetConfig};
use ofa_train::{Precision, Recipe, StepRules, Teaching, step_gradients, teacher_logits};

fn main() -> Result<()> {
    ready_to_compute()?;
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .map(|text| text.parse())
        .collect::<Result<_, _>>()
        .context("expected three numbers: RESOLUTION BATCH SUBNETS")?;
    let [resolution, batch, subnets] = arguments[..] else { bail!("expected three numbers: RESOLUTION BATCH SUBNETS") };
    let device = Device::flex();
    let space = SearchSpace::mobilenet_v3(1.0, 1000);
    let mut supernet = SupernetConfig::new(space.clone())?.init(&device.clone().autodiff());
    let teacher = SupernetConfig::new(space.clone())?.with_seed(1).init(&device);
    let images = Tensor::random([batch, 3, resolution, resolution], Distribution::Normal(0.0, 1.0), &device);
    let batch = ImageBatch::new(images.clone(), Tensor::<1, Int>::zeros([batch], &device));
    let archs = vec![space.largest().at_resolution(resolution); subnets];
    let mut optimizer = Recipe::default().optimizer();
    let before = peak_memory_mib();
    // The second step includes the optimizer's momentum.
    for _ in 0..2 {
        let teaching = Teaching::Logits(teacher_logits(&teacher, images.clone(), Precision::F32), Default::default());
        let output = step_gradients(&supernet, &batch, &archs, &StepRules { teaching, ..StepRules::default() });
        supernet = optimizer.step(0.01, supernet, output.gradients);
    }
    let text = |mib: Option<f64>| mib.map_or("?".into(), |mib| format!("{mib:.0}"));
    println!("{resolution} px, {subnets} subnets: peak {} MiB, {} MiB before", text(peak_memory_mib()), text(before));
    Ok(())
}
