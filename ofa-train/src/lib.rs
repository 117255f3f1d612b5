//! The learner: progressive shrinking of a once-for-all network (paper, section 3.3), and every other schedule that
//! runs through the same loop.
//!
//! A [`Schedule`] is plain data, an [`ArchSampler`] picks the subnets of each step, [`step_gradients`] turns a batch
//! into summed gradients, and [`train`] is the only training loop. An ablation changes values, not code.
//!
//! A [`TrainRun`] takes what is yours: an [`ArchSampler`], a [`Loss`], an optimizer. [`train`] takes any
//! [`ElasticNetwork`](ofa_model::ElasticNetwork). [`baselines`] are the searches that once-for-all networks are compared
//! with.

mod average;
pub mod baselines;
mod checkpoint;
mod distill;
mod dropout;
mod error;
mod evaluate;
mod fine_tune;
mod gradients;
mod loss;
mod precision;
mod progress;
mod ranks;
mod recipe;
mod run;
mod sampler;
mod saved_supernet;
mod schedule;
mod state;
mod step;
mod teacher;
mod train;
mod weights;

pub use checkpoint::{CheckpointDir, DamagedCheckpoint};
pub use distill::{Distillation, SoftTargets, TeacherConfig, TeacherStatistics};
pub use dropout::Dropout;
pub use error::TrainError;
pub use evaluate::{Evaluator, Scores};
pub use fine_tune::{FineTune, fine_tune};
pub use loss::{Loss, Targets};
pub use precision::Precision;
pub use progress::{EpochRecord, WatchedRecord};
#[cfg(feature = "mpi")]
pub use ranks::MpiRanks;
pub use ranks::{OneRank, Ranks, ThreadRanks, same_on_all, spread};
pub use recipe::Recipe;
pub use run::{TrainOutcome, TrainRun};
pub use sampler::{
    ArchSampler, CoupledSampler, FixedSampler, NetworkSampler, ParetoSampler, Pick, Sampler, SandwichSampler, StepKey,
    UniformSampler,
};
pub use saved_supernet::SavedSupernet;
pub use schedule::{Annealing, ChoiceCounts, Opened, Phase, PhaseRecipe, Schedule, ScheduleKind, ScheduleRecipe};
pub use step::{StepNumbers, StepOutput, StepRules, Teaching, step_gradients};
pub use teacher::teacher_logits;
pub use train::{TrainObserver, train};
pub use weights::weights_sha256;
