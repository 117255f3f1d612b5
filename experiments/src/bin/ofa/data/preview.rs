//! Writes a contact sheet of a batch as the network sees it, for inspection by eye.
//!
//! Command:  `ofa data preview --data DIR --resolution 128 --resolution 224 --out sheet.png`
//! Result:   a PNG with one block of the same images per resolution, augmented as in training (or, with `--evaluate`,
//!           cropped as in evaluation)

use anyhow::{Result, ensure};
use burn::tensor::{Device, Tensor};
use clap::Args;
use experiments::console::say;
use experiments::run::run_dir::write_whole;
use image::{Rgb, RgbImage};
use ofa_data::{AugmentConfig, FashionMnist, Framing, Layout, Loader, LoaderConfig, Splits, View};
use std::io::Cursor;
use std::path::PathBuf;

/// Writes a contact sheet of a batch as the network sees it.
#[derive(Args)]
#[command(after_help = "Example: ofa data preview --data DIR --resolution 128 --resolution 224 --out sheet.png")]
pub struct Options {
    /// Directory of images, in any known layout [default: the embedded Fashion-MNIST]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Channels of the images in --data: 1 (gray) or 3 (colour) [default: 1 for IDX files, 3 for others]
    #[arg(long, requires = "data")]
    channels: Option<usize>,
    /// Height and width of the images in pixels; may be repeated [default: 28]
    #[arg(long)]
    resolution: Vec<usize>,
    /// Images per block
    #[arg(long, default_value_t = 32)]
    images: usize,
    /// Images per row
    #[arg(long, default_value_t = 8)]
    columns: usize,
    /// Shows test images as preprocessed for evaluation
    #[arg(long)]
    evaluate: bool,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// PNG file to write
    #[arg(long)]
    out: PathBuf,
}

/// Gap between images, in pixels.
const GAP: usize = 2;
/// Maximum width and height of a sheet, in pixels.
const MOST_PIXELS: usize = 16_384;

pub fn run(options: &Options) -> Result<()> {
    let resolutions = if options.resolution.is_empty() { &[28][..] } else { &options.resolution };
    ensure!(options.images > 0 && options.columns > 0, "--images and --columns must be positive");
    ensure!(!resolutions.contains(&0), "--resolution must be positive");
    let (splits, augment) = images(options)?;
    let set = if options.evaluate { &splits.test } else { &splits.train };
    check_size(resolutions, options.images.min(set.len()), options.columns)?;
    let blocks = resolutions.iter().map(|&resolution| block(options, &splits, &augment, resolution));
    let sheet = sheet(&blocks.collect::<Result<Vec<_>>>()?, options.columns);
    let mut png = Cursor::new(Vec::new());
    sheet.write_to(&mut png, image::ImageFormat::Png)?;
    write_whole(&options.out, png.get_ref())?;
    say(&format!("{} x {} pixels in {}", sheet.width(), sheet.height(), options.out.display()));
    Ok(())
}

fn images(options: &Options) -> Result<(Splits, AugmentConfig)> {
    let Some(dir) = &options.data else {
        return Ok((FashionMnist::embedded(options.seed)?, AugmentConfig::small_images()));
    };
    let layout = Layout::detect(dir)?;
    let splits = layout.load(options.channels.unwrap_or(layout.channels()), options.seed)?;
    let side = splits.typical_side()?;
    let splits = if AugmentConfig::are_small(side) { splits.with_framing(Framing::Whole) } else { splits };
    Ok((splits, AugmentConfig::for_side(side)))
}

/// The images of a batch as RGB, all at one resolution.
fn block(options: &Options, splits: &Splits, augment: &AugmentConfig, resolution: usize) -> Result<Vec<RgbImage>> {
    let (set, view) = match options.evaluate {
        true => (&splits.test, View::Evaluate),
        false => (&splits.train, View::Train(augment.clone())),
    };
    let config = LoaderConfig { batch_size: options.images, seed: options.seed, view, drop_last: false, prefetch: 1 };
    let loader = Loader::new(set.clone(), config, splits.normalisation())?;
    Ok(pixels(loader.batch(0, 0, resolution, &Device::flex())?.images, splits))
}

/// Undoes the normalisation of images `[batch, channels, r, r]`.
fn pixels(images: Tensor<4>, splits: &Splits) -> Vec<RgbImage> {
    let [batch, channels, side, _] = images.dims();
    let values: Vec<f32> = images.into_data().iter::<f32>().collect();
    let image = |i: usize| {
        RgbImage::from_fn(side as u32, side as u32, |x, y| {
            let value = |channel: usize| {
                let channel = channel.min(channels - 1);
                let at = ((i * channels + channel) * side + y as usize) * side + x as usize;
                let value = values[at] * splits.std[channel] + splits.mean[channel];
                (value * 255.0).round().clamp(0.0, 255.0) as u8
            };
            Rgb([value(0), value(1), value(2)])
        })
    };
    (0..batch).map(image).collect()
}

/// Fails if the sheet would be unreasonably large.
fn check_size(resolutions: &[usize], images: usize, columns: usize) -> Result<()> {
    let [width, height] = size(resolutions, images, columns);
    ensure!(
        width <= MOST_PIXELS && height <= MOST_PIXELS,
        "the sheet would have {width} x {height} pixels, the maximum is {MOST_PIXELS} per side: ask for fewer images \
         or columns, or a smaller --resolution"
    );
    Ok(())
}

/// Width and height of a sheet in pixels.
fn size(resolutions: &[usize], images: usize, columns: usize) -> [usize; 2] {
    let sides = resolutions.iter().map(|resolution| resolution.saturating_add(GAP));
    let rows = images.div_ceil(columns);
    let width = sides.clone().map(|side| side.saturating_mul(columns.min(images))).max().unwrap_or(0);
    let height =
        sides.fold(0usize, |height, side| height.saturating_add(side.saturating_mul(rows)).saturating_add(GAP));
    [width.saturating_add(GAP), height]
}

/// Draws the blocks, one below the other.
fn sheet(blocks: &[Vec<RgbImage>], columns: usize) -> RgbImage {
    let side = |block: &Vec<RgbImage>| block[0].width() as usize + GAP;
    let rows = |block: &Vec<RgbImage>| block.len().div_ceil(columns);
    let resolutions: Vec<usize> = blocks.iter().map(|block| block[0].width() as usize).collect();
    let [width, height] = size(&resolutions, blocks[0].len(), columns);
    let mut sheet = RgbImage::from_pixel(width as u32, height as u32, Rgb([255; 3]));
    let mut top = GAP;
    for block in blocks {
        for (i, image) in block.iter().enumerate() {
            let (x, y) = (GAP + i % columns * side(block), top + i / columns * side(block));
            image::imageops::replace(&mut sheet, image, x as i64, y as i64);
        }
        top += side(block) * rows(block) + GAP;
    }
    sheet
}
