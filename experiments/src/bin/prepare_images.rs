//! Re-encodes a set of images once, to a short side of 256 pixels in tar shards, so that training reads less.
//!
//! Command:  `cargo run --release --bin prepare_images -- DIR OUT`, then train with `--data OUT`
//! Result:   tar shards with an index in OUT, a WebDataset that other frameworks read too; pixels are not those of DIR, and
//!           a run on OUT says so in its config.toml; OUT/broken_images.csv lists the images left out or taken in part

use anyhow::{Context, Result};
use clap::Parser;
use experiments::console::progress;
use experiments::console::say;
use experiments::run::start;
use ofa_data::{BrokenImages, PrepareConfig, prepare_images};
use std::path::PathBuf;
use std::process::ExitCode;

/// Re-encodes a set of images once, so that training reads less.
#[derive(Parser)]
struct Options {
    /// Images in any layout of JPEG and PNG files
    dir: PathBuf,
    /// Where the shards go; a preparation that was interrupted goes on
    out: PathBuf,
    /// Shorter side in pixels; smaller images keep their size
    #[arg(long, default_value_t = PrepareConfig::default().short_side)]
    short_side: usize,
    /// Quality of the JPEG files, 1 to 100
    #[arg(long, default_value_t = PrepareConfig::default().quality)]
    quality: u8,
    /// Images of a shard, at most
    #[arg(long, default_value_t = PrepareConfig::default().images_per_shard)]
    images_per_shard: usize,
    /// Leave broken images out, up to this share of a part, in place of stopping at the first one
    #[arg(long, value_name = "FRACTION", conflicts_with = "lenient")]
    skip_broken: Option<f64>,
    /// Keep damaged images as far as they can be decoded
    #[arg(long)]
    lenient: bool,
}

fn main() -> ExitCode {
    start::exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    let config = PrepareConfig {
        short_side: options.short_side,
        quality: options.quality,
        images_per_shard: options.images_per_shard,
    };
    let broken = match (options.skip_broken, options.lenient) {
        (Some(max_fraction), _) => BrokenImages::Skip { max_fraction },
        (None, true) => BrokenImages::Lenient,
        (None, false) => BrokenImages::Fail,
    };
    let bar = progress::bar()?;
    let report = prepare_images(&options.dir, &options.out, config, broken, |done, total| {
        progress::show(&bar, done, total);
    });
    bar.finish_and_clear();
    let report =
        report.context("the preparation stopped; shards that are whole are kept, give the same command to go on")?;
    say(&format!("{} images in {}", report.images, options.out.display()));
    if !report.broken.is_empty() {
        let list = options.out.join("broken_images.csv");
        say(&format!("{} broken ones are listed in {}", report.broken.len(), list.display()));
    }
    Ok(())
}
