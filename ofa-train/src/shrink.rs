//! [`shrink`]: the only training loop. For every stage, for every epoch, for every batch.

use crate::checkpoint::{CheckpointDir, DamagedCheckpoint};
use crate::progress::{EpochRecord, EpochTotals, WatchedRecord};
use crate::random::{Purpose, stream};
use crate::ranks::{Ranks, spread};
use crate::state::{Position, ShrinkState};
use crate::step::{StepNumbers, StepTargets, shrink_step};
use crate::{ArchSampler, Evaluator, Recipe, ShrinkSchedule, ShrinkStage, StepKey, TrainError};
use burn::module::Module;
use burn::tensor::Device;
use ofa_data::Loader;
use ofa_model::{Arch, Supernet};
use rand::RngExt;
use std::time::Instant;

/// Everything a training needs besides weights.
pub struct ShrinkRun<'a> {
    /// The stages.
    pub schedule: &'a ShrinkSchedule,
    /// Loss and optimizer.
    pub recipe: &'a Recipe,
    /// Which subnets a step trains.
    pub sampler: &'a dyn ArchSampler,
    /// Training images; of several ranks, this one's part of every batch ([`Loader::with_shard`]).
    pub loader: &'a Loader,
    /// Seed of the resolutions.
    pub seed: u64,
    /// Archs whose accuracy is measured after every stage.
    pub watched: &'a [Arch],
    /// Where checkpoints go, if anywhere; training goes on from the newest. Rank 0 writes, all ranks read.
    pub checkpoints: Option<&'a CheckpointDir>,
    /// The plain (not autodiff) device that batches live on.
    pub device: &'a Device,
    /// The processes that train this network together; [`OneRank`](crate::OneRank) alone.
    pub ranks: &'a dyn Ranks,
}

/// Told what happens, and asked whether to go on. Every method may be left out.
pub trait ShrinkObserver {
    /// Training goes on from a checkpoint; newer ones that were damaged are listed.
    fn resumed(&mut self, _stage: &str, _epoch: usize, _step: usize, _damaged: &[DamagedCheckpoint]) {}
    /// An epoch (from 1) of a stage begins.
    fn epoch_started(&mut self, _stage: &ShrinkStage, _epoch: usize, _steps: usize) {}
    /// A step (from 1) is done.
    fn step_done(&mut self, _step: usize, _numbers: &StepNumbers, _learning_rate: f64) {}
    /// An epoch is done; all epochs so far are given, oldest first.
    fn epoch_done(&mut self, _epochs: &[EpochRecord]) -> Result<(), TrainError> {
        Ok(())
    }
    /// A stage is done; the accuracies of the watched archs after all stages so far are given.
    fn stage_done(&mut self, _watched: &[WatchedRecord]) -> Result<(), TrainError> {
        Ok(())
    }
    /// Whether to save and stop after the current step.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Observes nothing.
impl ShrinkObserver for () {}

/// A trained supernet and how it got there.
pub struct ShrinkOutcome {
    /// The weights, on the autodiff device.
    pub supernet: Supernet,
    /// The largest network of the stage that became the teacher, on the plain device.
    pub teacher: Option<Supernet>,
    /// One record an epoch.
    pub epochs: Vec<EpochRecord>,
    /// One record a watched arch and stage.
    pub watched: Vec<WatchedRecord>,
}

/// Trains `supernet` (on an autodiff device) through all stages of the schedule.
///
/// With checkpoints, the newest sound one decides where to begin; a run that was killed and started again ends with
/// the weights of a run that was not.
///
/// Several ranks call this together with the same arguments but for loader, device and observer. They train on the same
/// archs, so they stay equal, and end with the weights of one process on the whole batches, but for batch norm, which
/// normalises the part of a batch that a rank has. A run may go on with another number of ranks.
///
/// # Errors
///
/// An impossible schedule, unreadable images, a loss that is not finite, files that cannot be written, or
/// [`TrainError::Interrupted`] after the observer asked to stop and a checkpoint was saved. An interruption and a loss
/// that is not finite are errors on all ranks; after any other the ranks must be [aborted](Ranks::abort).
pub fn shrink(
    supernet: Supernet,
    run: &ShrinkRun,
    evaluator: &mut Evaluator,
    observer: &mut dyn ShrinkObserver,
) -> Result<ShrinkOutcome, TrainError> {
    run.schedule.validate(supernet.space())?;
    let mut state = ShrinkState::begin(supernet, run)?;
    if let Some(damaged) = state.take_resumed() {
        let Position { stage, epoch, step } = state.position;
        let name = run.schedule.stages.get(stage).map_or("done", |stage| &stage.name);
        observer.resumed(name, epoch + 1, step, &damaged);
    }
    while let Some(stage) = run.schedule.stages.get(state.position.stage) {
        state.enter(stage, run.recipe);
        while state.position.epoch < stage.epochs {
            train_epoch(&mut state, stage, run, observer)?;
            observer.epoch_done(&state.progress.epochs)?;
            if state.position.epoch < stage.epochs {
                state.save(run)?;
            }
        }
        finish_stage(&mut state, stage, run, evaluator)?;
        observer.stage_done(&state.progress.watched)?;
        state.save(run)?;
    }
    Ok(state.into_outcome())
}

fn train_epoch(
    state: &mut ShrinkState,
    stage: &ShrinkStage,
    run: &ShrinkRun,
    observer: &mut dyn ShrinkObserver,
) -> Result<(), TrainError> {
    let started = Instant::now();
    let steps = run.loader.batches_per_epoch();
    let Position { stage: index, epoch, step: done } = state.position;
    let before = state.progress.totals.seconds;
    observer.epoch_started(stage, epoch + 1, steps);

    let (seed, resolutions) = (run.seed, stage.space.resolutions.clone());
    let resolution = move |batch: usize| {
        let mut rng = stream(seed, Purpose::Resolution, index, (epoch * steps + batch) as u64);
        resolutions[rng.random_range(0..resolutions.len())]
    };
    let data_epoch = run.schedule.epochs_before(index) + epoch;
    for (i, batch) in run.loader.epoch(data_epoch as u64, done, resolution, run.device).enumerate() {
        let batch = batch?;
        let step = epoch * steps + done + i;
        let learning_rate = stage.learning_rate_at(step, steps);
        let key = StepKey { stage: index, step: step as u64 };
        let [_, _, resolution, _] = batch.images.dims();
        let sampled = run.sampler.sample(&stage.space, key, stage.subnets_per_step);
        let archs: Vec<Arch> = sampled.iter().map(|arch| arch.at_resolution(resolution)).collect();

        let teacher = state.teacher.as_ref().filter(|_| stage.distillation_weight > 0.0);
        let targets = StepTargets {
            label_smoothing: run.recipe.label_smoothing,
            teacher: teacher.map(|teacher| (teacher, stage.distillation_weight)),
        };
        let output = shrink_step(&state.supernet, &batch, &archs, &targets).over_ranks(&state.supernet, run.ranks);
        if !output.numbers.loss.is_finite() {
            return Err(state.non_finite_loss(&output.numbers, stage, &archs, learning_rate));
        }
        state.update(output.gradients, learning_rate);
        state.progress.totals.add(&output.numbers, learning_rate);
        state.position.step += 1;
        state.progress.totals.seconds = before + started.elapsed().as_secs_f64();
        observer.step_done(state.position.step, &output.numbers, learning_rate);
        if run.ranks.any(observer.should_stop()) && state.position.step < steps {
            state.save(run)?;
            return Err(TrainError::Interrupted {
                stage: stage.name.clone(),
                epoch: epoch + 1,
                step: state.position.step,
            });
        }
    }
    let totals = std::mem::take(&mut state.progress.totals);
    state.progress.epochs.push(totals.record(&stage.name, epoch + 1));
    state.position = Position { epoch: epoch + 1, step: 0, ..state.position };
    Ok(())
}

fn finish_stage(
    state: &mut ShrinkState,
    stage: &ShrinkStage,
    run: &ShrinkRun,
    evaluator: &mut Evaluator,
) -> Result<(), TrainError> {
    let trained = state.supernet.valid();
    let accuracies = spread(run.ranks, run.watched.len(), |i| evaluator.top1(&trained, &run.watched[i]))?;
    for (arch, top1) in run.watched.iter().zip(accuracies) {
        state.progress.watched.push(WatchedRecord { stage: stage.name.clone(), arch: arch.clone(), top1 });
    }
    if stage.becomes_teacher {
        state.teacher = Some(trained);
    }
    state.position = Position { stage: state.position.stage + 1, epoch: 0, step: 0 };
    state.progress.totals = EpochTotals::default();
    Ok(())
}
