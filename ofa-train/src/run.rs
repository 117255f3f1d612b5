//! What a training run takes and what it gives.

use crate::checkpoint::CheckpointDir;
use crate::progress::{EpochRecord, WatchedRecord};
use crate::ranks::Ranks;
use crate::step::StepNumbers;
use crate::{ArchSampler, Recipe, Schedule};
use burn::tensor::Device;
use ofa_data::Loader;
use ofa_model::{Arch, Supernet};

/// All inputs of a training run except the weights.
pub struct TrainRun<'a> {
    /// Phases to train.
    pub schedule: &'a Schedule,
    /// Loss, regularisation and optimizer.
    pub recipe: &'a Recipe,
    /// Overrides the samplers of the phases, if given. Not saved in checkpoints.
    pub sampler: Option<&'a dyn ArchSampler>,
    /// External teacher, on the plain device, used until a phase of the schedule becomes the teacher. Not saved in
    /// checkpoints. If a phase learns from it, it must have the supernet's classes, image channels and resolutions.
    pub teacher: Option<&'a Supernet>,
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

/// A trained supernet and its training history.
pub struct TrainOutcome {
    /// Final weights, on the autodiff device.
    pub supernet: Supernet,
    /// Supernet of the phase that became the teacher, else the external teacher; on the plain device.
    pub teacher: Option<Supernet>,
    /// One record per epoch.
    pub epochs: Vec<EpochRecord>,
    /// One record per watched arch and measurement.
    pub watched: Vec<WatchedRecord>,
}

/// Results of a step.
pub(crate) struct TrainedStep {
    pub(crate) numbers: StepNumbers,
    pub(crate) archs: Vec<Arch>,
    pub(crate) learning_rate: f64,
}
