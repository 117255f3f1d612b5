//! What do blocks take on a device where only whole networks can be timed?
//!
//! Command:  `cargo run --release --bin import_latency -- --measured phone.csv --space mobilenet_v3 --device-name phone
//!           --out phone/latency.csv`
//! Result:   a latency table like a measured one, estimated from `arch,ms` lines, and how far it is from networks it
//!           has not seen; `--quantity energy_mj` for millijoules, or any other cost that adds up over blocks
//! Hardware: any; nothing is timed

use anyhow::Result;
use clap::Parser;
use experiments::console::say;
use experiments::options::space::OptionalSpace;
use experiments::run::run_dir::{ensure_new, make_dir};
use experiments::run::start;
use experiments::tables::measured::named_space;
use experiments::tables::{agreement, latency_agreement};
use ofa_search::{LatencyHeader, LatencyTable, read_measured};
use std::path::PathBuf;
use std::process::ExitCode;

/// Estimates a latency table from measurements of whole networks.
#[derive(Parser)]
struct Options {
    /// A CSV file: a line `arch,ms`, then an arch and what was measured a line
    #[arg(long)]
    measured: PathBuf,
    /// Directory of a run of the space
    #[arg(long)]
    run: Option<PathBuf>,
    #[command(flatten)]
    space: OptionalSpace,
    /// Name of the device
    #[arg(long)]
    device_name: String,
    /// Its threads or processor, for the reader of the table
    #[arg(long, default_value = "not said")]
    threads: String,
    /// Images a forward pass
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// What was measured, if it is not latency in milliseconds, e.g. energy_mj
    #[arg(long)]
    quantity: Option<String>,
    /// Seed that chooses the networks that judge the estimate
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// New file for the table
    #[arg(long)]
    out: PathBuf,
}

fn main() -> ExitCode {
    start::exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    ensure_new(&options.out)?;
    let space = named_space(&options.space, options.run.as_deref())?;
    let measured = read_measured(&options.measured, &space)?;
    let header = LatencyHeader {
        space: space.name.clone(),
        device: options.device_name.clone(),
        batch: options.batch,
        threads: options.threads.clone(),
        quantity: options.quantity.clone(),
        pace_ms: None,
        overhead: None,
    };
    let estimated = LatencyTable::from_networks(&space, header, &measured, options.seed)?;
    if let Some(parent) = options.out.parent() {
        make_dir(parent)?;
    }
    estimated.table.save(&options.out)?;
    let (fitted, fit) = (estimated.report.training_rows, agreement(estimated.report.held_out));
    say(&format!(
        "{} units from {} networks; fitted on {fitted}, {} others: {}",
        estimated.table.units().len(),
        measured.len(),
        fit.points.len(),
        latency_agreement(&fit)
    ));
    Ok(())
}
