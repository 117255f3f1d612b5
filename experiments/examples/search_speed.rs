//! Question: what do steps of differentiable searches cost, in time and memory, beside a step of the largest subnet?
//!
//! Command:  `cargo run --release --example search_speed` (`-- 20` for 20 rounds instead of 10)
//! Result:   milliseconds of processor time (median) and peak memory above that before the step, each in a process of
//!           its own, with the ratio to the largest subnet
//!
//! Every round does all kinds of steps in turn, so a busy machine slows all of them. The two paths of ProxylessNAS are
//! the largest network and the one next to it, the worst case. The images are noise, which costs the same.

#![allow(clippy::print_stdout, reason = "the program reports on the console")]

use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Int, Tensor};
use cpu_time::ProcessTime;
use experiments::machine::environment::peak_memory_mib;
use experiments::run::start::ready_to_compute;
use ofa_data::ImageBatch;
use ofa_model::kernels::cross_entropy;
use ofa_model::{CandidateConfig, CandidateNetwork, ChoiceGroups, Gate, Mixture, SearchSpace, in_pool};
use ofa_train::{StepRules, step_gradients};
use std::process::Command;

const BATCH: usize = 64;
/// Steps per measurement.
const REPEATED: u32 = 4;

fn main() -> Result<()> {
    ready_to_compute()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |text: &String| text.parse::<usize>().context("expected nothing, or a number of rounds");
    let device = Device::flex();
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    let arch = space.largest();
    let network = CandidateConfig::new(space.clone())?.init(&device.clone().autodiff());
    let sizes = ChoiceGroups::new(&space, arch.resolution)?.sizes();
    let two = |&size: &usize| Gate { choices: vec![size - 1, size - 2], weights: vec![1.0, 0.0] };
    let two = Mixture { gates: sizes.iter().map(two).collect() };
    let all = Mixture::all(&sizes.iter().map(|&size| vec![1.0 / size as f64; size]).collect::<Vec<_>>());
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
    if let [memory, kind] = &arguments[..] {
        ensure!(memory == "memory", "expected nothing, or a number of rounds");
        let before = peak_memory_mib().unwrap_or_default();
        kinds[number(kind)?.min(kinds.len() - 1)].1();
        println!("{}", peak_memory_mib().unwrap_or_default() - before);
        return Ok(());
    }
    let rounds = arguments.first().map_or(Ok(10), number)?;
    let mut found = vec![Vec::new(); kinds.len()];
    for round in 0..=rounds {
        for ((_, step), times) in kinds.iter().zip(&mut found) {
            let started = ProcessTime::now();
            // The clock of processors ticks every ten milliseconds.
            (0..REPEATED).for_each(|_| step());
            // The first round is a warm-up.
            if round > 0 {
                times.push(1e3 * started.elapsed().as_secs_f64() / f64::from(REPEATED));
            }
        }
    }
    println!("{:<26}{:>10}{:>8}{:>12}{:>8}", "step", "ms", "ratio", "peak MiB", "ratio");
    let mut first = None;
    for (i, ((name, _), mut times)) in kinds.iter().zip(found).enumerate() {
        let alone = Command::new(std::env::current_exe()?).args(["memory", &i.to_string()]).output()?;
        let memory: f64 = String::from_utf8_lossy(&alone.stdout).trim().parse().context("the memory of a step")?;
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        let [of_time, of_memory] = *first.get_or_insert([median, memory]);
        println!("{name:<26}{median:>10.1}{:>8.2}{memory:>12.1}{:>8.2}", median / of_time, memory / of_memory);
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
