//! Question: how accurate is a latency table for whole networks on this machine, corrected to the pace of the table?
//!
//! Command:  `ofa tables check-latency --tables runs/mine --out check`; `--latency FILE` for another table
//! Result:   mean error, share within 10 % and Kendall's tau over random networks; with `--out`, a new directory with
//!           latency_check.csv and report.html (with a plot)
//! Hardware: the machine on which the table was measured; threads by `RAYON_NUM_THREADS`, in
//!           onnxruntime by `--latency-threads`
//! Time:     a few seconds per hundred small networks, minutes for networks of ImageNet size

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use experiments::console::say;
use experiments::machine::{device, environment};
use experiments::options::command_line;
use experiments::options::latency_device::LatencyOptions;
use experiments::options::space::OptionalSpace;
use experiments::report::latency_check_html;
use experiments::run::run_dir::{csv_text, ensure_new, make_dir, write_whole};
use experiments::tables::fit::Fit;
use experiments::tables::latency_check::check_latency;
use experiments::tables::measured::MeasuredTables;
use experiments::tables::{latency_agreement, within_10_percent};
use ofa_search::LatencyTable;
use ofa_search::timing::LatencyConfig;
use std::path::PathBuf;

/// Checks a latency table against timings of whole networks.
#[derive(Args)]
#[command(after_help = "Example: ofa tables check-latency --tables runs/mine --out check")]
pub struct Options {
    /// Run directory, or a directory with accuracy.csv and latency.csv; not needed with --space and --latency
    #[arg(long, required_unless_present_all = ["space", "table"])]
    tables: Option<PathBuf>,
    #[command(flatten)]
    space: OptionalSpace,
    /// Latency table to check [default: latency.csv of --tables]
    #[arg(long = "latency", value_name = "FILE")]
    table: Option<PathBuf>,
    /// Number of random networks
    #[arg(long, default_value_t = 100)]
    networks: usize,
    /// Maximum forward passes per network
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Seed of the networks
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Directory to create for latency_check.csv and report.html
    #[arg(long)]
    out: Option<PathBuf>,
    /// Device, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
    #[command(flatten)]
    latency: LatencyOptions,
}

pub fn run(options: &Options) -> Result<()> {
    ensure!(options.networks > 1, "--networks is {}, it must be at least 2", options.networks);
    ensure!(options.samples > 0, "--samples must be positive");
    options.out.as_deref().map_or(Ok(()), ensure_new)?;
    let compute = device::by_name(&options.device)?;
    let named = options.space.named()?;
    let (space, beside) = match &options.tables {
        Some(dir) => {
            let tables = MeasuredTables::open(dir, named)?;
            (tables.space, tables.latency)
        }
        None => (named.context("without --tables, a space is needed: use --space")?, None),
    };
    let path = options.table.clone().or(beside).context("no latency.csv in --tables: use --latency")?;
    let table = LatencyTable::load(&path, &space)?;
    let header = table.header();
    if let Some(quantity) = &header.quantity {
        bail!("{} is a table of {quantity}, not of latency in milliseconds", path.display());
    }
    let device = options.latency.open_for(header, &options.device)?;
    let machine = environment::machine(&options.device);
    let setting = format!(
        "table: {}, {}, batch {}; checked on {}, {} threads, {}",
        header.device,
        header.threads,
        header.batch,
        device.name(),
        device.threads(),
        machine.processor
    );
    say(&setting);
    let defaults = LatencyConfig::default();
    let settings = LatencyConfig {
        batch: header.batch,
        max_samples: options.samples,
        min_samples: options.samples.min(defaults.min_samples),
        ..defaults
    };
    let check = check_latency(&space, &table, &settings, options.networks, options.seed, &device, &compute)?;
    let fit = check.at_tables_pace();
    let within = within_10_percent(&fit);
    let mut said = setting;
    if let Some(pace) = check.pace {
        let note =
            format!("this machine runs at {pace:.2} of the table's pace; uncorrected: {}", sentence(&check.measured()));
        say(&note);
        said = format!("{said}; {note}; below, corrected to the table's pace");
    }
    say(&sentence(&fit));
    if let Some(out) = &options.out {
        make_dir(out)?;
        write_whole(&out.join("latency_check.csv"), csv_text(&check.networks)?.as_bytes())?;
        let page = latency_check_html(&fit, within, &said, &command_line::again());
        write_whole(&out.join("report.html"), page.as_bytes())?;
    }
    Ok(())
}

fn sentence(fit: &Fit) -> String {
    format!("{} networks: {}", fit.points.len(), latency_agreement(fit))
}
