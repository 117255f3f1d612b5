//! Accuracy and latency tables of a once-for-all network, accuracy predictors, and searches for the best arch under a
//! budget.
//!
//! - [`AccuracyTable`] and [`LatencyTable`] are measured once, row by row. An interrupted build resumes where it
//!   stopped.
//! - A [`Predictor`] scores archs: one of [`predictors`], fitted to a table; [`TableAccuracy`]; or any closure.
//! - A [`Problem`] is a space, a predictor to maximise and [`Constraint`]s. In [`search()`] a [`SearchStrategy`] only
//!   proposes archs; the loop checks feasibility, counts queries and enforces the budget, so strategies are compared at
//!   equal queries.
//! - A [`Front`] keeps the best trade-offs found by a search. [`search_and_measure`] measures the archs predicted best.
//! - An [`AdditiveProblem`], whose score and cost are sums over blocks, is solved exactly, without a search.
//!
//! ```text
//! archs --measure--> AccuracyTable --fit--> Predictor --+
//! units --measure--> LatencyTable  --> Constraint ------+--> Problem --search(SearchStrategy)--> best Arch, Front
//! ```
//!
//! Names of daily use are at the root; [`cost`], [`predictors`], [`statistics`] and [`timing`] hold the rest.
//!
//! This crate never sees images or training: archs are measured by a closure that the caller passes in.
//!
//! ```
//! use burn::tensor::Device;
//! use ofa_model::{Arch, SearchSpace};
//! use ofa_search::predictors::{MlpConfig, MlpPredictor};
//! use ofa_search::{AccuracyHeader, AccuracyTable, Budget, Constraint, Evolution, Problem, search};
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
//!     int8: None,
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
//!
//! The guide has more: `docs/src/concepts/tables.md`, `docs/src/guides/search.md`.

pub mod cost;
mod error;
mod predictor;
pub mod predictors;
mod problem;
mod search;
pub mod statistics;
mod strategies;
mod tables;
#[cfg(test)]
mod testing;
pub mod timing;

pub use error::SearchError;
pub use predictor::Predictor;
pub use problem::{Budget, Constraint, Problem, Trial};
pub use search::{
    AdditiveProblem, Front, Improvement, MeasuredTrial, Optimum, Rejected, Remeasured, SearchOutcome, Stop,
    cheapest_arch, original_evolution, search, search_and_measure,
};
pub use strategies::{
    AgeingConfig, AgeingEvolution, Ascent, Evolution, EvolutionConfig, Exhaustive, LocalSearch, Nsga2, Nsga2Config,
    RandomSearch, SearchStrategy, StrategyKind, TableAccuracy, TableLookup,
};
pub use tables::{
    Accuracies, AccuracyHeader, AccuracyRow, AccuracyTable, LatencyHeader, LatencyTable, Measure, MeasuredNetwork,
    MeasuredNetworks, NetworkFit, NetworkLatencies, OriginalLatencyTable, Overhead,
};
