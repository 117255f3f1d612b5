//! [`train`]: the only training loop, over phases, epochs and batches.

use crate::checkpoint::DamagedCheckpoint;
use crate::progress::{EpochRecord, WatchedRecord};
use crate::ranks::spread;
use crate::run::{QueuedStep, TrainOutcome, TrainRun};
use crate::state::{Position, TrainState};
use crate::step::{StepNumbers, StepRules, Teaching, step_gradients};
use crate::teacher::check_teacher;
use crate::{ArchSampler, Distillation, Evaluator, Phase, StepKey, TrainError, gradients};
use ofa_data::random::{Purpose, stream};
use ofa_data::{ImageBatch, Loader};
use ofa_model::{Arch, ElasticNetwork, SearchSpace};
use rand::RngExt;
use std::time::Instant;

/// Receives progress and can stop training. Every method has a default.
pub trait TrainObserver {
    /// Training resumes from a checkpoint; `_damaged` lists newer ones that were skipped.
    fn resumed(&mut self, _phase: &str, _epoch: usize, _step: usize, _damaged: &[DamagedCheckpoint]) {}
    /// An epoch (from 1) of a phase starts.
    fn epoch_started(&mut self, _phase: &Phase, _epoch: usize, _steps: usize) {}
    /// A step (from 1) is done.
    fn step_done(&mut self, _step: usize, _numbers: &StepNumbers, _learning_rate: f64) {}
    /// An epoch is done. The slice holds all epochs so far, oldest first.
    fn epoch_done(&mut self, _epochs: &[EpochRecord]) -> Result<(), TrainError> {
        Ok(())
    }
    /// Watched archs were measured, at the end of a phase or within it. The slice holds all measurements so far, oldest
    /// first.
    fn watched(&mut self, _watched: &[WatchedRecord]) -> Result<(), TrainError> {
        Ok(())
    }
    /// Whether to save a checkpoint and stop after the current step. After the last step of an epoch, watched archs are
    /// measured first.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Ignores all progress.
impl TrainObserver for () {}

/// Trains `supernet` (on an autodiff device) through all phases of the schedule.
///
/// With checkpoints, training resumes from the newest intact one. A run that is killed and restarted ends with the same
/// weights as an uninterrupted run.
///
/// With several ranks, all call this together, with the same arguments except loader, device and observer. They train
/// the same archs, so their weights stay equal. They end with the weights of one process on the whole batches, with two
/// exceptions: batch norm normalises over each rank's part of a batch, and each rank draws its own dropout. A run may
/// resume with another number of ranks.
///
/// # Errors
///
/// An invalid schedule or recipe, a precision that the device lacks, labels that the network has no classes for, a teacher
/// that does not fit the images, a checkpoint of another run, unreadable images, or files that cannot be written; [`TrainError::NonFiniteLoss`] if the
/// loss or the weights become non-finite, in which case nothing is saved; [`TrainError::Interrupted`] after the
/// observer asked to stop and a checkpoint was saved. The last two occur on all ranks; after any other error the ranks
/// must be [aborted](crate::Ranks::abort).
pub fn train<N: ElasticNetwork>(
    supernet: N,
    run: &TrainRun<N>,
    evaluator: &mut Evaluator,
    observer: &mut dyn TrainObserver,
) -> Result<TrainOutcome<N>, TrainError> {
    run.schedule.validate(supernet.space(), run.teacher.is_some())?;
    run.recipe.validate()?;
    run.recipe.precision.check(run.device)?;
    check_labels(run.loader, supernet.space().classes)?;
    if let Some(teacher) = run.teacher.filter(|_| run.schedule.learns_from_elsewhere()) {
        check_teacher(teacher.space(), supernet.space(), &supernet.space().resolutions)?;
    }
    let mut state = TrainState::begin(supernet, run)?;
    if let Some(damaged) = state.take_resumed() {
        let Position { phase, epoch, step } = state.position;
        let name = run.schedule.phases.get(phase).map_or("done", |phase| &phase.name);
        observer.resumed(name, epoch + 1, step, &damaged);
    }
    while let Some(phase) = run.schedule.phases.get(state.position.phase) {
        state.enter(phase, run);
        train_epoch(&mut state, phase, run, evaluator, observer)?;
        observer.epoch_done(&state.progress.epochs)?;
        let is_last = state.position.epoch == phase.epochs;
        if is_last || run.watch_epochs.is_some_and(|every| state.position.epoch.is_multiple_of(every)) {
            watch(&mut state, phase, run, evaluator)?;
            observer.watched(&state.progress.watched)?;
        }
        if is_last {
            state.leave(phase);
        }
        state.save(run)?;
        if let Some(next) = run.schedule.phases.get(state.position.phase)
            && run.ranks.any(observer.should_stop())
        {
            return Err(state.interrupted(next));
        }
    }
    Ok(state.into_outcome())
}

/// Checks that a network of so many classes can learn the labels of `loader`. Steps do not: they would have to wait for
/// the device.
pub(crate) fn check_labels(loader: &Loader, classes: usize) -> Result<(), TrainError> {
    let label = loader.greatest_label();
    if label < classes { Ok(()) } else { Err(TrainError::NoSuchClass { label, classes }) }
}

fn train_epoch<N: ElasticNetwork>(
    state: &mut TrainState<N>,
    phase: &Phase,
    run: &TrainRun<N>,
    evaluator: &mut Evaluator,
    observer: &mut dyn TrainObserver,
) -> Result<(), TrainError> {
    let started = Instant::now();
    let steps = run.loader.batches_per_epoch();
    let Position { phase: index, epoch, step: done } = state.position;
    let before = state.progress.totals.seconds;
    observer.epoch_started(phase, epoch + 1, steps);

    let sampling = Sampling::new(phase, state.supernet.space(), run);
    let (seed, resolutions) = (run.seed, sampling.space.resolutions.clone());
    let resolution = move |batch: usize| {
        let mut rng = stream(seed, Purpose::Resolution, &[index as u64, (epoch * steps + batch) as u64]);
        resolutions[rng.random_range(0..resolutions.len())]
    };
    let data_epoch = run.schedule.epochs_before(index) + epoch;
    let mut batches = run.loader.epoch(data_epoch as u64, done, resolution, run.device);
    while let Some(batch) = batches.next() {
        let queued = queue_step(state, phase, &batch?, &sampling, run, evaluator)?;
        batches.send_ahead();
        let trained = queued.done();
        if !trained.numbers.loss.is_finite() {
            return Err(state.non_finite(phase, state.position.step + 1, &trained));
        }
        let macs = trained.archs.iter().map(|arch| state.supernet.macs(arch));
        state.progress.totals.add(&trained.numbers, macs, trained.learning_rate);
        state.position.step += 1;
        state.progress.totals.seconds = before + started.elapsed().as_secs_f64();
        let step = state.position.step;
        observer.step_done(step, &trained.numbers, trained.learning_rate);
        let is_last = step == steps;
        let stop = !is_last && run.ranks.any(observer.should_stop());
        let due = !is_last && run.checkpoints.is_some_and(|dir| dir.is_due(step));
        // Non-finite weights must not replace the last good checkpoint.
        if (is_last || due || stop) && !state.has_finite_weights(run.ranks) {
            return Err(state.non_finite(phase, step, &trained));
        }
        if due || stop {
            state.save(run)?;
        }
        if stop {
            return Err(state.interrupted(phase));
        }
    }
    state.finish_epoch(phase);
    Ok(())
}

/// Trains the sampled subnets of one step on one batch, without waiting for the device.
fn queue_step<N: ElasticNetwork>(
    state: &mut TrainState<N>,
    phase: &Phase,
    batch: &ImageBatch,
    sampling: &Sampling,
    run: &TrainRun<N>,
    evaluator: &mut Evaluator,
) -> Result<QueuedStep, TrainError> {
    let steps = run.loader.batches_per_epoch();
    let Position { phase: index, epoch, step: done } = state.position;
    let step = epoch * steps + done;
    let learning_rate = run.schedule.learning_rate_at(index, step, steps, run.loader.images_per_step());
    let key = StepKey { phase: index, step: step as u64 };
    let archs = sampling.archs(key, batch);
    let rules = rules(state, phase, batch, key, run, evaluator)?;
    let output = step_gradients(&state.supernet, batch, &archs, &rules).over_ranks(&state.supernet, run.ranks);
    let gradients = match phase.fixed_kernel_transforms {
        true => gradients::without_kernel_transforms(output.gradients, &state.supernet),
        false => output.gradients,
    };
    state.update(gradients, learning_rate, run.recipe);
    Ok(QueuedStep { numbers: output.numbers, archs, learning_rate })
}

/// Draws the subnets of the steps of a phase.
struct Sampling<'a> {
    space: SearchSpace,
    own: Box<dyn ArchSampler>,
    given: Option<&'a dyn ArchSampler>,
    count: usize,
}

impl<'a> Sampling<'a> {
    fn new<N>(phase: &Phase, whole: &SearchSpace, run: &TrainRun<'a, N>) -> Self {
        Self {
            space: phase.opened.of(whole),
            own: phase.sampler.init(run.seed),
            given: run.sampler,
            count: phase.subnets_per_step,
        }
    }

    fn archs(&self, key: StepKey, batch: &ImageBatch) -> Vec<Arch> {
        let [_, _, resolution, _] = batch.images.dims();
        let sampled = self.given.unwrap_or(self.own.as_ref()).sample(&self.space, key, self.count);
        sampled.iter().map(|arch| arch.at_resolution(resolution)).collect()
    }
}

fn rules<'a, N: ElasticNetwork>(
    state: &mut TrainState<N>,
    phase: &Phase,
    batch: &ImageBatch,
    key: StepKey,
    run: &TrainRun<'a, N>,
    evaluator: &mut Evaluator,
) -> Result<StepRules<'a>, TrainError> {
    let teaching = match (&phase.distillation, &mut state.teacher) {
        (Distillation::Teacher(config), Some(teacher)) => {
            let (images, precision) = (batch.images.clone(), run.recipe.precision);
            Teaching::Logits(teacher.logits(images, config.statistics, precision, evaluator)?, config.soft)
        }
        (Distillation::InPlace(soft), _) => Teaching::InPlace(*soft),
        // Validation rejects schedules that distil without a teacher.
        (Distillation::None | Distillation::Teacher(_), _) => Teaching::None,
    };
    let seed = run.seed ^ (run.ranks.rank() as u64) << 32;
    Ok(StepRules { loss: run.loss, ..run.recipe.rules(teaching, seed, key) })
}

fn watch<N: ElasticNetwork>(
    state: &mut TrainState<N>,
    phase: &Phase,
    run: &TrainRun<N>,
    evaluator: &mut Evaluator,
) -> Result<(), TrainError> {
    let measured = state.measured();
    let accuracies = spread(run.ranks, run.watched.len(), |i| evaluator.top1(&measured, &run.watched[i]))?;
    let (phase, epoch) = (&phase.name, state.position.epoch);
    let record = |(arch, top1): (&Arch, f64)| WatchedRecord { phase: phase.clone(), epoch, arch: arch.clone(), top1 };
    state.watched(run.watched.iter().zip(accuracies).map(record).collect());
    Ok(())
}
