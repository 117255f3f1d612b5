//! Finds the best network for many devices and budgets, from tables measured once.
//!
//! Command:  `ofa deploy --tables runs/mine --scenarios scenarios.toml --out scenarios`
//!           (`experiments/configs/scenarios.toml` is an example; `--tables DIR --space SPACE` for tables without a
//!           run)
//! Result:   the best network for each scenario, its predicted accuracy and costs, and its gain over the best uniformly
//!           scaled network; with `--out`, a new directory with answers.csv, front.csv, report.html (hover to see
//!           archs) and, if the run has a supernet, one calibrated subnet per scenario, for `ofa subnet export`
//! Hardware: any; nothing is trained except the predictor, and only exported subnets are calibrated

use anyhow::{Result, ensure};
use clap::Args;
use experiments::config::{Objective, SearchConfig};
use experiments::console::say;
use experiments::deployment::specialise::export_calibrated;
use experiments::deployment::{Answers, Devices, Found, answer};
use experiments::machine::device;
use experiments::options::command_line;
use experiments::options::space::OptionalSpace;
use experiments::report::{DeploymentPage, deployment_html};
use experiments::run::run_dir::{csv_text, ensure_new, make_dir, write_whole};
use experiments::run::supernet_file::SUPERNET;
use experiments::tables::measured::MeasuredTables;
use ofa_model::Supernet;
use ofa_search::predictors::MlpPredictor;
use ofa_search::statistics::FitReport;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Finds the best network for many deployment scenarios, from tables measured once.
#[derive(Args)]
#[command(
    after_help = "Example: ofa deploy --tables runs/mine --scenarios experiments/configs/scenarios.toml --out scenarios"
)]
pub struct Options {
    /// Run directory, or a directory with accuracy.csv (and latency.csv, for latency limits without a device)
    #[arg(long)]
    tables: PathBuf,
    /// TOML file with devices and scenarios
    #[arg(long)]
    scenarios: PathBuf,
    #[command(flatten)]
    space: OptionalSpace,
    /// Fraction of the accuracy table held out to evaluate the predictor
    #[arg(long, default_value_t = 0.25)]
    holdout: f64,
    /// Directory to create for the answers
    #[arg(long)]
    out: Option<PathBuf>,
    /// Does not export subnets
    #[arg(long)]
    no_export: bool,
    /// Device for the predictor and the exported subnets, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
}

pub fn run(options: &Options) -> Result<()> {
    options.out.as_deref().map_or(Ok(()), ensure_new)?;
    let device = device::by_name(&options.device)?;
    let tables = MeasuredTables::open(&options.tables, options.space.named()?)?;
    let file = SearchConfig::load(&options.scenarios)?;
    let mut devices = Devices::load(&file, &tables.space, || tables.latency())?;
    let int8 = if file.asks_for_int8() { Some(tables.accuracy.in_int8()?) } else { None };
    if let Some(int8) = &int8 {
        devices = devices.with_int8(MlpPredictor::fit(&tables.space, &int8.samples(), &tables.predictor, &device)?);
    }
    let accuracy = int8.as_ref().filter(|_| file.objective == Objective::Int8Top1).unwrap_or(&tables.accuracy);
    let started = Instant::now();
    let (predictor, fit) =
        MlpPredictor::fit_with_report(&tables.space, &accuracy.samples(), &tables.predictor, options.holdout, &device)?;
    say(&format!(
        "predictor from {} rows in {:.2} s: RMSE {:.2} %, Kendall tau {:.2} on {} held-out rows",
        tables.accuracy.rows().len(),
        started.elapsed().as_secs_f64(),
        100.0 * fit.rmse,
        fit.kendall_tau,
        fit.held_out.len()
    ));
    let started = Instant::now();
    let answers = answer(&file, &devices, accuracy, &predictor)?;
    let seconds = started.elapsed().as_secs_f64();
    answers.found.iter().for_each(print);
    say(&format!("{} scenarios in {seconds:.2} s", file.scenarios.len()));
    if let Some(out) = &options.out {
        write(out, options, &tables, &answers, &fit, seconds)?;
        if !options.no_export {
            match tables.run.as_deref().filter(|run| Supernet::is_saved_in(&run.join(SUPERNET))) {
                Some(run) => export_calibrated(run, &answers.archs(), &out.join("subnets"), &device)?,
                None => say("no subnets are exported: the tables do not belong to a run with a trained supernet"),
            }
        }
    }
    let problems: Vec<String> = answers
        .failed
        .iter()
        .map(|failed| format!("scenario `{}`: {}", failed.scenario.name, failed.problem))
        .collect();
    ensure!(
        problems.is_empty(),
        "{} of {} scenarios have no answer:\n{}",
        problems.len(),
        file.scenarios.len(),
        problems.join("\n")
    );
    Ok(())
}

/// A number with its sign and two decimals; what rounds to zero has none.
fn signed(value: f64) -> String {
    let text = format!("{value:+.2}");
    if ["+0.00", "-0.00"].contains(&text.as_str()) { "0.00".into() } else { text }
}

fn print(found: &Found) {
    let gain = found.gain().map_or("-".into(), |gain| signed(100.0 * gain));
    let (name, top1, axis) = (&found.scenario.name, 100.0 * found.predicted.mean, &found.axis);
    // Counts are integers; milliseconds and millijoules are not.
    let decimals = if ["MACs", "parameters"].contains(&axis.unit.as_str()) { 0 } else { 3 };
    let cost = format!("{:.decimals$} {}", found.cost, axis.unit);
    say(&format!("{name:<24} {top1:.2} % (gain {gain}) at {cost}  {}", found.arch));
}

fn write(
    out: &Path,
    options: &Options,
    tables: &MeasuredTables,
    answers: &Answers,
    fit: &FitReport,
    seconds: f64,
) -> Result<()> {
    make_dir(out)?;
    write_whole(&out.join("answers.csv"), csv_text(answers.rows())?.as_bytes())?;
    write_whole(&out.join("front.csv"), csv_text(answers.front_rows())?.as_bytes())?;
    let path = options.tables.display().to_string();
    let header = tables.accuracy.header();
    let rows = tables.accuracy.rows().len();
    let about = DeploymentPage {
        tables: &path,
        measured: &format!(
            "{rows} subnets of {} on {} images, {}",
            header.space, header.validation_images, header.source
        ),
        rmse: fit.rmse,
        kendall_tau: fit.kendall_tau,
        seconds,
        command: &command_line::again(),
    };
    write_whole(&out.join("report.html"), deployment_html(answers, &about).as_bytes())?;
    say(&format!("report: {}", out.join("report.html").display()));
    Ok(())
}
