//! Everything a report shows, as plain data: `report.json` of a run directory.

use ofa_train::EpochRecord;
use serde::{Deserialize, Deserializer, Serialize};

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

/// Where a run ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Backend and device.
    pub device: String,
    /// Worker threads.
    pub threads: usize,
    /// Processor model.
    pub processor: String,
    /// Operating system.
    pub system: String,
    /// Source revision, with `-dirty` if files were changed.
    pub revision: String,
    /// Versions of this workspace and of burn.
    pub versions: String,
    /// Start, ISO 8601.
    pub started: String,
}

/// The searched space in a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpaceSummary {
    /// Name.
    pub name: String,
    /// Number of networks, resolutions not counted.
    pub networks: String,
    /// Resolutions in pixels.
    pub resolutions: Vec<usize>,
    /// MACs of the smallest and the largest subnet.
    pub macs: [u64; 2],
    /// Parameters of the smallest and the largest subnet.
    pub parameters: [u64; 2],
}

/// Wall time of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseTime {
    /// Phase.
    pub name: String,
    /// Wall seconds.
    pub seconds: f64,
}

/// Accuracy of a watched subnet after a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// Stage.
    pub stage: String,
    /// `smallest`, `largest`, `random 1`, ...
    pub label: String,
    /// The arch as text.
    pub arch: String,
    /// Top-1 on validation, 0 to 1.
    pub top1: f64,
}

/// JSON has no NaN: what could not be computed, such as a correlation of equal values, is written as `null`.
fn nan_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Predicted against measured values with the usual figures of agreement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// The pairs.
    pub points: Vec<PredictedMeasured>,
    /// Root mean square error, in the unit of the values.
    #[serde(deserialize_with = "nan_if_null")]
    pub rmse: f64,
    /// Mean absolute percentage error, as a share.
    #[serde(deserialize_with = "nan_if_null")]
    pub mape: f64,
    /// Kendall rank correlation.
    #[serde(deserialize_with = "nan_if_null")]
    pub kendall_tau: f64,
}

/// One pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictedMeasured {
    /// The arch as text.
    pub arch: String,
    /// Predicted value.
    pub predicted: f64,
    /// Measured value.
    pub measured: f64,
}

/// A row of the accuracy table with its costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TablePoint {
    /// The arch as text.
    pub arch: String,
    /// Measured top-1 on validation, 0 to 1.
    pub top1: f64,
    /// Latency by table.
    pub latency_ms: f64,
    /// MACs.
    pub macs: u64,
}

/// What a strategy found for a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Scenario, e.g. `latency 0.9 ms` (also names the subnet's directory).
    pub scenario: String,
    /// Strategy.
    pub strategy: String,
    /// The arch as text.
    pub arch: String,
    /// Top-1 by the predictor (table look-up: by the table), 0 to 1.
    pub predicted_top1: f64,
    /// Latency by table.
    pub predicted_ms: f64,
    /// MACs.
    pub macs: u64,
    /// Objective evaluations spent.
    pub queries: usize,
    /// Wall seconds of the search.
    pub seconds: f64,
    /// Best score so far: (query, score) at each improvement.
    pub curve: Vec<(usize, f64)>,
}

/// A chosen subnet, measured for real.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// Scenario.
    pub scenario: String,
    /// The strategy whose answer it is.
    pub strategy: String,
    /// The arch as text.
    pub arch: String,
    /// Parameters.
    pub parameters: u64,
    /// MACs.
    pub macs: u64,
    /// Top-1 by the predictor or table, 0 to 1.
    pub predicted_top1: f64,
    /// Top-1 on validation after calibration, 0 to 1.
    pub validation_top1: f64,
    /// Top-1 on test after calibration, 0 to 1.
    pub test_top1: f64,
    /// Top-1 on test after fine-tuning and calibration, if it was fine-tuned.
    pub fine_tuned_test_top1: Option<f64>,
    /// Latency by table.
    pub predicted_ms: f64,
    /// Median latency of the whole network, at the pace of the table.
    pub measured_ms: f64,
    /// The same as a stopwatch has it, at the pace that the machine had just then; earlier versions did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopwatch_ms: Option<f64>,
}

impl Chosen {
    /// Its name in the directory of a run's subnet.
    pub const FILE: &str = "metrics.json";
}

/// The largest or the smallest subnet on the test set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extreme {
    /// `largest` or `smallest`.
    pub label: String,
    /// The arch as text.
    pub arch: String,
    /// MACs.
    pub macs: u64,
    /// Parameters.
    pub parameters: u64,
    /// Top-1 on test after calibration, 0 to 1.
    pub test_top1: f64,
}
