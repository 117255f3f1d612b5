//! Trains the supernet of a run by its schedule, on one rank or several.

use crate::config::ExperimentConfig;
use crate::console::dashboard::Dashboard;
use crate::console::say;
use crate::run::given_weights;
use crate::run::images::Images;
use crate::run::ranks::Quiet;
use crate::run::records;
use crate::run::run_dir::RunDir;
use crate::run::supernet_file::CHECKPOINTS;
use crate::run::watched;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use ofa_data::Loader;
use ofa_model::{Supernet, SupernetConfig};
use ofa_train::{CheckpointDir, Evaluator, Ranks, StepNumbers, TrainError, TrainObserver, TrainOutcome, TrainRun};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Trains the supernet, or resumes from the newest checkpoint in `dir`; `device` is not an autodiff device. Rank 0
/// shows progress and keeps the records. Training stops after the step in which `stop` becomes true on any rank.
///
/// # Errors
///
/// Those of [`ofa_train::train`]; also if the batch size is not divisible by the number of ranks.
pub fn train(
    config: &ExperimentConfig,
    images: &Images,
    validation: &mut Evaluator,
    device: &Device,
    dir: &RunDir,
    together: &dyn Ranks,
    stop: &Arc<AtomicBool>,
) -> Result<TrainOutcome> {
    let training = &config.training;
    let (supernet, note) = given_weights::initial(config, device)?;
    if together.is_first() {
        note.iter().for_each(|note| say(note));
    }
    let teacher = given_weights::teacher(config, device)?;
    let watched = watched::watched_archs(&config.space, config.seed);
    let loader = images.train_loader(config, together)?;
    let checkpoints = training.checkpoints(dir.path(CHECKPOINTS));
    let run = TrainRun {
        teacher: teacher.as_ref(),
        watched: &watched,
        watch_epochs: training.watch_epochs,
        checkpoints: Some(&checkpoints),
        ..bare(config, &loader, device, together)
    };
    let keeper = || records::keeper(dir, &watched);
    let mut observer: Box<dyn TrainObserver> = match (together.is_first(), together.size()) {
        (true, 1) => Box::new(Dashboard::new(&training.schedule, stop.clone(), keeper())),
        (true, _) => Box::new(Dashboard::in_lines(&training.schedule, stop.clone(), keeper())),
        (false, _) => Box::new(Quiet(stop.clone())),
    };
    Ok(ofa_train::train(supernet, &run, validation, &mut *observer)?)
}

/// Runs only the first `steps` steps of the same training and returns the supernet on rank 0, `None` elsewhere.
/// Checkpoints go to `scratch`, a temporary directory. A shorter training runs to its end.
///
/// # Errors
///
/// Those of [`train`].
pub fn first_steps(
    steps: usize,
    config: &ExperimentConfig,
    images: &Images,
    validation: &mut Evaluator,
    device: &Device,
    scratch: &Path,
    together: &dyn Ranks,
) -> Result<Option<Supernet>> {
    let (supernet, _) = given_weights::initial(config, device)?;
    let teacher = given_weights::teacher(config, device)?;
    let loader = images.train_loader(config, together)?;
    let checkpoints = CheckpointDir::new(scratch, 1);
    let run = TrainRun {
        teacher: teacher.as_ref(),
        checkpoints: Some(&checkpoints),
        ..bare(config, &loader, device, together)
    };
    match ofa_train::train(supernet, &run, validation, &mut StopAfter { left: steps }) {
        Ok(outcome) => return Ok(together.is_first().then(|| outcome.supernet.valid())),
        Err(TrainError::Interrupted { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if !together.is_first() {
        return Ok(None);
    }
    let blank = SupernetConfig::new(config.space.clone())?.init(device);
    let saved = checkpoints.supernet(blank)?.context("the first steps left no checkpoint")?;
    Ok(Some(saved.supernet))
}

/// Stops training after `left` more steps.
struct StopAfter {
    left: usize,
}

impl TrainObserver for StopAfter {
    fn step_done(&mut self, _step: usize, _numbers: &StepNumbers, _learning_rate: f64) {
        self.left = self.left.saturating_sub(1);
    }

    fn should_stop(&self) -> bool {
        self.left == 0
    }
}

/// A training of `config` without teacher, watched archs or checkpoints.
pub(crate) fn bare<'a>(
    config: &'a ExperimentConfig,
    loader: &'a Loader,
    device: &'a Device,
    ranks: &'a dyn Ranks,
) -> TrainRun<'a> {
    let training = &config.training;
    TrainRun { seed: config.seed, ranks, ..TrainRun::new(&training.schedule, &training.recipe, loader, device) }
}
