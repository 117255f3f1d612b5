//! All data of a report, as stored in `report.json` of a run directory.

use ofa_train::EpochRecord;
use serde::{Deserialize, Deserializer, Serialize};

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
    /// Validation accuracy of the watched subnets after each stage.
    pub watched: Vec<Watched>,
    /// Accuracy predictor against measured accuracies, on held-out rows.
    pub accuracy_fit: Fit,
    /// Latency table against whole networks it was not fitted to.
    pub latency_fit: Fit,
    /// Fraction of these networks whose latency by table is within 10 % of the measured one.
    #[serde(deserialize_with = "nan_if_null")]
    pub latency_within_10_percent: f64,
    /// The accuracy table.
    pub table: Vec<TablePoint>,
    /// Answer of each strategy to each scenario.
    pub answers: Vec<Answer>,
    /// The best answer of each scenario, extracted and measured.
    pub chosen: Vec<Chosen>,
    /// The largest and the smallest subnet on the test set.
    pub extremes: Vec<Extreme>,
}

/// Machine and software versions of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Device name, see `--device`.
    pub device: String,
    /// Compute threads.
    pub threads: usize,
    /// CPU model.
    pub processor: String,
    /// Operating system.
    pub system: String,
    /// Git revision, with `-dirty` if tracked files have changed.
    pub revision: String,
    /// Versions of this workspace and of burn.
    pub versions: String,
    /// Start time, ISO 8601 (UTC).
    pub started: String,
}

/// Summary of the search space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpaceSummary {
    /// Name of the space.
    pub name: String,
    /// Number of networks, not counting resolutions, in decimal.
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
    /// Phase, such as `training`.
    pub name: String,
    /// Wall-clock seconds, over all attempts.
    pub seconds: f64,
}

/// Accuracy of a watched subnet after a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
    /// Name of the stage.
    pub stage: String,
    /// `smallest`, `largest`, `random 1`, ...
    pub label: String,
    /// The arch as text.
    pub arch: String,
    /// Top-1 on validation, 0 to 1.
    pub top1: f64,
}

/// JSON has no NaN: undefined values, such as a correlation of equal values, are written as `null`.
fn nan_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Predicted against measured values, with measures of agreement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// Predicted and measured values.
    pub points: Vec<PredictedMeasured>,
    /// Root mean square error, in the unit of the values.
    #[serde(deserialize_with = "nan_if_null")]
    pub rmse: f64,
    /// Mean absolute relative error, as a fraction.
    #[serde(deserialize_with = "nan_if_null")]
    pub mape: f64,
    /// Kendall's rank correlation.
    #[serde(deserialize_with = "nan_if_null")]
    pub kendall_tau: f64,
}

/// Predicted and measured value of one arch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictedMeasured {
    /// The arch as text.
    pub arch: String,
    /// Predicted value: top-1 (0 to 1) or latency in milliseconds.
    pub predicted: f64,
    /// Measured value, in the same unit.
    pub measured: f64,
}

/// A row of the accuracy table, with its costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TablePoint {
    /// The arch as text.
    pub arch: String,
    /// Measured top-1 on validation, 0 to 1.
    pub top1: f64,
    /// Latency by table, in milliseconds.
    pub latency_ms: f64,
    /// MACs.
    pub macs: u64,
}

/// The best subnet that a strategy found for a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Name of the scenario, also of the subnet's directory, e.g. `latency-tight`.
    pub scenario: String,
    /// Name of the strategy.
    pub strategy: String,
    /// The arch as text.
    pub arch: String,
    /// Top-1 by the predictor (table look-up: by the table), 0 to 1.
    pub predicted_top1: f64,
    /// Latency by table, in milliseconds.
    pub predicted_ms: f64,
    /// MACs.
    pub macs: u64,
    /// Objective evaluations spent.
    pub queries: usize,
    /// Wall-clock seconds of the search.
    pub seconds: f64,
    /// Best-so-far curve: (query, score) at each improvement.
    pub curve: Vec<(usize, f64)>,
}

/// A chosen subnet, extracted and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chosen {
    /// Name of the scenario.
    pub scenario: String,
    /// Strategy that found it.
    pub strategy: String,
    /// The arch as text.
    pub arch: String,
    /// Parameters.
    pub parameters: u64,
    /// MACs.
    pub macs: u64,
    /// Top-1 by the predictor, 0 to 1.
    pub predicted_top1: f64,
    /// Top-1 on validation images after calibration, 0 to 1.
    pub validation_top1: f64,
    /// Top-1 on test images after calibration, 0 to 1.
    pub test_top1: f64,
    /// Top-1 on test images after fine-tuning and calibration; `None` if it was not fine-tuned.
    pub fine_tuned_test_top1: Option<f64>,
    /// Latency by table, in milliseconds.
    pub predicted_ms: f64,
    /// Median latency of the whole network, corrected to the pace of the table.
    pub measured_ms: f64,
    /// Raw median latency, uncorrected; absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopwatch_ms: Option<f64>,
}

impl Chosen {
    /// Name of the file that holds it, in the directory of a subnet.
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
    /// Top-1 on test images after calibration, 0 to 1.
    pub test_top1: f64,
}
