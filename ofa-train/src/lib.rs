//! The learner: progressive shrinking of a once-for-all network (paper, section 3.3), and every other schedule that
//! runs through the same loop.
//!
//! A [`Schedule`] is plain data, an [`ArchSampler`] picks the subnets of each step, [`step_gradients`] turns a batch
//! into summed gradients, and [`train`] is the only training loop. An ablation changes values, not code.
//!
//! A [`TrainRun`] takes what is yours: an [`ArchSampler`], a [`Loss`], an optimizer. [`train`] takes any
//! [`ElasticNetwork`](ofa_model::ElasticNetwork). [`baselines`] are the searches that once-for-all networks are compared
//! with.
//!
//! ```text
//! Schedule (phases) --> TrainRun --> train() --> TrainOutcome: supernet, teacher, watched subnets
//!                        |   |          |
//!               Loader --+   |          +-- each step: ArchSampler -> step_gradients -> optimizer
//!   ArchSampler, Loss, ------+          +-- each epoch: CheckpointDir, Evaluator, TrainObserver
//!   optimizer, Ranks
//! ```
//!
//! ```
//! use burn::tensor::Device;
//! use ofa_data::{AugmentConfig, FashionMnist, Loader, LoaderConfig, View};
//! use ofa_model::{SearchSpace, SupernetConfig};
//! use ofa_train::{Evaluator, Recipe, ScheduleKind, ScheduleRecipe, TrainRun, train};
//!
//! let device = Device::flex();
//! let space = SearchSpace::small_mobilenet_v3(1, 10);
//! let supernet = SupernetConfig::new(space.clone())?.with_seed(1).init(&device.clone().autodiff());
//!
//! let splits = FashionMnist::embedded(1)?;
//! let view = View::Train(AugmentConfig::small_images());
//! let config = LoaderConfig { batch_size: 16, seed: 1, view, drop_last: true, prefetch: 2 };
//! let loader = Loader::new(splits.train.subset(32, 1), config, splits.normalisation())?;
//! let (calibration, validation) = (splits.train.subset(32, 2), splits.validation.subset(50, 1));
//! let mut evaluator = Evaluator::new(calibration, validation, 50, &splits.normalisation(), &device);
//!
//! // One epoch of the largest network; other kinds, and schedules of your own, are values of the same type.
//! let mut recipe = ScheduleRecipe::iclr2020();
//! recipe.full.epochs = 1;
//! recipe.full.warmup_epochs = 0.0;
//! let schedule = ScheduleKind::FullOnly.schedule(&space, &recipe);
//!
//! let watched = [space.largest()];
//! let recipe = Recipe::default();
//! let run = TrainRun { watched: &watched, ..TrainRun::new(&schedule, &recipe, &loader, &device) };
//! let outcome = train(supernet, &run, &mut evaluator, &mut ())?;
//! assert!((0.0..=1.0).contains(&outcome.watched[0].top1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The guide has more: `docs/src/guides/schedules.md`, `docs/src/concepts/shrinking.md`.

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
pub use step::{StepNumbers, StepOutput, StepRules, Teaching, UnreadNumbers, step_gradients};
pub use teacher::teacher_logits;
pub use train::{TrainObserver, train};
pub use weights::weights_sha256;
