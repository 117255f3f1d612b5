//! Errors of training.

use std::path::PathBuf;

/// Error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A schedule is inconsistent or does not fit the supernet.
    #[error("schedule `{schedule}`: {problem}")]
    InvalidSchedule {
        /// Name of the schedule.
        schedule: String,
        /// What is wrong, with the values.
        problem: String,
    },
    /// A value of the recipe or of fine-tuning is out of range.
    #[error("{key} is {value}, but must be {expected}")]
    InvalidRecipe {
        /// Key in the configuration.
        key: &'static str,
        /// Value of the key.
        value: f64,
        /// Allowed values.
        expected: &'static str,
    },
    /// The device does not support the precision of the recipe.
    #[error("precision is bf16, which {device} does not support; use f32 or another device")]
    NoSuchPrecision {
        /// Device that was asked for.
        device: String,
    },
    /// An external teacher does not fit the training images.
    #[error(
        "teacher of space `{space}` {problem}; use a teacher with the learner's classes, image channels and resolutions"
    )]
    UnfitTeacher {
        /// Name of the teacher's space.
        space: String,
        /// What does not fit, with the values.
        problem: String,
    },
    /// A training image has a label that the network has no class for.
    #[error(
        "a training image has label {label}, but the network has {classes} classes, from 0 on; give its space more"
    )]
    NoSuchClass {
        /// The greatest label of the images.
        label: usize,
        /// Number of classes of the network.
        classes: usize,
    },
    /// The loss, or a weight after a step, is not finite.
    #[error(
        "{broken} in phase `{phase}`, epoch {epoch}, step {step}, archs {archs}, learning rate {learning_rate}; \
         resuming would fail again: start a new run with a lower learning rate or with clip_norm, and set \
         training.start to this run to keep its weights (newest checkpoint: {checkpoint})",
        broken = broken(*loss)
    )]
    NonFiniteLoss {
        /// The loss. If it is finite, the weights after the step are not.
        loss: f64,
        /// Name of the phase.
        phase: String,
        /// Epoch of the phase, from 1.
        epoch: usize,
        /// Step of the epoch, from 1.
        step: usize,
        /// Archs of the step, separated by spaces.
        archs: String,
        /// Learning rate of the step.
        learning_rate: f64,
        /// Path of the last checkpoint, or `none`.
        checkpoint: String,
    },
    /// In fine-tuning, the loss, or a weight after a step, is not finite.
    #[error(
        "{broken} in epoch {epoch}, step {step} of fine-tuning {arch}, learning rate {learning_rate}: lower \
         fine_tune.learning_rate or set clip_norm in the recipe",
        broken = broken(*loss)
    )]
    NonFiniteFineTuning {
        /// The loss. If it is finite, the weights after the step are not.
        loss: f64,
        /// The fine-tuned subnet.
        arch: String,
        /// Epoch, from 1.
        epoch: usize,
        /// Step of the epoch, from 1.
        step: usize,
        /// Learning rate of the step.
        learning_rate: f64,
    },
    /// A search has an impossible setting or target.
    #[error("{method}: {problem}")]
    InvalidSearch {
        /// Name of the method.
        method: &'static str,
        /// What is wrong, with the values.
        problem: String,
    },
    /// In a search, the loss, or a weight after the step, is not finite.
    #[error(
        "loss or weights are not finite (loss {loss}) in step {step} of the search by {method}; resuming would fail again: \
         start a new search with a lower learning rate or with clip_norm"
    )]
    NonFiniteSearch {
        /// Name of the method.
        method: &'static str,
        /// The loss; NaN if only weights were found not to be finite.
        loss: f64,
        /// Step of the search, from 1.
        step: u64,
    },
    /// A search was asked to stop. All progress is in the checkpoint, if checkpoints are enabled.
    #[error("interrupted in the search by {method} after step {step} of {steps}")]
    SearchInterrupted {
        /// Name of the method.
        method: &'static str,
        /// Completed steps.
        step: u64,
        /// Steps of the whole search.
        steps: u64,
    },
    /// Training was asked to stop. All progress is in the checkpoint, if checkpoints are enabled.
    #[error("interrupted in phase `{phase}`, epoch {epoch}, after step {step}")]
    Interrupted {
        /// Name of the phase.
        phase: String,
        /// Epoch of the phase, from 1.
        epoch: usize,
        /// Completed steps of the epoch; 0 after the end of the previous epoch or phase.
        step: usize,
    },
    /// The checkpoint belongs to a run with another schedule or recipe.
    #[error(
        "{path}: checkpoint belongs to another schedule or recipe; restore the old configuration or start a new run",
        path = path.display()
    )]
    OtherSchedule {
        /// Path of the checkpoint.
        path: PathBuf,
    },
    /// The checkpoint belongs to a run with another seed or other batches.
    #[error(
        "{path}: checkpoint was written with {what} = {saved}, but this run has {given}; restore the old value or \
         start a new run",
        path = path.display()
    )]
    OtherRun {
        /// Path of the checkpoint.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// Value in the checkpoint.
        saved: u64,
        /// Value in this run.
        given: u64,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Underlying I/O error.
        source: std::io::Error,
    },
    /// Weights or optimizer state could not be serialised or deserialised.
    #[error("{what}: {problem}")]
    Record {
        /// File of the checkpoint that failed.
        what: &'static str,
        /// Reason.
        problem: String,
    },
    /// An intact checkpoint holds weights that are not finite, or variances below zero.
    #[error(
        "{path}: {problem}; remove this checkpoint to go on from the one before it, or start a new run",
        path = path.display()
    )]
    UnsoundCheckpoint {
        /// File of the checkpoint.
        path: PathBuf,
        /// The tensor and its number.
        problem: String,
    },
    /// Data that must be identical on all ranks is not.
    #[error(
        "{what} of rank {rank} differ from those of rank 0: all ranks need the same program, the same processor type \
         and a shared file system"
    )]
    RanksDiffer {
        /// What differs, as a plural noun.
        what: &'static str,
        /// First rank that differs from rank 0.
        rank: usize,
    },
    /// MPI could not be initialised.
    #[error("MPI: {problem}")]
    Mpi {
        /// Reason.
        problem: String,
    },
    /// A checkpoint could not be written, the directory of checkpoints not be read, a space has no such network, or a
    /// network cannot be quantised.
    #[error(transparent)]
    Directory(#[from] ofa_model::ModelError),
    /// An image could not be read.
    #[error(transparent)]
    Data(#[from] ofa_data::DataError),
}

/// Describes what is not finite after a step with this loss.
fn broken(loss: f64) -> String {
    if loss.is_finite() { format!("weights are not finite after a loss of {loss}") } else { format!("loss is {loss}") }
}
