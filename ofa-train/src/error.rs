//! What can go wrong in training.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A schedule contradicts itself or the supernet.
    #[error("schedule `{schedule}`: {problem}")]
    InvalidSchedule {
        /// Name of the schedule.
        schedule: String,
        /// What is wrong, with the values.
        problem: String,
    },
    /// A recipe asks for something impossible.
    #[error("{key} is {value}, it must be {expected}")]
    InvalidRecipe {
        /// The key.
        key: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        expected: &'static str,
    },
    /// The loss is no longer a number.
    #[error(
        "loss is {loss} in stage `{stage}`, epoch {epoch}, step {step}, archs {archs}; lower the learning rate \
         {learning_rate} or clip gradients (last good checkpoint: {checkpoint})"
    )]
    NonFiniteLoss {
        /// The loss.
        loss: f64,
        /// Name of the stage.
        stage: String,
        /// Epoch of the stage, from 1.
        epoch: usize,
        /// Step of the epoch, from 1.
        step: usize,
        /// The sampled archs.
        archs: String,
        /// Learning rate of the step.
        learning_rate: f64,
        /// Where the last checkpoint is, or `none`.
        checkpoint: String,
    },
    /// Training was asked to stop; everything done so far is in the checkpoint, if there is one.
    #[error("interrupted in stage `{stage}`, epoch {epoch}, after step {step}")]
    Interrupted {
        /// Name of the stage.
        stage: String,
        /// Epoch of the stage, from 1.
        epoch: usize,
        /// Steps of the epoch that were done.
        step: usize,
    },
    /// A checkpoint belongs to a training of another schedule or recipe.
    #[error("{path}: this checkpoint is of another schedule or recipe; start a new run or restore the old configuration", path = path.display())]
    OtherSchedule {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Weights or optimizer state could not be turned into bytes or back.
    #[error("{what}: {problem}")]
    Record {
        /// Which record.
        what: &'static str,
        /// The reason.
        problem: String,
    },
    /// What must be the same on all ranks is not.
    #[error(
        "rank {rank} has {what} other than those of rank 0: all ranks need the same program, processors of one kind and a \
         file system in common"
    )]
    RanksDiffer {
        /// What differs, in the plural.
        what: &'static str,
        /// The first rank that has others.
        rank: usize,
    },
    /// MPI cannot be used.
    #[error("MPI: {problem}")]
    Mpi {
        /// The reason.
        problem: String,
    },
    /// The images could not be read.
    #[error(transparent)]
    Data(#[from] ofa_data::DataError),
}
