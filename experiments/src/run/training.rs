//! Trains the supernet of a run by its schedule, on one rank or several.

use crate::config::ExperimentConfig;
use crate::console::dashboard::Dashboard;
use crate::console::say;
use crate::run::images::Images;
use crate::run::ranks::Quiet;
use crate::run::records;
use crate::run::run_dir::RunDir;
use crate::run::supernet_file::{self, CHECKPOINTS};
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
    let (supernet, note) = initial(config, device)?;
    if together.is_first() {
        note.iter().for_each(|note| say(note));
    }
    let teacher = training.teacher.as_deref().map(|path| self::teacher(path, device)).transpose()?;
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
    let (supernet, _) = initial(config, device)?;
    let teacher = config.training.teacher.as_deref().map(|path| self::teacher(path, device)).transpose()?;
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

/// The initial weights, on the autodiff device: random, or those of `training.start`. For other classes than the start
/// has, the classifier is a new one, and a line says so.
fn initial(config: &ExperimentConfig, device: &Device) -> Result<(Supernet, Option<String>)> {
    let space = &config.space;
    let Some(path) = &config.training.start else {
        let random = SupernetConfig::new(space.clone())?
            .with_seed(config.seed)
            .with_zero_last_gamma(config.training.recipe.zero_last_gamma);
        return Ok((random.init(&device.clone().autodiff()), None));
    };
    let found = supernet_file::open(path, device).with_context(|| in_words("training.start", path))?.supernet;
    let (name, classes) = (found.space().name.clone(), found.space().classes);
    let keeps_head = classes == space.classes;
    let found = if keeps_head { found } else { found.with_new_head(space.classes, config.seed)? };
    let fitting = found.in_space(space).with_context(|| {
        format!(
            "training.start: {} is a supernet of `{name}`, which differs from `{}` of this configuration in more than \
             resolutions and the number of classes: copy its space.json into the configuration, or start without it",
            path.display(),
            space.name
        )
    })?;
    let note = || {
        format!(
            "training.start: {} has {classes} classes, the images {}: everything but the classifier is kept",
            path.display(),
            space.classes
        )
    };
    Ok((fitting.train(), (!keeps_head).then(note)))
}

/// The teacher: a finished supernet, not a checkpoint of a run in progress, so a resumed run finds the same one.
fn teacher(path: &Path, device: &Device) -> Result<Supernet> {
    supernet_file::finished(path, device).with_context(|| in_words("training.teacher", path))
}

fn in_words(key: &str, path: &Path) -> String {
    format!("{key}: the supernet in {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ofa_model::SearchSpace;

    #[test]
    fn a_start_of_other_classes_keeps_everything_but_the_classifier() {
        let root = tempfile::tempdir().unwrap();
        let start = root.path().join("start");
        let device = Device::flex();
        let of = |space: SearchSpace| SupernetConfig::new(space).unwrap().with_seed(3).init(&device);
        let there = of(SearchSpace::small_mobilenet_v3(1, 10));
        there.save(&start).unwrap();
        let mut config = ExperimentConfig::preset("smoke").unwrap();
        config.space = SearchSpace { resolutions: vec![24, 40], ..SearchSpace::small_mobilenet_v3(1, 2) };
        config.training.start = Some(start);
        let (supernet, note) = initial(&config, &device).unwrap();
        assert!(note.unwrap().contains("has 10 classes, the images 2: everything but the classifier is kept"));
        assert_eq!(supernet.space(), &config.space);
        for ((key, before), (_, after)) in there.to_original().iter().zip(&supernet.valid().to_original()) {
            assert_eq!(before == after, !key.starts_with("classifier."), "{key}");
        }
        config.space.classes = 10;
        assert_eq!(initial(&config, &device).unwrap().1, None);
        config.space.stages[0].channels *= 2;
        let message = initial(&config, &device).err().unwrap().to_string();
        assert!(message.contains("differs from `small_mobilenet_v3` of this configuration in more than"), "{message}");
    }
}
