//! Question: what is the latency of each part of a network on a device that timed the networks of a kit?
//!
//! Command:  `ofa device read kit results.csv --out phone.csv`
//! Result:   a latency table as of `ofa tables import-latency`, its error on networks that it was not fitted on, as
//!           measured and at one pace, and whether the networks were enough
//! Hardware: any; nothing is timed

use anyhow::{Context, Result};
use clap::Args;
use experiments::console::say;
use experiments::run::run_dir::ensure_new;
use experiments::tables::kit::{Kit, Results, Speed};
use experiments::tables::latency::Estimated;
use experiments::tables::latency_agreement;
use ofa_model::Arch;
use ofa_search::LatencyHeader;
use ofa_search::statistics::median;
use std::collections::HashMap;
use std::path::PathBuf;

/// Makes a latency table of what a device measured with a kit.
#[derive(Args)]
#[command(after_help = "Example: ofa device read kit results.csv --out phone.csv")]
pub struct Options {
    /// Directory of the kit
    kit: PathBuf,
    /// The kit's results.csv; or a directory of logs, named as the models, of onnxruntime_perf_test or of TFLite's
    /// benchmark_model
    results: PathBuf,
    /// Name of the device, recorded in the table [default: that of results.csv]
    #[arg(long)]
    device_name: Option<String>,
    /// Takes the networks in 8-bit integers, of a kit made with --int8
    #[arg(long)]
    int8: bool,
    /// Takes latencies as measured, and not at the device's usual pace
    #[arg(long)]
    raw: bool,
    /// Seed that selects the held-out networks
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// File to write; must not exist
    #[arg(long)]
    out: PathBuf,
}

/// Improvement of the error from half the networks to all beyond which there are too few.
const STILL_FALLING: f64 = 0.15;

pub fn run(options: &Options) -> Result<()> {
    ensure_new(&options.out)?;
    let kit = Kit::open(&options.kit)?;
    let results = Results::read(&options.results, &kit, options.int8)?;
    results.notes.iter().for_each(|note| say(&format!("note: {note}")));
    let device = options.device_name.clone().or(results.device.clone());
    let device = device.context("logs do not say what device they are of: name it with --device-name")?;
    let header = LatencyHeader {
        space: kit.space.name.clone(),
        device,
        batch: kit.batch,
        threads: results.setting.clone().unwrap_or_else(|| "not said".into())
            + if options.int8 { ", int8" } else { "" },
        quantity: None,
        pace_ms: None,
        overhead: None,
    };
    let estimated = |latencies: &[_]| Estimated::new(&kit.space, header.clone(), latencies, options.seed);
    let speed = if options.raw || !results.have_paces() { Speed::Measured } else { Speed::AtOnePace };
    let latencies = results.latencies(speed);
    let table = estimated(&latencies)?;
    say(&table.described());
    if speed == Speed::AtOnePace {
        let raw = estimated(&results.latencies(Speed::Measured))?;
        say(&format!("as measured, not brought to one pace: {}", latency_agreement(&raw.fit)));
    }
    if latencies.len() >= 2 * Kit::LEAST {
        let half = estimated(&latencies[..latencies.len() / 2])?;
        let more = if table.fit.mape < (1.0 - STILL_FALLING) * half.fit.mape {
            "too few: more would lower the error"
        } else {
            "enough"
        };
        say(&format!(
            "with half as many, fitted on {}: {}: {} networks are {more}",
            half.fitted,
            latency_agreement(&half.fit),
            latencies.len()
        ));
    }
    if kit.networks.iter().any(|network| network.int8) {
        let others = Results::read(&options.results, &kit, !options.int8)?.latencies(speed);
        let (own, others): (HashMap<Arch, f64>, HashMap<Arch, f64>) =
            (latencies.iter().cloned().collect(), others.into_iter().collect());
        let ratio = |(arch, ms): (&Arch, &f64)| Some(ms / others.get(arch)?);
        let ratios: Vec<f64> = own.iter().filter_map(ratio).map(|r| if options.int8 { r } else { 1.0 / r }).collect();
        if !ratios.is_empty() {
            say(&format!(
                "int8 takes {:.2} times as long as float (median of {})",
                median(ratios.clone()),
                ratios.len()
            ));
        }
    }
    table.save(&options.out)
}
