//! One accuracy table of several, e.g. of machines that share no file system.
//!
//! Command:  `cargo run --release --bin merge_tables -- --run runs/mine --out accuracy.csv a/accuracy.csv
//!           b/accuracy.csv`
//! Result:   a table of all rows; tables of other weights, images or conditions, and rows that contradict each other,
//!           are refused

use anyhow::Result;
use clap::Parser;
use experiments::console::say;
use experiments::options::space::OptionalSpace;
use experiments::run::run_dir::ensure_new;
use experiments::run::start;
use experiments::tables::measured::named_space;
use ofa_search::AccuracyTable;
use std::path::PathBuf;
use std::process::ExitCode;

/// Merges accuracy tables that were measured under the same conditions.
#[derive(Parser)]
struct Options {
    /// Accuracy tables
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Directory of a run of the space
    #[arg(long)]
    run: Option<PathBuf>,
    #[command(flatten)]
    space: OptionalSpace,
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
    let merged = AccuracyTable::merge(&options.inputs, &space)?;
    merged.save(&options.out)?;
    say(&format!("{} rows in {}", merged.rows().len(), options.out.display()));
    Ok(())
}
