//! Prints what a schedule will do, and measures what it will cost on this device.

use crate::config::ExperimentConfig;
use crate::machine::environment;
use crate::run::images::Images;
use crate::run::training;
use anyhow::{Result, ensure};
use burn::tensor::Device;
use ofa_data::{Loader, LoaderConfig, View};
use ofa_model::{SearchSpace, SupernetConfig};
use ofa_train::{Distillation, OneRank, Phase, Schedule, StepNumbers, TrainObserver, TrainRun};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Instant;

/// Time and memory of the steps of one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PhaseCost {
    /// Mean wall time of a step, without the first one.
    pub seconds_per_step: f64,
    /// Peak memory of the process up to the end of the phase, in MiB; `None` where the system does not report it.
    pub peak_mib: Option<f64>,
}

/// Measures `steps` training steps of every phase (after one untimed step), with the real learner on the real images.
///
/// Each step has the batch of one of `ranks` ranks; gradient reduction between ranks is not included.
///
/// # Errors
///
/// Those of training; also if there are too few images.
pub fn measure(
    config: &ExperimentConfig,
    images: &Images,
    device: &Device,
    steps: usize,
    ranks: usize,
) -> Result<Vec<PhaseCost>> {
    let batch_size = config.training.batch_of_rank(ranks)?;
    let wanted = (steps + 1) * batch_size;
    let train = &images.splits.train;
    ensure!(train.len() >= wanted, "measuring takes {wanted} training images, but there are {}", train.len());
    let view = View::Train(config.data.augment.clone());
    let loader = LoaderConfig { batch_size, seed: config.seed, view, drop_last: true, prefetch: 2 };
    let loader = Loader::new(train.subset(wanted, config.seed), loader, images.splits.normalisation())?;
    let mut schedule = config.training.schedule.clone();
    for phase in &mut schedule.phases {
        (phase.epochs, phase.warmup_epochs) = (1, 0.0);
    }
    let supernet = SupernetConfig::new(config.space.clone())?.with_seed(config.seed);
    // The time of a step does not depend on the teacher's weights.
    let teacher = config.training.teacher.as_ref().map(|_| supernet.clone().init(device));
    let run = TrainRun {
        schedule: &schedule,
        teacher: teacher.as_ref(),
        ..training::bare(config, &loader, device, &OneRank)
    };
    let mut watch = StopWatch::default();
    let mut evaluator = images.validation(config, device);
    ofa_train::train(supernet.init(&device.clone().autodiff()), &run, &mut evaluator, &mut watch)?;
    Ok(watch.phases)
}

/// Observer that times the steps.
#[derive(Default)]
struct StopWatch {
    phases: Vec<PhaseCost>,
    first_done: Option<Instant>,
}

impl TrainObserver for StopWatch {
    fn epoch_started(&mut self, _: &Phase, _: usize, _: usize) {
        self.first_done = None;
        self.phases.push(PhaseCost::default());
    }

    fn step_done(&mut self, step: usize, _: &StepNumbers, _: f64) {
        let first = *self.first_done.get_or_insert_with(Instant::now);
        let Some(cost) = self.phases.last_mut() else { return };
        cost.seconds_per_step = first.elapsed().as_secs_f64() / (step - 1).max(1) as f64;
        cost.peak_mib = environment::peak_memory_mib();
    }
}

/// The schedule as a text table, one line per phase; with `costs`, also how long it will take.
pub fn table(config: &ExperimentConfig, train_images: usize, costs: Option<&[PhaseCost]>) -> String {
    let schedule = &config.training.schedule;
    let steps = train_images / config.training.batch_size;
    let scale = config.training.batch_size as f64 / schedule.reference_batch_size as f64;
    let mut text = format!(
        "schedule `{}`: {} epochs of {steps} steps of {} images, {} subnet-epochs\n\n{:<11} {:<42} {:>10} {:<10} {:<12} {:>6} {:>7} {:>9} {:>7} {:>7}",
        schedule.name,
        schedule.epochs(),
        config.training.batch_size,
        schedule.subnet_epochs(),
        "stage",
        "open choices",
        "networks",
        "sampler",
        "learns from",
        "epochs",
        "warm-up",
        "rate",
        "subnets",
        "sn-ep",
    );
    text.push_str(if costs.is_some() { "  s/step  hours  peak MiB\n" } else { "\n" });
    for (i, phase) in schedule.phases.iter().enumerate() {
        text.push_str(&phase_line(phase, &config.space, scale));
        if let Some(PhaseCost { seconds_per_step, peak_mib }) = costs.and_then(|costs| costs.get(i)) {
            let hours = seconds_per_step * (steps * phase.epochs) as f64 / 3600.0;
            let peak = peak_mib.map_or("?".into(), |mib| format!("{mib:.0}"));
            write!(text, " {seconds_per_step:>7.3} {hours:>6.2} {peak:>9}").expect("writing to a string cannot fail");
        }
        text.push('\n');
    }
    if let Some(costs) = costs {
        writeln!(text, "\ntraining: about {:.2} hours", total_hours(schedule, steps, costs)).expect("as above");
    }
    text
}

fn total_hours(schedule: &Schedule, steps: usize, costs: &[PhaseCost]) -> f64 {
    let phases = schedule.phases.iter().zip(costs);
    phases.map(|(phase, cost)| cost.seconds_per_step * (steps * phase.epochs) as f64 / 3600.0).sum()
}

fn phase_line(phase: &Phase, whole: &SearchSpace, scale: f64) -> String {
    let open = phase.opened.of(whole);
    let networks = open.len().to_string();
    let networks = if networks.len() > 7 {
        format!("{}.{}e{}", &networks[..1], &networks[1..2], networks.len() - 1)
    } else {
        networks
    };
    let teacher = match phase.distillation {
        Distillation::None => "labels",
        Distillation::Teacher(_) => "full net",
        Distillation::InPlace(_) => "first subnet",
    };
    let sampler = format!("{:?}", phase.sampler).to_lowercase();
    let sampler = sampler.split('(').next().unwrap_or_default();
    format!(
        "{:<11} {:<42} {networks:>10} {sampler:<10} {teacher:<12} {:>6} {:>7.1} {:>9.4} {:>7} {:>7}",
        phase.name,
        choices(&open),
        phase.epochs,
        phase.warmup_epochs,
        scale * phase.learning_rate,
        phase.subnets_per_step,
        phase.subnet_epochs(),
    )
}

/// The choices of all stages of the network combined, such as `K {3,5,7} D {3,4} E {6}`.
fn choices(space: &SearchSpace) -> String {
    let set = |name: &str, values: BTreeSet<String>| {
        let values: Vec<String> = values.into_iter().collect();
        format!("{name} {{{}}}", values.join(","))
    };
    let stages = || space.stages.iter();
    let mut kinds = vec![
        set("K", stages().flat_map(|s| s.kernel_sizes.iter().map(usize::to_string)).collect()),
        set("D", stages().flat_map(|s| s.depths.iter().map(usize::to_string)).collect()),
        set("E", stages().flat_map(|s| s.expand_ratios.iter().map(ToString::to_string)).collect()),
    ];
    let widths: BTreeSet<String> = stages().flat_map(|s| s.widths.iter().map(ToString::to_string)).collect();
    if widths.len() > 1 {
        kinds.push(set("W", widths));
    }
    kinds.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_each_phase_does_and_costs() {
        let mut config = ExperimentConfig::preset("standard").unwrap();
        config.training.batch_size = 128;
        let phases = config.training.schedule.phases.len();
        let cost = PhaseCost { seconds_per_step: 0.5, peak_mib: Some(310.4) };
        let text = table(&config, 50_000, Some(&vec![cost; phases]));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("`progressive_shrinking`: 14 epochs of 390 steps of 128 images, 22 subnet-epochs"));
        assert_eq!(lines.len(), 3 + phases + 2, "{text}");
        // Twice the reference batch size, so twice the rate.
        assert!(lines[3].starts_with("full        K {7} D {4} E {6}") && lines[3].contains("0.2000"), "{}", lines[3]);
        assert!(lines[5].contains("K {3,5,7} D {3,4} E {6}") && lines[5].contains("full net"), "{}", lines[5]);
        assert!(lines[8].contains("4.0e11") && lines[8].contains(" 0.500   0.27       310"), "{}", lines[8]);
        assert!(lines[lines.len() - 1].contains("about 0.76 hours"), "{text}");
        assert!(!table(&config, 50_000, None).contains("hours"));
    }
}
