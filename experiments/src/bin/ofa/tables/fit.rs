//! Question: how well do predictors learn accuracy from a table, which is best, and how many rows does it need?
//!
//! Command:  `ofa tables fit --tables runs/mine --out predictors`
//!           (`--tables DIR --space SPACE` for an accuracy.csv without a run)
//! Result:   RMSE, Kendall's tau and Spearman's rho on held-out rows by number of training rows, averaged over splits;
//!           with `--out`, a new directory with fits.csv (every fit) and report.html
//! Hardware: any; only predictors are trained

use anyhow::{Result, ensure};
use clap::Args;
use experiments::console::say;
use experiments::machine::device;
use experiments::options::command_line;
use experiments::options::space::OptionalSpace;
use experiments::report::predictors_html;
use experiments::run::run_dir::{csv_text, ensure_new, make_dir, write_whole};
use experiments::tables::measured::MeasuredTables;
use experiments::tables::predictor_curve::{Curve, FitRow, means, measurement_noise};
use ofa_search::predictors::PredictorKind;
use std::path::PathBuf;

/// Fits accuracy predictors to parts of a table and evaluates them on held-out rows.
#[derive(Args)]
#[command(after_help = "Example: ofa tables fit --tables runs/mine --out predictors")]
pub struct Options {
    /// Run directory, or a directory with accuracy.csv
    #[arg(long)]
    tables: PathBuf,
    #[command(flatten)]
    space: OptionalSpace,
    /// Predictors, separated by commas: mlp, single_mlp, paper_mlp, kernel_ridge [default: all]
    #[arg(long, value_delimiter = ',')]
    predictors: Vec<String>,
    /// Numbers of training rows, separated by commas [default: all not held out, and 1/2, 1/4, ... of them, down to 10]
    #[arg(long, value_delimiter = ',')]
    rows: Vec<usize>,
    /// Fraction of the rows to hold out
    #[arg(long, default_value_t = 0.25)]
    holdout: f64,
    /// Number of random splits
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Directory to create for fits.csv and report.html
    #[arg(long)]
    out: Option<PathBuf>,
    /// Device, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
}

pub fn run(options: &Options) -> Result<()> {
    ensure!(options.seeds > 0, "--seeds must be positive");
    options.out.as_deref().map_or(Ok(()), ensure_new)?;
    let kinds = kinds(&options.predictors)?;
    let device = device::by_name(&options.device)?;
    let MeasuredTables { space, accuracy, .. } = MeasuredTables::open(&options.tables, options.space.named()?)?;
    let seeds: Vec<u64> = (0..options.seeds).collect();
    let curve = Curve {
        table: &accuracy,
        space: &space,
        kinds: &kinds,
        sizes: &options.rows,
        holdout: options.holdout,
        seeds: &seeds,
    };
    let noise = measurement_noise(&accuracy);
    let header = accuracy.header();
    let measured = format!("{} rows of {} on {} images", accuracy.rows().len(), header.space, header.validation_images);
    say(&format!("{measured}; one accuracy has a standard deviation of {:.2} %", 100.0 * noise));
    let fits = curve.fit(&device, |_| ())?;
    let means = means(&fits);
    say("predictor     rows   RMSE %  Kendall tau  Spearman  spread %  within 2 spreads  seconds");
    means.iter().for_each(print);
    if let Some(out) = &options.out {
        make_dir(out)?;
        write_whole(&out.join("fits.csv"), csv_text(&fits)?.as_bytes())?;
        let page = predictors_html(&means, seeds.len(), &measured, noise, &command_line::again());
        write_whole(&out.join("report.html"), page.as_bytes())?;
    }
    Ok(())
}

fn kinds(names: &[String]) -> Result<Vec<PredictorKind>> {
    if names.is_empty() {
        return Ok(PredictorKind::ALL.to_vec());
    }
    names.iter().map(|name| name.parse().map_err(anyhow::Error::msg)).collect()
}

fn print(fit: &FitRow) {
    let optional = |value: Option<f64>, scale: f64| value.map_or("-".into(), |value| format!("{:.2}", scale * value));
    say(&format!(
        "{:<12} {:>5}  {:>7.3}  {:>11.3}  {:>8.3}  {:>8}  {:>16}  {:>7.2}",
        fit.predictor,
        fit.training_rows,
        100.0 * fit.rmse,
        fit.kendall_tau,
        fit.spearman,
        optional(fit.spread, 100.0),
        optional(fit.within_2_spreads, 1.0),
        fit.seconds
    ));
}
