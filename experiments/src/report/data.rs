//! All data of a report, as stored in `report.json` of a run directory.

use crate::deployment::scenarios::Answer;
use crate::deployment::specialise::{Chosen, Extreme};
use crate::machine::environment::Machine;
use crate::run::records::{PhaseTime, SpaceSummary, TablePoint};
use crate::run::watched::Watched;
use crate::tables::fit::{Fit, nan_if_null};
use ofa_train::EpochRecord;
use serde::{Deserialize, Serialize};

/// The results of one run of the main job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportData {
    /// Preset of the configuration.
    pub preset: String,
    /// Images, e.g. `Fashion-MNIST (50000 train, 10000 validation, 10000 test images)`.
    pub data: String,
    /// Seed of all random numbers.
    pub seed: u64,
    /// The machine it ran on.
    pub machine: Machine,
    /// The search space.
    pub space: SpaceSummary,
    /// Wall time of each phase, in order.
    pub phases: Vec<PhaseTime>,
    /// Peak resident memory of the process in MiB; `None` where the system does not report it.
    pub peak_memory_mib: Option<f64>,
    /// One record per epoch.
    pub epochs: Vec<EpochRecord>,
    /// Validation accuracy of the watched subnets after each phase.
    pub watched: Vec<Watched>,
    /// Accuracy predictor against measured accuracies, on held-out rows.
    pub accuracy_fit: Fit,
    /// Latency table against whole networks it was not fitted to.
    pub latency_fit: Fit,
    /// Fraction of these networks whose latency by table is within 10 % of the measured one.
    #[serde(deserialize_with = "nan_if_null")]
    pub latency_within_10_percent: f64,
    /// What latencies were measured on, with its threads; `None` if it is the machine's device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_device: Option<String>,
    /// The onnxruntime that chosen subnets were timed in as well, with its threads; `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onnxruntime: Option<String>,
    /// The accuracy table.
    pub table: Vec<TablePoint>,
    /// Answer of each strategy to each scenario.
    pub answers: Vec<Answer>,
    /// The best answer of each scenario, extracted and measured.
    pub chosen: Vec<Chosen>,
    /// The largest and the smallest subnet on the test set.
    pub extremes: Vec<Extreme>,
}
