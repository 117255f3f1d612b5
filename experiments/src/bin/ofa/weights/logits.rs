//! Computes the logits of one subnet of a checkpoint of the PyTorch original, for comparison with the original's.
//!
//! Command:  `ofa weights logits --space mobilenet_v3 --width 1.0 --checkpoint FILE.pth --arch ARCH.json
//!           --images IMAGES.safetensors --out LOGITS.safetensors`
//! Result:   `logits` `[batch, classes]` for `images` `[batch, channels, height, width]`
//! Source:   the original's `set_active_subnet(..)` and forward pass in inference mode

use super::Weights;
use anyhow::{Context, Result};
use clap::Args;
use experiments::bench::tensor_file::{ensure_resolution, read_images, write_logits};
use experiments::console::say;
use experiments::machine::device;
use experiments::options::arch::{read_arch, with_resolution};
use experiments::options::space::{SpaceOptions, classes_of};
use ofa_model::SupernetConfig;
use std::path::PathBuf;

/// Computes the logits of one subnet of a checkpoint of the PyTorch original.
#[derive(Args)]
#[command(
    after_help = "Example: ofa weights logits --space mobilenet_v3 --checkpoint FILE.pth --arch ARCH.json --images \
                   IMAGES.safetensors --out LOGITS.safetensors"
)]
pub struct Options {
    #[command(flatten)]
    space: SpaceOptions,
    #[command(flatten)]
    weights: Weights,
    /// Subnet: text form, file (the original's dictionary, a net.config) or directory of a subnet
    #[arg(long)]
    arch: String,
    /// Input: a .safetensors file with `images` [batch, channels, height, width]
    #[arg(long)]
    images: PathBuf,
    /// Calibrates batch-norm statistics on the `images` of this .safetensors file [default: statistics of the
    /// checkpoint]
    #[arg(long)]
    calibrate: Option<PathBuf>,
    /// Output: the .safetensors file to write
    #[arg(long)]
    out: PathBuf,
    /// Device, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
}

pub fn run(options: &Options) -> Result<()> {
    let checkpoint = &options.weights.checkpoint;
    let device = device::by_name(&options.device)?;
    let tensors = options.weights.read()?;
    let space = options.space.space(classes_of(&tensors))?;
    let images = read_images(&options.images, &space, &device)?;
    let resolution = images.dims()[2];
    let arch = read_arch(&options.arch, &space, Some(resolution))?;

    let context = || format!("{} as `{}`", checkpoint.display(), space.name);
    let blank = SupernetConfig::new(with_resolution(&space, Some(resolution)))?.init(&device);
    let (supernet, report) = blank.import_original(tensors).with_context(context)?;
    report.check().with_context(context)?;
    let mut subnet = supernet.subnet(&arch);
    if let Some(file) = &options.calibrate {
        let images = read_images(file, &space, &device)?;
        ensure_resolution(file, &images, resolution)?;
        subnet = subnet.calibrate([&images]);
    }
    let logits = subnet.infer(images);
    say(&format!("{arch}: logits {:?} in {}", logits.dims(), options.out.display()));
    write_logits(&options.out, logits)
}
