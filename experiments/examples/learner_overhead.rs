//! Question: what does the learner cost beyond the passes of the subnets it trains?
//!
//! Command:  `cargo run --release --example learner_overhead` (`-- 20` for 20 rounds instead of 10)
//!
//! Every round trains two subnets in four ways: bare passes (forward and backward), `step_gradients` on the same archs,
//! `step_gradients` with the optimizer's step, and `train` itself with its loader and records. They run in turn, so a busy
//! machine slows all of them; compare only within one run.

#![allow(clippy::print_stdout, reason = "the program reports on the console")]

use anyhow::{Context, Result};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use experiments::run::start::ready_to_compute;
use ofa_data::{AugmentConfig, FashionMnist, ImageBatch, Loader, LoaderConfig, Splits, View};
use ofa_model::{Arch, SearchSpace, Statistics, Supernet, SupernetConfig};
use ofa_search::statistics::median;
use ofa_train::*;
use std::time::Instant;

const BATCH: usize = 64;
/// Steps of each variant per round.
const STEPS: usize = 4;

fn main() -> Result<()> {
    ready_to_compute()?;
    let rounds: usize = match std::env::args().nth(1) {
        Some(rounds) => rounds.parse().context("the argument must be a number of rounds")?,
        None => 10,
    };
    let mut bench = Bench::new()?;
    let mut times: [Vec<f64>; 4] = Default::default();
    for round in 0..=rounds {
        let found = [bench.passes()?, bench.steps(false)?, bench.steps(true)?, bench.learner()?];
        // The first round is a warm-up.
        if round > 0 {
            times.iter_mut().zip(found).for_each(|(times, seconds)| times.push(1e3 * seconds / STEPS as f64));
        }
    }
    let ratios = |times: &[f64], base: &[f64]| median(times.iter().zip(base).map(|(a, b)| a / b));
    println!("{:<28} {:>10} {:>16}", "", "ms/step", "vs. passes");
    for (name, found) in ["passes", "step_gradients", "step_gradients and optimizer", "train"].iter().zip(&times) {
        println!("{name:<28} {:>10.1} {:>16.3}", median(found.clone()), ratios(found, &times[0]));
    }
    println!("medians of {rounds} rounds of {STEPS} steps; ratios are medians of the ratios within a round");
    Ok(())
}

struct Bench {
    device: Device,
    space: SearchSpace,
    splits: Splits,
    loader: Loader,
    supernet: Supernet,
    optimizer: ModuleOptimizer,
    schedule: Schedule,
}

impl Bench {
    fn new() -> Result<Self> {
        let device = Device::flex();
        // One resolution, so that all variants do the same work.
        let space = SearchSpace { resolutions: vec![28], ..SearchSpace::small_mobilenet_v3(1, 10) };
        let splits = FashionMnist::embedded(1)?;
        let view = View::Train(AugmentConfig::small_images());
        let config = LoaderConfig { batch_size: BATCH, seed: 1, view, drop_last: true, prefetch: 4 };
        let loader = Loader::new(splits.train.subset(STEPS * BATCH, 1), config, splits.normalisation())?;
        let recipe = ScheduleRecipe::iclr2020();
        let mut schedule = ScheduleKind::ProgressiveShrinking.schedule(&space, &recipe);

        schedule.phases = vec![schedule.phases.remove(5)];
        let phase = &mut schedule.phases[0];
        (phase.epochs, phase.warmup_epochs, phase.subnets_per_step) = (1, 0.0, 2);
        phase.sort_channels = None;
        phase.distillation = Distillation::None;
        let supernet = SupernetConfig::new(space.clone())?.init(&device.clone().autodiff());
        let optimizer = Recipe::default().optimizer();
        Ok(Self { device, space, splits, loader, supernet, optimizer, schedule })
    }

    /// The archs that the learner draws.
    fn archs(&self, step: usize) -> Vec<Arch> {
        UniformSampler { seed: 1 }.sample(&self.space, StepKey { phase: 0, step: step as u64 }, 2)
    }

    fn batches(&self) -> Result<Vec<ImageBatch>> {
        Ok(self.loader.epoch(0, 0, |_| 28, &self.device).collect::<Result<_, _>>()?)
    }

    fn passes(&self) -> Result<f64> {
        let batches = self.batches()?;
        let start = Instant::now();
        for (step, batch) in batches.iter().enumerate() {
            for arch in self.archs(step) {
                let images = Tensor::from_inner(batch.images.clone());
                let logits = self.supernet.forward(images, &arch, &mut Statistics::Batch);
                GradientsParams::from_grads(logits.powi_scalar(2).mean().backward(), &self.supernet);
            }
        }
        Ok(start.elapsed().as_secs_f64())
    }

    fn steps(&mut self, update: bool) -> Result<f64> {
        let batches = self.batches()?;
        let start = Instant::now();
        for (step, batch) in batches.iter().enumerate() {
            let rules = StepRules { label_smoothing: 0.1, ..StepRules::default() };
            let output = step_gradients(&self.supernet, batch, &self.archs(step), &rules);
            if update {
                self.supernet = self.optimizer.step(0.01, self.supernet.clone(), output.gradients);
            }
        }
        Ok(start.elapsed().as_secs_f64())
    }

    fn learner(&self) -> Result<f64> {
        let calibration = self.splits.train.subset(64, 1);
        let normalisation = self.splits.normalisation();
        let mut evaluator = Evaluator::new(calibration.clone(), calibration, 64, &normalisation, &self.device);
        let recipe = Recipe::default();
        let run = TrainRun { seed: 1, ..TrainRun::new(&self.schedule, &recipe, &self.loader, &self.device) };
        let supernet = self.supernet.clone();
        let start = Instant::now();
        train(supernet, &run, &mut evaluator, &mut ())?;
        Ok(start.elapsed().as_secs_f64())
    }
}
