//! Turns accuracies that others measured into an accuracy table.
//!
//! Command:  `ofa tables import-accuracy --measured 224.dict --space mobilenet_v3 --images 10000 --out ofa/accuracy.csv`
//! Result:   an accuracy table and its `space.json`, as `ofa tables fit` and searches read them
//! Source:   CSV files with the columns `arch` and `top1`, or the `.dict` files of the original's predictor

use anyhow::{Context, Result};
use clap::Args;
use experiments::console::say;
use experiments::run::run_dir::{ensure_new, make_dir, write_whole};
use experiments::tables::measured::SpaceOrRun;
use ofa_search::{AccuracyHeader, AccuracyTable, Measure, MeasuredNetworks};
use std::path::PathBuf;

/// Turns accuracies that others measured into an accuracy table.
#[derive(Args)]
#[command(
    after_help = "Example: ofa tables import-accuracy --measured 224.dict --space mobilenet_v3 --images 10000 --out accuracy.csv"
)]
pub struct Options {
    /// CSV file with the columns `arch` and an accuracy (top1, acc), or a .dict file of the original
    #[arg(long)]
    measured: PathBuf,
    /// Column that is read, if several hold an accuracy
    #[arg(long)]
    column: Option<String>,
    /// Number of images the accuracies were measured on
    #[arg(long)]
    images: usize,
    #[command(flatten)]
    space: SpaceOrRun,
    /// File to write, called accuracy.csv to be found; must not exist
    #[arg(long)]
    out: PathBuf,
}

pub fn run(options: &Options) -> Result<()> {
    ensure_new(&options.out)?;
    let space = options.space.space()?;
    let measured = MeasuredNetworks::read(&options.measured, &space, &Measure::Top1, options.column.as_deref())?;
    say(&measured.described("of all images"));
    let header = AccuracyHeader {
        space: space.name.clone(),
        seed: 0,
        validation_images: options.images,
        calibration_images: 0,
        source: format!("imported from {}", options.measured.display()),
        int8: None,
    };
    let table = AccuracyTable::from_measured(header, &space, &measured)?;
    let dir = options.out.parent().context("a file has a directory")?;
    make_dir(dir)?;
    table.save(&options.out)?;
    write_whole(&dir.join("space.json"), &serde_json::to_vec_pretty(&space)?)
}
