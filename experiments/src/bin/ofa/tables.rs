//! `ofa tables`: tables of accuracy and latency.

mod check_latency;
mod fit;
mod import_accuracy;
mod import_latency;
mod measure_latency;
mod merge;

use anyhow::Result;
use clap::Subcommand;

/// Makes and judges tables of accuracy and latency.
#[derive(Subcommand)]
#[command(after_help = "Example: ofa tables fit --tables runs/mine --out predictors")]
pub enum Command {
    Fit(fit::Options),
    Merge(merge::Options),
    MeasureLatency(measure_latency::Options),
    CheckLatency(check_latency::Options),
    ImportAccuracy(import_accuracy::Options),
    ImportLatency(import_latency::Options),
}

impl Command {
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Fit(options) => fit::run(options),
            Self::Merge(options) => merge::run(options),
            Self::MeasureLatency(options) => measure_latency::run(options),
            Self::CheckLatency(options) => check_latency::run(options),
            Self::ImportAccuracy(options) => import_accuracy::run(options),
            Self::ImportLatency(options) => import_latency::run(options),
        }
    }
}
