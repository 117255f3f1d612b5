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
    /// A device cannot compute in the format that the recipe asks for.
    #[error("precision is bf16, which {device} cannot compute in: take f32 or another device")]
    NoSuchPrecision {
        /// The device.
        device: String,
    },
    /// A teacher from elsewhere cannot judge the images that are trained on.
    #[error(
        "the teacher, of space `{space}`, {problem}: give one with the classes, image channels and resolutions of what \
         it teaches"
    )]
    UnfitTeacher {
        /// Name of the teacher's space.
        space: String,
        /// What does not fit, with the values.
        problem: String,
    },
    /// The loss, or what a step made of the weights, is no longer a number.
    #[error(
        "{broken} in stage `{stage}`, epoch {epoch}, step {step}, archs {archs}, learning rate {learning_rate}; this \
         run would end so again: begin another with a lower learning rate or with clip_norm, and with training.start \
         naming this run to keep what it has learnt (newest checkpoint: {checkpoint})",
        broken = broken(*loss)
    )]
    NonFiniteLoss {
        /// The loss; where it is a number, it is the weights after the step that are none.
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
    /// The loss of fine-tuning, or what a step made of the weights, is no longer a number.
    #[error(
        "{broken} in epoch {epoch}, step {step} of fine-tuning {arch}, learning rate {learning_rate}: lower \
         fine_tune.learning_rate or set clip_norm in the recipe",
        broken = broken(*loss)
    )]
    NonFiniteFineTuning {
        /// The loss; where it is a number, it is the weights after the step that are none.
        loss: f64,
        /// The subnet.
        arch: String,
        /// Epoch, from 1.
        epoch: usize,
        /// Step of the epoch, from 1.
        step: usize,
        /// Learning rate of the step.
        learning_rate: f64,
    },
    /// Training was asked to stop; everything done so far is in the checkpoint, if there is one.
    #[error("interrupted in stage `{stage}`, epoch {epoch}, after step {step}")]
    Interrupted {
        /// Name of the stage.
        stage: String,
        /// Epoch of the stage, from 1.
        epoch: usize,
        /// Steps of the epoch that were done; 0 after the end of the epoch or stage before.
        step: usize,
    },
    /// A checkpoint belongs to a training of another schedule or recipe.
    #[error("{path}: this checkpoint is of another schedule or recipe; start a new run or restore the old configuration", path = path.display())]
    OtherSchedule {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A checkpoint belongs to a training of another seed or other batches.
    #[error(
        "{path}: this checkpoint was made with {saved} as {what}, now it is {given}; restore that or start a new run",
        path = path.display()
    )]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// Its value in the checkpoint.
        saved: u64,
        /// Its value now.
        given: u64,
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

/// What is no number after a step of this loss.
fn broken(loss: f64) -> String {
    if loss.is_finite() { format!("weights are not finite after a loss of {loss}") } else { format!("loss is {loss}") }
}
