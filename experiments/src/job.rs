//! The main job as far as all ranks do it together: a run is opened, its supernet trained, its accuracies measured.

use crate::config::ExperimentConfig;
use crate::console::{interrupt, say};
use crate::machine::device;
use crate::machine::environment::{self, Machine};
use crate::run::images::Images;
use crate::run::records::{self, Phases};
use crate::run::run_dir::RunDir;
use crate::run::start::{self, Options, Run};
use crate::run::{ranks, supernet_file, training};
use crate::tables;
use anyhow::Result;
use burn::module::Module;
use burn::tensor::Device;
use ofa_model::Supernet;
use ofa_search::AccuracyTable;
use ofa_train::{Evaluator, OneRank, Ranks, TrainOutcome};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A run that is open on all ranks.
pub struct Job<'a> {
    /// Configuration of the run.
    pub config: &'a ExperimentConfig,
    /// Images of the run.
    pub images: &'a Images,
    /// The device of this rank, without autodiff.
    pub device: &'a Device,
    /// Run directory, on a file system that all ranks see.
    pub dir: &'a RunDir,
    /// This machine, and when this attempt started.
    pub machine: &'a Machine,
    /// This rank and its peers.
    pub ranks: &'a dyn Ranks,
    /// Set to stop the job.
    pub stop: &'a Arc<AtomicBool>,
}

/// What all ranks made together.
pub struct Trained {
    /// The trained supernet, without autodiff.
    pub supernet: Supernet,
    /// The training: its records, and the teacher that it ended with.
    pub outcome: TrainOutcome,
    /// Accuracies of random subnets.
    pub accuracy: AccuracyTable,
}

/// Runs a program that does `work` on the run that the options select, on one process or on the ranks of an MPI job.
///
/// All ranks do [`Job::train_and_measure`] together; what follows is for rank 0 alone.
pub fn main(options: &Options, work: impl FnOnce(&Job) -> Result<()>) -> ExitCode {
    ranks::main(|ranks| {
        let stop = interrupt::on_interrupt()?;
        let run = start::open(options, ranks)?;
        let dir = run.dir.clone();
        in_run(run, work, ranks, &stop).map_err(|error| start::with_next_step(error, &dir))
    })
}

fn in_run(
    Run { config, dir, images, changed, lock: _lock }: Run,
    work: impl FnOnce(&Job) -> Result<()>,
    ranks: &dyn Ranks,
    stop: &Arc<AtomicBool>,
) -> Result<()> {
    let (config, dir) = (&config, &dir);
    let images = &images.map_or_else(|| Images::load(config, None), Ok)?;
    records::same_images(dir, images, ranks)?;
    if changed && ranks.is_first() {
        dir.configure(&config.to_toml()?)?;
    }
    let (device, machine) = (&device::by_name(&config.device)?, &environment::machine(&config.device));
    if ranks.is_first() {
        dir.write_json("environment.json", machine)?;
    }
    let result = work(&Job { config, images, device, dir, machine, ranks, stop });
    if ranks.is_first() {
        // Also, and especially, if broken images ended the run.
        records::write_broken(dir, images, &result, &OneRank)?;
    }
    result
}

impl Job<'_> {
    /// Trains the supernet and measures the accuracy table on all ranks, then returns both on rank 0. The others have
    /// done their part and get `None`: rank 0 goes on alone.
    ///
    /// # Errors
    ///
    /// Those of [`training::train`] and [`tables::accuracy`], or if a file cannot be written.
    pub fn train_and_measure(&self, validation: &mut Evaluator) -> Result<Option<Trained>> {
        let result = self.together(validation);
        if self.ranks.size() > 1 {
            records::write_broken(self.dir, self.images, &result, self.ranks)?;
        }
        Ok(Some(result?).filter(|_| self.ranks.is_first()))
    }

    fn together(&self, validation: &mut Evaluator) -> Result<Trained> {
        let Self { config, images, device, dir, ranks, stop, .. } = *self;
        if ranks.is_first() {
            say(&self.description());
        }
        let mut phases = Phases::resumed(dir, stop, ranks)?;
        let train = || training::train(config, images, validation, device, dir, ranks, stop);
        let outcome = phases.time("training", train)?;
        phases.at_least("training", outcome.epochs.iter().map(|epoch| epoch.seconds).sum());
        let supernet = outcome.supernet.valid();
        if ranks.is_first() {
            supernet_file::write(&supernet, dir)?;
        }
        let source = records::source(&supernet, images);
        let measure = || tables::accuracy(config, &supernet, validation, source, dir, stop, ranks);
        let accuracy = phases.time("accuracy table", measure)?;
        Ok(Trained { supernet, outcome, accuracy })
    }

    /// The images, the space and the ranks in one line.
    fn description(&self) -> String {
        let Self { config, images, dir, machine, ranks, .. } = *self;
        let together = match ranks.size() {
            1 => String::new(),
            size => format!("; {size} ranks of {} thread(s)", machine.threads),
        };
        format!(
            "{}; {} subnets in `{}`{together}; run directory {}",
            images.description,
            config.space.len(),
            config.space.name,
            dir.root().display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::testing::tiny_ablation;
    use crate::console::interrupt::is_interruption;
    use ofa_train::ThreadRanks;
    use std::sync::atomic::Ordering;

    /// Trains and measures on this rank; whether it goes on.
    fn trains(dir: &RunDir, ranks: &dyn Ranks, stop: &Arc<AtomicBool>) -> Result<bool> {
        let mut goes_on = false;
        let work = |job: &Job| {
            let mut validation = job.images.validation(job.config, job.device);
            goes_on = job.train_and_measure(&mut validation)?.is_some();
            Ok(())
        };
        in_run(start::reopen(dir.root())?, work, ranks, stop).map(|()| goes_on)
    }

    #[test]
    fn ranks_train_and_measure_together_and_one_goes_on() {
        let temporary = tempfile::tempdir().unwrap();
        let mut config = tiny_ablation().base;
        config.tables.archs = 9;
        let dir = &RunDir::create(temporary.path(), &config.to_toml().unwrap()).unwrap();
        let stop = &Arc::new(AtomicBool::new(true));
        let interrupted = |ranks: &ThreadRanks| is_interruption(&trains(dir, ranks, stop).unwrap_err());
        assert_eq!(ThreadRanks::run(2, interrupted), [true, true]);
        stop.store(false, Ordering::Relaxed);
        assert_eq!(ThreadRanks::run(2, |ranks| trains(dir, ranks, stop).unwrap()), [true, false]);

        let files = ["tables/accuracy.csv", "metrics.csv", "watched.csv"];
        let read = || files.map(|file| std::fs::read_to_string(dir.path(file)).unwrap());
        let made = read();
        assert_eq!(made[0].lines().count(), 2 + 9, "{}", made[0]);
        let phases = Phases::resumed(dir, stop, &OneRank).unwrap().into_records();
        assert_eq!(phases.iter().map(|phase| phase.name.as_str()).collect::<Vec<_>>(), ["training", "accuracy table"]);
        // One process finds all done.
        assert!(trains(dir, &OneRank, stop).unwrap());
        assert_eq!(read(), made);
    }
}
