//! Question: what do steps of differentiable searches cost, in time and memory, beside a step of the largest subnet?
//!
//! Command:  `cargo run --release --example search_speed` (`-- 20` for 20 rounds instead of 10)
//! Result:   milliseconds of processor time (median), the ratio to the largest subnet, and peak memory above that before
//!           the step
//!
//! Every round does all kinds of steps in turn, so a busy machine slows all of them. The two paths of ProxylessNAS are
//! the largest network and the one next to it, the worst case. The images are noise, which costs the same.

#![allow(clippy::print_stdout, reason = "the program reports on the console")]

use anyhow::{Context, Result};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Int, Tensor};
use experiments::machine::environment::{peak_memory_mib, processor_seconds, reset_peak_memory};
use experiments::run::start::ready_to_compute;
use ofa_data::ImageBatch;
use ofa_model::kernels::cross_entropy;
use ofa_model::{CandidateConfig, CandidateNetwork, ChoiceGroups, Gate, Mixture, SearchSpace, in_pool};
use ofa_train::{StepRules, step_gradients};

const BATCH: usize = 64;

fn main() -> Result<()> {
    ready_to_compute()?;
    let rounds: usize = match std::env::args().nth(1) {
        Some(rounds) => rounds.parse().context("the argument must be a number of rounds")?,
        None => 10,
    };
    let device = Device::flex();
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let arch = space.largest();
    let network = CandidateConfig::new(space.clone())?.init(&device.clone().autodiff());
    let groups = ChoiceGroups::new(&space, arch.resolution)?;
    let sizes = groups.sizes();
    let two = |&size: &usize| Gate { choices: vec![size - 1, size - 2], weights: vec![1.0, 0.0] };
    let two = Mixture { gates: sizes.iter().map(two).collect() };
    let all: Vec<Vec<f64>> = sizes.iter().map(|&size| vec![1.0 / size as f64; size]).collect();
    let all = Mixture::all(&all);
    let images = Tensor::random([BATCH, 1, arch.resolution, arch.resolution], Distribution::Normal(0.0, 1.0), &device);
    let batch = ImageBatch::new(images, Tensor::<1, Int>::zeros([BATCH], &device));

    let rules = StepRules { label_smoothing: 0.1, ..StepRules::default() };
    let largest = || drop(step_gradients(&network, &batch, std::slice::from_ref(&arch), &rules));
    let frozen = network.clone().no_grad();
    let judge = |mixture: &Mixture| drop(mixed(&frozen, &batch, mixture));
    let (two_paths, all_judged) = (|| judge(&two), || judge(&all));
    let all_learned = || drop(mixed(&network, &batch, &all));
    let kinds: [(&str, &dyn Fn()); 4] = [
        ("largest subnet", &largest),
        ("ProxylessNAS, two paths", &two_paths),
        ("FBNet, choices", &all_judged),
        ("FBNet, weights", &all_learned),
    ];
    let mut found = vec![(Vec::new(), 0.0_f64); kinds.len()];
    for round in 0..=rounds {
        for ((_, step), (times, memory)) in kinds.iter().zip(&mut found) {
            reset_peak_memory();
            let (before, started) = (peak_memory_mib().unwrap_or_default(), processor_seconds().unwrap_or_default());
            step();
            // The first round is a warm-up.
            if round > 0 {
                times.push(1e3 * (processor_seconds().unwrap_or_default() - started));
                *memory = memory.max(peak_memory_mib().unwrap_or_default() - before);
            }
        }
    }
    println!("{:<26}{:>10}{:>8}{:>12}{:>8}", "step", "ms", "ratio", "peak MiB", "ratio");
    let mut first = None;
    for ((name, _), (mut times, memory)) in kinds.iter().zip(found) {
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        let [of_time, of_memory] = *first.get_or_insert([median, memory]);
        println!("{name:<26}{median:>10.0}{:>8.2}{memory:>12.1}{:>8.2}", median / of_time, memory / of_memory);
    }
    Ok(())
}

/// The passes of a mixture, forwards and backwards.
fn mixed(network: &CandidateNetwork, batch: &ImageBatch, mixture: &Mixture) -> (Vec<Vec<f64>>, GradientsParams) {
    in_pool(|| {
        let images = Tensor::from_inner(batch.images.clone());
        let mixed = network.forward_mixture(images, mixture, |features| features);
        let targets = Tensor::from_inner(batch.labels.clone().one_hot::<2>(10).float());
        let gradients = cross_entropy(mixed.logits.clone(), targets).backward();
        (mixed.gate_gradients(&gradients), GradientsParams::from_grads(gradients, network))
    })
}
