//! The learner: progressive shrinking of a once-for-all network (paper, section 3.3), and anything that is the same
//! loop over other data.
//!
//! A [`ShrinkSchedule`] is plain data, an [`ArchSampler`] decides which subnets a step trains, [`shrink_step`] turns a
//! batch into summed gradients, and [`shrink`] is the only loop. An ablation changes a value, not code.

mod checkpoint;
mod distill;
mod error;
mod evaluate;
mod fine_tune;
mod progress;
mod random;
mod recipe;
mod sampler;
mod saved_supernet;
mod schedule;
mod shrink;
mod state;
mod step;

pub use checkpoint::{CheckpointDir, DamagedCheckpoint};
pub use error::TrainError;
pub use evaluate::{Evaluator, Scores};
pub use fine_tune::{FineTune, fine_tune};
pub use progress::{EpochRecord, WatchedRecord};
pub use recipe::Recipe;
pub use sampler::{ArchSampler, SandwichSampler, StepKey, UniformSampler};
pub use saved_supernet::SavedSupernet;
pub use schedule::{Phase, ShrinkRecipe, ShrinkSchedule, ShrinkStage};
pub use shrink::{ShrinkObserver, ShrinkOutcome, ShrinkRun, shrink};
pub use step::{StepNumbers, StepOutput, StepTargets, shrink_step};
