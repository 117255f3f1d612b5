//! The accuracy and latency tables of a run, the accuracy predictor, and the error of each.

pub mod choice_costs;
pub mod fit;
pub mod kit;
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
use burn::tensor::{Device, Tensor};
use fit::{Fit, PredictedMeasured};
use ofa_data::random::{Purpose, stream};
use ofa_model::{Arch, SearchSpace, Supernet};
use ofa_search::predictors::MlpPredictor;
use ofa_search::statistics::{HeldOut, kendall_tau, rmse};
use ofa_search::timing::{LatencyConfig, Pacemaker, TimedRun, Timing, time_interleaved};
use ofa_search::{Accuracies, AccuracyHeader, AccuracyTable, LatencyHeader, LatencyTable, SearchError};
use ofa_train::{Evaluator, Ranks, TrainError};
use parts::{Job, Measured};
use std::cell::Cell;
use std::ops::ControlFlow;
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

/// Times every unit of the space, then whole networks: half of them fit the overhead, the other half validate the
/// table.
///
/// # Errors
///
/// If an existing table is of another device or space, the table cannot be written, or a stop was requested.
pub fn latency(
    config: &ExperimentConfig,
    supernet: &Supernet,
    device: &Device,
    dir: &RunDir,
    stop: &AtomicBool,
) -> Result<(LatencyTable, Fit)> {
    let path = dir.path("tables/latency.csv");
    make_parent(&path)?;
    let settings = &config.tables.latency;
    let last_said = Cell::new(0);
    let mut table = LatencyTable::measure(&path, &config.space, device, settings, |done, total, _, _| {
        heartbeat::at(|| format!("{done} of {total} units"));
        if done * 4 / total > last_said.get() {
            last_said.set(done * 4 / total);
            say(&format!("latency table: {done} of {total} units"));
        }
        if interrupt::check(stop).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    // Last chance to stop: timings of whole networks are not saved and would be lost.
    interrupt::check(stop)?;
    let rng = &mut stream(config.seed, Purpose::LatencyNetworks, &[]);
    let archs: Vec<Arch> = (0..config.tables.latency_networks).map(|_| config.space.sample(rng)).collect();
    heartbeat::at(|| format!("{} whole networks in turns", archs.len()));
    let mut pacemaker = pacemaker(&config.space, device, table.header());
    let timings = whole_networks(settings, supernet, &archs, device, pacemaker.as_mut())?;
    let measured: Vec<f64> = timings.iter().map(|timing| timing.at_usual_pace.median_ms).collect();
    let (fitted, judges) = archs.split_at(archs.len() / 2);
    let points: Vec<_> = fitted.iter().cloned().zip(measured.iter().copied()).collect();
    table = with_overhead(config, table, &points)?;
    table.save(&path)?;
    let judged = judges.iter().zip(&measured[fitted.len()..]).map(|(arch, &measured)| -> Result<HeldOut> {
        Ok(HeldOut { arch: arch.clone(), predicted: table.latency_ms(&config.space, arch)?, measured })
    });
    let fit = agreement(judged.collect::<Result<_>>()?);
    Ok((table, fit))
}

/// The table with the overhead of whole networks fitted to `points`, unless the fit is noise. A correction that more
/// than halves or doubles the latency of the smallest or the largest subnet means that the machine was too busy.
fn with_overhead(config: &ExperimentConfig, table: LatencyTable, points: &[(Arch, f64)]) -> Result<LatencyTable> {
    let space = &config.space;
    let mut fitted = table.clone();
    let problem = match fitted.fit_overhead(space, points) {
        Ok(overhead) => {
            let ratio = |arch: &Arch| -> Result<f64> {
                let sum = (fitted.latency_ms(space, arch)? - overhead.intercept_ms) / overhead.slope;
                Ok(fitted.latency_ms(space, arch)? / sum)
            };
            let ratios = [ratio(&space.smallest())?, ratio(&space.largest())?];
            if ratios.iter().all(|ratio| (0.5..=2.0).contains(ratio)) {
                return Ok(fitted);
            }
            format!(
                "the smallest and the largest network seem to take {:.2} and {:.2} times the sums of their units",
                ratios[0], ratios[1]
            )
        }
        Err(error @ SearchError::OverheadFit { .. }) => error.to_string(),
        Err(error) => return Err(error.into()),
    };
    say(&format!("warning: {problem}; using plain sums of units; measure again on an idle machine"));
    Ok(table)
}

/// Corrects timings to the pace of a table; `None` if the table records no pace.
pub fn pacemaker(space: &SearchSpace, device: &Device, table: &LatencyHeader) -> Option<Pacemaker<'static>> {
    table.pace_ms.map(|usual_ms| Pacemaker::at(space, device, table.batch, usual_ms))
}

/// Latencies of whole subnets, with interleaved repetitions.
///
/// # Errors
///
/// If the device fails.
pub fn whole_networks(
    settings: &LatencyConfig,
    supernet: &Supernet,
    archs: &[Arch],
    device: &Device,
    pacemaker: Option<&mut Pacemaker<'_>>,
) -> Result<Vec<Timing>> {
    let channels = supernet.space().image_channels;
    let run = |arch: &Arch| -> TimedRun {
        let subnet = supernet.subnet(arch);
        let images = Tensor::ones([settings.batch, channels, arch.resolution, arch.resolution], device);
        Box::new(move || subnet.infer(images.clone()))
    };
    Ok(time_interleaved(device, settings, &mut archs.iter().map(run).collect::<Vec<_>>(), pacemaker)?)
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

fn make_parent(path: &std::path::Path) -> Result<()> {
    let parent = path.parent().context("a table has a directory")?;
    make_dir(parent)
}
