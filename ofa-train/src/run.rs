//! What a training run takes and what it gives.

use crate::checkpoint::CheckpointDir;
use crate::progress::{EpochRecord, WatchedRecord};
use crate::ranks::{OneRank, Ranks};
use crate::step::{StepNumbers, UnreadNumbers};
use crate::{ArchSampler, Loss, Recipe, Schedule};
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use ofa_data::Loader;
use ofa_model::{Arch, Supernet};

/// All inputs of a training run except the weights.
pub struct TrainRun<'a, N = Supernet> {
    /// Phases to train.
    pub schedule: &'a Schedule,
    /// Label smoothing, regularisation, precision and, unless `loss` and `optimizer` say otherwise, loss and optimizer.
    pub recipe: &'a Recipe,
    /// Overrides the samplers of the phases, if given. Not saved in checkpoints.
    pub sampler: Option<&'a dyn ArchSampler>,
    /// Replaces the built-in loss, if given. Not saved in checkpoints.
    pub loss: Option<&'a dyn Loss>,
    /// Makes a fresh optimizer for every phase in place of the recipe's SGD, whose momentum and weight decay are then
    /// not used. Checkpoints hold its state, but not its settings: resume with the same.
    pub optimizer: Option<&'a dyn Fn() -> ModuleOptimizer>,
    /// External teacher, on the plain device, used until a phase of the schedule becomes the teacher. Not saved in
    /// checkpoints. If a phase learns from it, it must have the supernet's classes, image channels and resolutions.
    pub teacher: Option<&'a N>,
    /// Training images; with several ranks, this rank's part of every batch ([`Loader::with_shard`]). All ranks must
    /// have the same number of batches, which `drop_last` ensures. A checkpoint resumes only with the same number of
    /// batches per epoch and of images per step over all ranks.
    pub loader: &'a Loader,
    /// Seed of archs, resolutions and dropout. A checkpoint resumes only with the same seed.
    pub seed: u64,
    /// Archs whose accuracy is measured after every phase.
    pub watched: &'a [Arch],
    /// Interval in epochs at which they are also measured within a phase; `None` for never.
    pub watch_epochs: Option<usize>,
    /// Where checkpoints are written; training resumes from the newest. Rank 0 writes, all ranks read.
    pub checkpoints: Option<&'a CheckpointDir>,
    /// The plain (non-autodiff) device of the batches.
    pub device: &'a Device,
    /// Processes that train this network together; [`OneRank`](crate::OneRank) for a single one.
    pub ranks: &'a dyn Ranks,
}

impl<'a, N> TrainRun<'a, N> {
    /// A run of one process with seed 0 that watches nothing and writes no checkpoints, with the loss, optimizer and
    /// samplers that recipe and schedule name.
    pub fn new(schedule: &'a Schedule, recipe: &'a Recipe, loader: &'a Loader, device: &'a Device) -> Self {
        Self {
            schedule,
            recipe,
            sampler: None,
            loss: None,
            optimizer: None,
            teacher: None,
            loader,
            seed: 0,
            watched: &[],
            watch_epochs: None,
            checkpoints: None,
            device,
            ranks: &OneRank,
        }
    }

    /// A fresh optimizer, without history.
    pub(crate) fn fresh_optimizer(&self) -> ModuleOptimizer {
        self.optimizer.map_or_else(|| self.recipe.optimizer(), |make| make())
    }
}

/// A trained supernet and its training history.
pub struct TrainOutcome<N = Supernet> {
    /// Final weights, on the autodiff device.
    pub supernet: N,
    /// Supernet of the phase that became the teacher, else the external teacher; on the plain device.
    pub teacher: Option<N>,
    /// One record per epoch.
    pub epochs: Vec<EpochRecord>,
    /// One record per watched arch and measurement.
    pub watched: Vec<WatchedRecord>,
}

/// A step that the device may still be working on.
pub(crate) struct QueuedStep {
    pub(crate) numbers: UnreadNumbers,
    pub(crate) archs: Vec<Arch>,
    pub(crate) learning_rate: f64,
}

impl QueuedStep {
    /// Waits for the step and reads its numbers.
    pub(crate) fn done(self) -> TrainedStep {
        let Self { numbers, archs, learning_rate } = self;
        TrainedStep { numbers: numbers.read(), archs, learning_rate }
    }
}

/// Results of a step.
pub(crate) struct TrainedStep {
    pub(crate) numbers: StepNumbers,
    pub(crate) archs: Vec<Arch>,
    pub(crate) learning_rate: f64,
}
