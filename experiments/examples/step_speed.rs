//! Question: how long does a training step take (forward, backward, gradients), by subnet and batch size?
//!
//! Command:  `cargo run --release --example step_speed` (`-- 20` for 20 rounds instead of 10)
//!
//! Every round times all batch sizes in turn, so a busy machine slows all of them; compare only within one run. The
//! images
//! are noise, which costs the same.

#![allow(clippy::print_stdout, reason = "the program reports on the console")]

use anyhow::{Context, Result};
use burn::tensor::{Device, Distribution, Int, Tensor};
use experiments::run::start::ready_to_compute;
use ofa_data::ImageBatch;
use ofa_model::{Arch, SearchSpace, Supernet, SupernetConfig};
use ofa_train::{StepRules, step_gradients};
use std::time::Instant;

const BATCH_SIZES: [usize; 3] = [32, 64, 128];

fn main() -> Result<()> {
    ready_to_compute()?;
    let rounds: usize = match std::env::args().nth(1) {
        Some(rounds) => rounds.parse().context("the argument must be a number of rounds")?,
        None => 10,
    };
    let device = Device::flex();
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let supernet = SupernetConfig::new(space.clone())?.init(&device.clone().autodiff());
    println!("{:>10} {:>6} {:>10} {:>14}", "subnet", "batch", "ms/step", "us/image");
    for (name, arch) in [("largest", space.largest()), ("smallest", space.smallest())] {
        let mut times = vec![Vec::new(); BATCH_SIZES.len()];
        for round in 0..=rounds {
            for (times, batch) in times.iter_mut().zip(BATCH_SIZES) {
                let milliseconds = step(&supernet, &arch, &noise(batch, arch.resolution, &device));
                // The first round is a warm-up.
                if round > 0 {
                    times.push(milliseconds);
                }
            }
        }
        for (mut times, batch) in times.into_iter().zip(BATCH_SIZES) {
            times.sort_by(f64::total_cmp);
            let median = times[times.len() / 2];
            println!("{name:>10} {batch:>6} {median:>10.1} {:>14.0}", median / batch as f64 * 1e3);
        }
    }
    Ok(())
}

fn noise(batch: usize, resolution: usize, device: &Device) -> ImageBatch {
    let images = Tensor::random([batch, 1, resolution, resolution], Distribution::Normal(0.0, 1.0), device);
    ImageBatch::new(images, Tensor::<1, Int>::zeros([batch], device))
}

fn step(supernet: &Supernet, arch: &Arch, batch: &ImageBatch) -> f64 {
    let rules = StepRules { label_smoothing: 0.1, ..StepRules::default() };
    let start = Instant::now();
    step_gradients(supernet, batch, std::slice::from_ref(arch), &rules);
    start.elapsed().as_secs_f64() * 1e3
}
