//! Everything a report shows, as plain data: `report.json` of a run directory.

use crate::deployment::scenarios::Answer;
use crate::deployment::specialise::{Chosen, Extreme};
use crate::machine::environment::Machine;
use crate::run::records::{PhaseTime, SpaceSummary, TablePoint};
use crate::run::watched::Watched;
use crate::tables::fit::{Fit, nan_if_null};
use ofa_train::EpochRecord;
use serde::{Deserialize, Serialize};

/// The numbers of one run of the main job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportData {
    /// Preset or configuration file the run was started with.
    pub preset: String,
    /// Images, e.g. `Fashion-MNIST (50,000 train, 10,000 validation, 10,000 test)`.
    pub data: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Where it ran.
    pub machine: Machine,
    /// What was searched.
    pub space: SpaceSummary,
    /// Wall time of each phase, in order.
    pub phases: Vec<PhaseTime>,
    /// Largest resident memory of the process, if the system tells.
    pub peak_memory_mib: Option<f64>,
    /// One record an epoch.
    pub epochs: Vec<EpochRecord>,
    /// Validation accuracy of the watched subnets after each stage.
    pub watched: Vec<Watched>,
    /// How well the accuracy predictor does on rows it was not fitted on.
    pub accuracy_fit: Fit,
    /// How well the latency table does on whole networks.
    pub latency_fit: Fit,
    /// Latencies of the check within 10 % of the measured ones, as a share.
    #[serde(deserialize_with = "nan_if_null")]
    pub latency_within_10_percent: f64,
    /// The accuracy table.
    pub table: Vec<TablePoint>,
    /// What each strategy found for each scenario.
    pub answers: Vec<Answer>,
    /// The best answer of each scenario, extracted and measured.
    pub chosen: Vec<Chosen>,
    /// The largest and the smallest subnet on the test set.
    pub extremes: Vec<Extreme>,
}
