//! Re-encodes a set of images to a short side of 256 pixels, in tar shards, so that training reads less data.
//!
//! Command:  `ofa data prepare DIR OUT`, then train with `--data OUT`
//! Result:   tar shards with an index in OUT: a WebDataset, which other frameworks can read. Pixels differ from those
//!           in DIR, which the config.toml of a run on OUT records. OUT/broken_images.csv lists images that were skipped
//!           or decoded in part

use anyhow::{Result, anyhow};
use clap::Args;
use experiments::console::progress;
use experiments::console::say;
use ofa_data::{BrokenImages, DataError, DecodeConfig, PrepareConfig, ReadConfig, prepare_images};
use std::path::PathBuf;

/// Re-encodes a set of images at reduced size, so that training reads less data.
#[derive(Args)]
#[command(after_help = "Example: ofa data prepare DIR OUT --skip-broken 0.001")]
pub struct Options {
    /// Directory of images: any known layout of image files (JPEG, PNG, WebP, BMP)
    dir: PathBuf,
    /// Directory for the shards; an interrupted preparation is resumed
    out: PathBuf,
    /// Shorter side of the output images in pixels; smaller images keep their size
    #[arg(long, default_value_t = PrepareConfig::default().short_side)]
    short_side: usize,
    /// JPEG quality, 1 to 100
    #[arg(long, default_value_t = PrepareConfig::default().quality)]
    quality: u8,
    /// Maximum number of images per shard
    #[arg(long, default_value_t = PrepareConfig::default().images_per_shard)]
    images_per_shard: usize,
    /// Skips broken images, up to this fraction of a part (train, val), instead of stopping at the first one
    #[arg(long, value_name = "FRACTION", conflicts_with = "lenient")]
    skip_broken: Option<f64>,
    /// Keeps damaged images, as far as they can be decoded
    #[arg(long)]
    lenient: bool,
    /// Turns images as the orientation in their EXIF data says
    #[arg(long)]
    apply_orientation: bool,
    /// Largest number of pixels of an image
    #[arg(long, default_value_t = DecodeConfig::default().max_pixels)]
    max_pixels: usize,
}

pub fn run(options: &Options) -> Result<()> {
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
    let (max_pixels, apply_orientation) = (options.max_pixels, options.apply_orientation);
    let reading = ReadConfig { broken, max_pixels, apply_orientation, ..ReadConfig::default() };
    let bar = progress::bar()?;
    let report = prepare_images(&options.dir, &options.out, config, reading, |done, total| {
        progress::show(&bar, done, total);
    });
    bar.finish_and_clear();
    let report = report.map_err(|error| match error {
        DataError::Image { .. } => anyhow!(error)
            .context("the preparation stopped; repair the image, or leave broken images out with --skip-broken 0.001"),
        error => anyhow!(error),
    })?;
    say(&format!("{} images in {}", report.images, options.out.display()));
    if !report.broken.is_empty() {
        let list = options.out.join("broken_images.csv");
        say(&format!("{} broken images are listed in {}", report.broken.len(), list.display()));
    }
    Ok(())
}
