//! Merges accuracy tables, e.g. from machines without a shared file system.
//!
//! Command:  `ofa tables merge --run runs/mine --out accuracy.csv a/accuracy.csv b/accuracy.csv`
//! Result:   one table with all rows; fails if the tables differ in weights, images or conditions, or if rows
//!           contradict each other

use anyhow::Result;
use clap::Args;
use experiments::console::say;
use experiments::run::run_dir::ensure_new;
use experiments::tables::measured::SpaceOrRun;
use ofa_search::AccuracyTable;
use std::path::PathBuf;

/// Merges accuracy tables that were measured under the same conditions.
#[derive(Args)]
#[command(after_help = "Example: ofa tables merge --run runs/mine --out accuracy.csv a/accuracy.csv b/accuracy.csv")]
pub struct Options {
    /// Accuracy tables to merge (CSV)
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    space: SpaceOrRun,
    /// File to write; must not exist
    #[arg(long)]
    out: PathBuf,
}

pub fn run(options: &Options) -> Result<()> {
    ensure_new(&options.out)?;
    let space = options.space.space()?;
    let merged = AccuracyTable::merge(&options.inputs, &space)?;
    merged.save(&options.out)?;
    say(&format!("{} rows in {}", merged.rows().len(), options.out.display()));
    Ok(())
}
