//! Classifies an image file with a subnet saved by `once_for_all`.
//!
//! Command:  `ofa subnet classify runs/<run>/subnets/<scenario> IMAGE`
//! Result:   the most likely classes with their probabilities, in descending order

use anyhow::{Context, Result, ensure};
use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};
use clap::Args;
use experiments::console::say;
use experiments::machine::device;
use image::imageops::FilterType;
use ofa_data::DecodeConfig;
use ofa_model::{Subnet, SubnetCard};
use std::path::{Path, PathBuf};

/// Classifies an image with a saved subnet.
#[derive(Args)]
#[command(after_help = "Example: ofa subnet classify runs/mine/subnets/latency-tight photo.png")]
pub struct Options {
    /// Directory of the subnet
    subnet: PathBuf,
    /// Image to classify: a JPEG, PNG, WebP or BMP file
    image: PathBuf,
    /// Device, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
    /// Number of classes to show
    #[arg(long, default_value_t = 3)]
    top: usize,
    /// Turns the image as the orientation in its EXIF data says
    #[arg(long)]
    apply_orientation: bool,
    /// Largest number of pixels of the image
    #[arg(long, default_value_t = DecodeConfig::default().max_pixels)]
    max_pixels: usize,
}

pub fn run(options: &Options) -> Result<()> {
    let device = device::by_name(&options.device)?;
    let subnets = options.subnet.join("subnets");
    ensure!(
        !subnets.is_dir(),
        "{} is a run: name one of its subnets in {}",
        options.subnet.display(),
        subnets.display()
    );
    let (subnet, card) = Subnet::load(&options.subnet, &device).with_context(|| {
        format!(
            "{} is no saved subnet: name a directory such as runs/mine/subnets/latency-tight",
            options.subnet.display()
        )
    })?;
    let resolution = subnet.arch().resolution;
    let decode = DecodeConfig { max_pixels: options.max_pixels, apply_orientation: options.apply_orientation };
    decode.validate()?;
    let pixels = normalised(&options.image, decode, &card, resolution)?;
    let data = TensorData::new(pixels, [1, card.space.image_channels, resolution, resolution]);
    let probabilities = softmax(subnet.infer(Tensor::from_data(data, &device)), 1).into_data();
    let mut ranked: Vec<(f32, &String)> = probabilities.iter::<f32>().zip(&card.classes).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (probability, class) in ranked.iter().take(options.top) {
        say(&format!("{:5.1} % {class}", 100.0 * probability));
    }
    Ok(())
}

/// The image, resized and normalised as for the training of the subnet: `[channels, resolution, resolution]`.
fn normalised(path: &Path, decode: DecodeConfig, card: &SubnetCard, resolution: usize) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let channels = card.space.image_channels;
    let decoded = decode.decode(&bytes, channels).with_context(|| format!("{}", path.display()))?;
    let (width, height) = (decoded.width as u32, decoded.height as u32);
    let image = match channels {
        1 => image::GrayImage::from_raw(width, height, decoded.pixels).map(image::DynamicImage::ImageLuma8),
        _ => image::RgbImage::from_raw(width, height, decoded.pixels).map(image::DynamicImage::ImageRgb8),
    };
    let image = image.context("the decoder's pixels do not fit the image size")?;
    let side = resolution as u32;
    let resized = match (width, height) {
        (w, h) if w == side && h == side => image,
        _ => image.resize_to_fill(side, side, FilterType::Triangle),
    };
    let pixels = if channels == 1 { resized.to_luma8().into_raw() } else { resized.to_rgb8().into_raw() };
    let value = |i: usize| {
        let (channel, pixel) = (i / (resolution * resolution), i % (resolution * resolution));
        (f32::from(pixels[pixel * channels + channel]) / 255.0 - card.mean[channel]) / card.std[channel]
    };
    Ok((0..channels * resolution * resolution).map(value).collect())
}
