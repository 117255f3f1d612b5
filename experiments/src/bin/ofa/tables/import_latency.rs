//! Question: what is the latency of each block on a device where only whole networks can be timed?
//!
//! Command:  `ofa tables import-latency --measured phone.csv --space mobilenet_v3 --device-name phone --out
//!           phone/latency.csv`
//! Result:   a latency table in the format of a measured one, estimated from rows of an arch and its latency, and its error
//!           on held-out networks; `--quantity energy_mj` for millijoules, or any other cost that is additive over blocks
//! Hardware: any; nothing is timed

use anyhow::Result;
use clap::Args;
use experiments::console::say;
use experiments::run::run_dir::ensure_new;
use experiments::tables::latency::Estimated;
use experiments::tables::measured::SpaceOrRun;
use ofa_search::{LatencyHeader, Measure, MeasuredNetworks};
use std::path::PathBuf;

/// Estimates a latency table from measurements of whole networks.
#[derive(Args)]
#[command(
    after_help = "Example: ofa tables import-latency --measured phone.csv --run runs/mine --device-name phone --out phone.csv"
)]
pub struct Options {
    /// CSV file of measurements with a column `arch` and a latency whose name ends in its unit: ms, latency_us, seconds
    #[arg(long)]
    measured: PathBuf,
    /// Column that is read, if several hold a latency
    #[arg(long)]
    column: Option<String>,
    #[command(flatten)]
    space: SpaceOrRun,
    /// Name of the device, recorded in the table
    #[arg(long)]
    device_name: String,
    /// Threads or processor of the device, recorded in the table for its readers
    #[arg(long, default_value = "not said")]
    threads: String,
    /// Images per forward pass in the measurements
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Measured quantity and its column, e.g. energy_mj [default: latency in milliseconds]
    #[arg(long)]
    quantity: Option<String>,
    /// Seed that selects the held-out networks
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// File to write; must not exist
    #[arg(long)]
    out: PathBuf,
}

pub fn run(options: &Options) -> Result<()> {
    ensure_new(&options.out)?;
    let space = options.space.space()?;
    let measure = options.quantity.clone().map_or(Measure::Latency, Measure::Other);
    let measured = MeasuredNetworks::read(&options.measured, &space, &measure, options.column.as_deref())?;
    say(&measured.described(options.quantity.as_deref().unwrap_or("ms")));
    let header = LatencyHeader {
        space: space.name.clone(),
        device: options.device_name.clone(),
        batch: options.batch,
        threads: options.threads.clone(),
        quantity: options.quantity.clone(),
        pace_ms: None,
        overhead: None,
    };
    let estimated = Estimated::new(&space, header, &measured.medians(), options.seed)?;
    say(&estimated.described());
    estimated.save(&options.out)
}
