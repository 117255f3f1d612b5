//! Question: do the ranks of an MPI job train like a single process, and what happens when one of them dies?
//!
//! Command:  `mpirun --bind-to none --oversubscribe -np 2 target/release/examples/ranks same` (built with `--features
//! mpi`;
//!           run by `.ci/mpi`); with `panic`, `error` or `wait` instead of `same`, the last rank panics, fails or lags
//!           behind in a training step
//! Result:   `same` prints the largest difference of weights between the ranks and a single process after equal steps:
//!           below 1e-5 without batch norm; for the supernet, amplified rounding if all ranks have the same images, and
//!           more if every rank normalises its own images

#![allow(clippy::print_stdout, reason = "the program reports on the console")]

use anyhow::{Context, Result, bail, ensure};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::tensor::loss::cross_entropy_with_logits;
use burn::tensor::{Device, Tensor};
use experiments::run::ranks;
use ofa_data::{AugmentConfig, FashionMnist, ImageBatch, Loader, LoaderConfig, Splits, View};
use ofa_model::{Arch, SearchSpace, Supernet, SupernetConfig};
use ofa_train::{OneRank, Ranks, Recipe, StepNumbers, StepOutput, StepRules, step_gradients};
use std::process::ExitCode;
use std::time::Duration;

/// Images per step, over all ranks.
const BATCH: usize = 48;
const STEPS: usize = 20;
/// Few enough that rounding errors have not grown yet.
const FEW_STEPS: usize = 2;
/// Allowed effect of summing the batch in another order, relative to a nudge of the weights. Measured: 5; ranks that
/// do not reduce their gradients differ by thousands of nudges.
const NOISE: f32 = 20.0;
const RESOLUTION: usize = 20;

fn main() -> ExitCode {
    ranks::main(|ranks| {
        let what = std::env::args().nth(1).context("missing argument: same, panic, error or wait")?;
        if what == "same" { same(ranks) } else { die(ranks, &what) }
    })
}

/// Trains networks in a single process and on all ranks, and compares the weights.
fn same(ranks: &dyn Ranks) -> Result<()> {
    let splits = FashionMnist::embedded(1)?;
    let (plain, moved) = without_norm(&splits, ranks)?;
    let [few, many] = [FEW_STEPS, STEPS].map(|steps| with_norm(&splits, ranks, steps));
    let (few, many) = (few?, many?);
    if ranks.is_first() {
        println!("{BATCH} images per step, {} ranks; largest weight difference from one process:", ranks.size());
        println!("{:<42} {:>8} steps {:>3} steps", "", FEW_STEPS, STEPS);
        println!("{:<42} {:>14} {plain:>9.1e}", "no batch norm", "");
        println!("{:<42} {:>14.1e} {:>9.1e}", "supernet, same images on all ranks", few.same_images, many.same_images);
        println!("{:<42} {:>14.1e} {:>9.1e}", "one process, initial weights 1e-7 larger", few.nudged, many.nudged);
        println!("{:<42} {:>14.1e} {:>9.1e}", "supernet, own images on every rank", few.own_images, many.own_images);
        println!("training moves weights by up to {moved:.1e}; in the supernet {:.1e} {:.1e}", few.moved, many.moved);
    }
    ensure!(plain < 1e-5, "without batch norm weights differ by {plain}");
    ensure!(
        few.same_images < NOISE * few.nudged,
        "with the same images on all ranks, weights differ by {}, more than {NOISE} times the effect of a nudge, {}",
        few.same_images,
        few.nudged
    );
    Ok(())
}

/// Distance of the weights of a network without batch norm from those of a single process, and how far training moved
/// them.
fn without_norm(splits: &Splits, ranks: &dyn Ranks) -> Result<(f32, f32)> {
    let start = classifier();
    // Parameters are initialised lazily: read them before cloning.
    let before = weights(&start);
    let plain = |ranks: [&dyn Ranks; 2]| train(start.clone(), splits, ranks, STEPS, classified);
    let alone = plain([&OneRank, &OneRank])?;
    let deaf = largest_difference(&plain([ranks, &OneRank])?, &alone);
    ensure!(ranks.size() == 1 || deaf > 1e-3, "the comparison would not notice a missing reduction: {deaf}");
    Ok((largest_difference(&plain([ranks, ranks])?, &alone), largest_difference(&alone, &before)))
}

/// One linear layer: without batch norm, the gradient of a batch is the mean over its parts.
fn classifier() -> Linear {
    let device = Device::flex();
    device.seed(1);
    LinearConfig::new(RESOLUTION * RESOLUTION, 10).init(&device.autodiff())
}

fn classified(classifier: &Linear, batch: &ImageBatch) -> StepOutput {
    let images = Tensor::<4>::from_inner(batch.images.clone());
    let targets = Tensor::from_inner(batch.labels.clone().one_hot::<2>(10).float());
    let loss = cross_entropy_with_logits(classifier.forward(images.flatten::<2>(1, 3)), targets);
    let value = f64::from(loss.clone().into_scalar::<f32>());
    let gradients = GradientsParams::from_grads(loss.backward(), classifier);
    let numbers = StepNumbers { subnets: 1, images: batch.size(), loss: value, ..StepNumbers::default() };
    StepOutput { gradients, numbers: numbers.into() }
}

/// All parameter values, flattened.
fn weights<M: Module>(module: &M) -> Vec<f32> {
    struct Collect(Vec<f32>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.0.extend(parameter.val().into_data().iter::<f32>());
        }
    }
    let mut collect = Collect(Vec::new());
    module.visit(&mut collect);
    collect.0
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |largest, (a, b)| largest.max((a - b).abs()))
}

/// Largest differences of supernet weights from those of a single process.
struct Distances {
    /// With every rank normalising its own part of the batch.
    own_images: f32,
    /// With equal parts, so that normalising one part equals normalising the whole batch.
    same_images: f32,
    /// Of a single process whose initial weights differ in their last digits: amplified rounding.
    nudged: f32,
    /// Of a single process from its initial weights.
    moved: f32,
}

fn with_norm(splits: &Splits, ranks: &dyn Ranks, steps: usize) -> Result<Distances> {
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let start = SupernetConfig::new(space.clone())?.with_seed(1).init(&Device::flex().autodiff());
    let archs: Vec<Arch> = [space.largest(), space.smallest()].map(|arch| arch.at_resolution(RESOLUTION)).into();
    let rules = StepRules { label_smoothing: 0.1, ..StepRules::default() };
    let step = |net: &Supernet, batch: &ImageBatch| step_gradients(net, batch, &archs, &rules);
    let repeated = |net: &Supernet, batch: &ImageBatch| {
        let images = Tensor::cat(vec![batch.images.clone(); ranks.size()], 0);
        let labels = Tensor::cat(vec![batch.labels.clone(); ranks.size()], 0);
        step(net, &ImageBatch::new(images, labels))
    };
    let alone = train(start.clone(), splits, [&OneRank, &OneRank], steps, step)?;
    let together = train(start.clone(), splits, [ranks, ranks], steps, step)?;
    let nudged = train(start.clone().map(&mut Nudge), splits, [&OneRank, &OneRank], steps, step)?;
    let alone_repeated = train(start.clone(), splits, [&OneRank, &OneRank], steps, repeated)?;
    let same = train(start.clone(), splits, [&OneRank, ranks], steps, step)?;
    Ok(Distances {
        own_images: largest_difference(&together, &alone),
        same_images: largest_difference(&same, &alone_repeated),
        nudged: largest_difference(&nudged, &alone),
        moved: largest_difference(&alone, &weights(&start)),
    })
}

/// Increases every weight by one ten-millionth of itself.
struct Nudge;

impl ModuleMapper for Nudge {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        parameter.map(|value| (value.clone() + value * 1e-7).detach().require_grad())
    }
}

/// Weights after `steps` steps on the shard of `shard`, with gradients reduced over `ranks`.
fn train<M: Module>(
    mut network: M,
    splits: &Splits,
    [shard, ranks]: [&dyn Ranks; 2],
    steps: usize,
    step: impl Fn(&M, &ImageBatch) -> StepOutput,
) -> Result<Vec<f32>> {
    let loader = loader(splits, shard)?;
    let mut optimizer = Recipe::default().optimizer();
    for batch in loader.epoch(0, 0, |_| RESOLUTION, &Device::flex()).take(steps) {
        let output = step(&network, &batch?).over_ranks(&network, ranks);
        network = optimizer.step(0.02, network, output.gradients);
    }
    Ok(weights(&network))
}

fn loader(splits: &Splits, ranks: &dyn Ranks) -> Result<Loader> {
    let view = View::Train(AugmentConfig::small_images());
    let config = LoaderConfig { batch_size: BATCH / ranks.size(), seed: 1, view, drop_last: true, prefetch: 2 };
    Ok(Loader::new(splits.train.clone(), config, splits.normalisation())?.with_shard(ranks.rank(), ranks.size())?)
}

/// Trains forever; the last rank panics, fails or slows down after three steps.
fn die(ranks: &dyn Ranks, how: &str) -> Result<()> {
    let splits = FashionMnist::embedded(1)?;
    let loader = loader(&splits, ranks)?;
    let plain = classifier();
    for step in 0.. {
        let batch = loader.batch(0, step % loader.batches_per_epoch(), RESOLUTION, &Device::flex())?;
        classified(&plain, &batch).over_ranks(&plain, ranks);
        if step < 3 || ranks.rank() + 1 < ranks.size() {
            continue;
        }
        match how {
            "panic" => panic!("the last rank panics, as requested"),
            "error" => bail!("the last rank fails, as requested"),
            "wait" => std::thread::sleep(Duration::from_millis(10)),
            _ => bail!("unknown argument `{how}`; choose same, panic, error or wait"),
        }
    }
    Ok(())
}
