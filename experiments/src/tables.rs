//! The accuracy and latency tables of a run, the accuracy predictor, and the error of each.

pub mod choice_costs;
pub mod fit;
pub mod kit;
pub mod latency;
pub mod latency_check;
pub mod measured;
mod parts;
pub mod predictor_curve;
pub mod score_files;

use crate::config::{ExperimentConfig, TableConfig};
use crate::console::heartbeat;
use crate::console::interrupt;
use crate::console::say;
use crate::run::run_dir::{RunDir, make_dir};
use anyhow::{Context, Result};
use burn::tensor::Device;
use fit::{Fit, PredictedMeasured};
use ofa_data::random::{Purpose, stream};
use ofa_model::{Arch, Supernet};
use ofa_search::predictors::MlpPredictor;
use ofa_search::statistics::{HeldOut, kendall_tau, rmse};
use ofa_search::{Accuracies, AccuracyHeader, AccuracyTable};
use ofa_train::{Evaluator, Ranks, TrainError};
use parts::{Job, Measured};
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

/// Measures the accuracy of random subnets, or of those an interrupted run has left to do, divided among the ranks.
///
/// # Errors
///
/// If an existing table is of other weights or data, the table cannot be written, or a stop was requested.
pub fn accuracy(
    config: &ExperimentConfig,
    supernet: &Supernet,
    evaluator: &mut Evaluator,
    source: String,
    dir: &RunDir,
    stop: &AtomicBool,
    ranks: &dyn Ranks,
) -> Result<AccuracyTable> {
    let header = AccuracyHeader {
        space: config.space.name.clone(),
        seed: config.seed,
        validation_images: evaluator.evaluation_images(),
        calibration_images: evaluator.calibration_images(),
        source,
        int8: config.tables.int8.map(|settings| settings.to_string()),
    };
    let rng = &mut stream(config.seed, Purpose::Sample, &[]);
    let archs: Vec<Arch> = (0..config.tables.archs).map(|_| config.space.sample(rng)).collect();
    let path = dir.path("tables/accuracy.csv");
    make_parent(&path)?;
    let job = Job { path: &path, header: &header, space: &config.space, archs: &archs };
    let last_said = Cell::new(0);
    let measure = |arch: &Arch| -> Measured {
        interrupt::check(stop)?;
        let subnet = evaluator.calibrated(supernet, arch)?;
        let top1 = evaluator.subnet_top1(&subnet)?;
        let in_int8 = |settings| -> Result<f64, TrainError> {
            let quantised = evaluator.quantized(&subnet, settings)?;
            evaluator.subnet_top1(&quantised)
        };
        Ok(Accuracies { top1, int8_top1: config.tables.int8.as_ref().map(in_int8).transpose()? })
    };
    let progress = |done: usize, total: usize, _: &_| {
        heartbeat::at(|| format!("{done} of {total} subnets"));
        if ranks.is_first() && done * 10 / total > last_said.get() {
            last_said.set(done * 10 / total);
            let share = if ranks.size() > 1 { " of rank 0" } else { "" };
            say(&format!("accuracy table: {done} of {total} subnets{share}"));
        }
    };
    job.run(ranks, measure, progress)
}

/// Fits the accuracy predictor and evaluates it on held-out rows.
///
/// # Errors
///
/// If there are too few rows.
pub fn predictor(config: &ExperimentConfig, table: &AccuracyTable, device: &Device) -> Result<(MlpPredictor, Fit)> {
    let TableConfig { predictor, holdout_fraction, .. } = &config.tables;
    let (predictor, report) =
        MlpPredictor::fit_with_report(&config.space, &table.samples(), predictor, *holdout_fraction, device)?;
    Ok((predictor, agreement(report.held_out)))
}

/// [`fit()`] for held-out archs.
pub fn agreement(judged: Vec<HeldOut>) -> Fit {
    let point =
        |HeldOut { arch, predicted, measured }| PredictedMeasured { arch: arch.to_string(), predicted, measured };
    fit(judged.into_iter().map(point).collect())
}

/// RMSE, mean relative error and Kendall's tau of predictions against measurements.
pub fn fit(points: Vec<PredictedMeasured>) -> Fit {
    let (predicted, measured): (Vec<f64>, Vec<f64>) = points.iter().map(|pair| (pair.predicted, pair.measured)).unzip();
    let pairs = predicted.iter().zip(&measured);
    let relative: f64 = pairs.map(|(predicted, measured)| ((predicted - measured) / measured).abs()).sum();
    Fit {
        rmse: rmse(&predicted, &measured),
        mape: relative / measured.len().max(1) as f64,
        kendall_tau: kendall_tau(&predicted, &measured),
        points,
    }
}

/// Share of the points whose prediction is within 10 % of the measurement.
pub fn within_10_percent(fit: &Fit) -> f64 {
    let near = fit.points.iter().filter(|point| ((point.predicted - point.measured) / point.measured).abs() <= 0.1);
    near.count() as f64 / fit.points.len().max(1) as f64
}

/// One-line summary of the agreement of table latencies with measured ones.
pub fn latency_agreement(fit: &Fit) -> String {
    // All measurements are equal: there is no order to agree with.
    let tau = if fit.kendall_tau.is_nan() { "undefined".to_owned() } else { format!("{:.3}", fit.kendall_tau) };
    format!(
        "mean error {:.2} %, {:.1} % within 10 %, Kendall tau {tau}",
        100.0 * fit.mape,
        100.0 * within_10_percent(fit)
    )
}

/// Different archs, `count` of them or as many as `sample` finds.
fn different_archs(count: usize, mut sample: impl FnMut() -> Arch) -> Vec<Arch> {
    let mut known = HashSet::new();
    (0..100 * count).map(|_| sample()).filter(|arch| known.insert(arch.clone())).take(count).collect()
}

fn make_parent(path: &std::path::Path) -> Result<()> {
    let parent = path.parent().context("a table has a directory")?;
    make_dir(parent)
}
