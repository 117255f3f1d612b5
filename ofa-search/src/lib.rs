//! Accuracy and latency tables of a once-for-all network, accuracy predictors, and searches for the best arch under a
//! budget.
//!
//! - [`AccuracyTable`] and [`LatencyTable`] are measured once, row by row. An interrupted build resumes where it
//!   stopped.
//! - A [`Predictor`] scores archs: [`MlpPredictor`], fitted to a table; [`TableAccuracy`]; or any closure.
//! - A [`Problem`] is a space, a predictor to maximise and [`Constraint`]s. In [`search()`] a [`SearchStrategy`] only
//!   proposes archs; the loop checks feasibility, counts queries and enforces the budget, so strategies are compared at
//!   equal queries.
//! - A [`Front`] keeps the best trade-offs found by a search. [`search_and_measure`] measures the archs predicted best.
//! - An [`AdditiveProblem`], whose score and cost are sums over blocks, is solved exactly, without a search.
//!
//! This crate never sees images or training: archs are measured by a closure that the caller passes in.
//!
//! ```
//! use burn::tensor::Device;
//! use ofa_model::{Arch, SearchSpace};
//! use ofa_search::*;
//! use rand::SeedableRng;
//! use rand_chacha::ChaCha8Rng;
//! use std::convert::Infallible;
//!
//! let space = SearchSpace::small_mobilenet_v3(1, 10);
//! let rng = &mut ChaCha8Rng::seed_from_u64(1);
//! let archs: Vec<Arch> = (0..40).map(|_| space.sample(rng)).collect();
//!
//! // Measure once. A real closure calibrates and evaluates the subnet; this one rewards depth.
//! let dir = tempfile::tempdir()?;
//! let header = AccuracyHeader {
//!     space: space.name.clone(),
//!     seed: 1,
//!     validation_images: 10_000,
//!     calibration_images: 2_000,
//!     source: "weights and data".into(),
//! };
//! let measure = |arch: &Arch| Ok::<_, Infallible>(0.8 + 0.01 * arch.depths().iter().sum::<usize>() as f64);
//! let table =
//!     AccuracyTable::measure(&dir.path().join("accuracy.csv"), &header, &space, &archs, measure, |_, _, _| ())?;
//!
//! // Fit once, then answer any number of scenarios.
//! let config = MlpConfig { epochs: 20, ..MlpConfig::default() };
//! let predictor = MlpPredictor::fit(&space, &table.samples(), &config, &Device::flex())?;
//! for limit in [1.5e6, 2e6] {
//!     let problem = Problem { space: &space, objective: &predictor, constraints: vec![Constraint::macs(&space, limit)] };
//!     let outcome = search(&problem, &mut Evolution::default(), Budget::new(500), rng, |_trial| ())?;
//!     assert!(outcome.best.costs[0] <= limit);
//!     assert_eq!(outcome.queries, 500);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod accuracy;
mod additive_cost;
mod additive_problem;
mod ageing_evolution;
mod change;
mod cheapest;
mod correlation;
mod draws;
mod encoding;
mod error;
mod evolution;
mod exhaustive;
mod fit_report;
mod front;
mod interpolated;
mod kernel_ridge;
mod latency;
mod local_search;
mod mlp;
mod nsga2;
mod original_evolution;
mod pacemaker;
mod pareto;
mod predictor;
mod predictor_kind;
mod problem;
mod quantile;
mod random;
mod remeasure;
mod search;
mod seen;
mod strategy;
mod table;
mod table_file;
#[cfg(test)]
mod testing;
mod timing;
mod unit_key;

pub use accuracy::{AccuracyHeader, AccuracyRow, AccuracyTable};
pub use additive_cost::{AdditiveCost, PlacedBlock, distinct_units};
pub use additive_problem::{AdditiveProblem, Optimum};
pub use ageing_evolution::{AgeingConfig, AgeingEvolution};
pub use cheapest::cheapest_arch;
pub use correlation::{kendall_tau, rmse, spearman};
pub use encoding::ArchEncoder;
pub use error::SearchError;
pub use evolution::{Evolution, EvolutionConfig};
pub use exhaustive::Exhaustive;
pub use fit_report::{FitReport, HeldOut};
pub use front::Front;
pub use interpolated::InterpolatedAccuracy;
pub use kernel_ridge::KernelRidge;
pub use latency::{LatencyHeader, LatencyTable, NetworkFit, OriginalLatencyTable, Overhead, read_measured};
pub use local_search::{Ascent, LocalSearch};
pub use mlp::{MlpConfig, MlpPredictor, Prediction};
pub use nsga2::{Nsga2, Nsga2Config};
pub use original_evolution::original_evolution;
pub use pacemaker::Pacemaker;
pub use pareto::{hypervolume, pareto_front};
pub use predictor::Predictor;
pub use predictor_kind::{Fitted, PredictorKind};
pub use problem::{Budget, Constraint, Problem, Trial};
pub use quantile::{median, quantile};
pub use random::RandomSearch;
pub use remeasure::{MeasuredTrial, Remeasured, search_and_measure};
pub use search::{Improvement, Rejected, SearchOutcome, Stop, search};
pub use strategy::{SearchStrategy, StrategyKind};
pub use table::{TableAccuracy, TableLookup};
pub use timing::{Latency, LatencyConfig, TimedRun, Timing, time_interleaved};
