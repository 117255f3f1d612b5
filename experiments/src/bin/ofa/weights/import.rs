//! Converts a checkpoint of the PyTorch original to a directory that the other commands read.
//!
//! Command:  `ofa weights import --space mobilenet_v3 --width 1.2 --checkpoint FILE.pth --out DIR`
//! Result:   a supernet (`space.json`, `weights.safetensors`); with `--arch`, a subnet from a specialised, static net
//! Source:   the authors' checkpoints, with either generation of key names; pickled code in them is never executed

use super::Weights;
use anyhow::{Context, Result, ensure};
use clap::Args;
use experiments::console::say;
use experiments::deployment::model_card::imagenet_card;
use experiments::machine::device;
use experiments::options::arch::{read_arch, with_resolution};
use experiments::options::space::{SpaceOptions, classes_of};
use ofa_model::SupernetConfig;
use std::path::PathBuf;

/// Converts a checkpoint of the PyTorch original to a directory that the other commands read.
#[derive(Args)]
#[command(after_help = "Example: ofa weights import --space mobilenet_v3 --width 1.2 --checkpoint FILE.pth --out DIR")]
pub struct Options {
    #[command(flatten)]
    space: SpaceOptions,
    #[command(flatten)]
    weights: Weights,
    /// Replaces the classifier by a new one for --classes, to train on images of your own
    #[arg(long, requires = "classes")]
    new_head: bool,
    /// Seed of the new classifier
    #[arg(long, default_value_t = 0, requires = "new_head")]
    seed: u64,
    /// Arch of the checkpoint, if it is a static net: text form, file or directory of a subnet
    #[arg(long)]
    arch: Option<String>,
    /// Resolution of a static net in pixels [default: that of the arch, else the highest of the space]
    #[arg(long, requires = "arch")]
    resolution: Option<usize>,
    /// Directory to create; must not exist
    #[arg(long)]
    out: PathBuf,
    /// Device, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
}

pub fn run(options: &Options) -> Result<()> {
    let Options { weights: Weights { checkpoint, .. }, out, .. } = options;
    ensure!(!out.exists(), "{} exists already; choose another --out", out.display());
    let device = device::by_name(&options.device)?;
    let tensors = options.weights.read()?;
    let classes = classes_of(&tensors);
    let new_classes = options.space.classes().filter(|_| options.new_head);
    let space = if options.new_head { options.space.of_checkpoint(classes) } else { options.space.space(classes) }?;
    if let Some(new) = new_classes {
        say(&format!(
            "a new classifier for {new} classes, drawn by seed {}, replaces that of {}",
            options.seed, space.classes
        ));
    }
    let context = || format!("{} as `{}`", checkpoint.display(), space.name);
    if let Some(arch) = &options.arch {
        let arch = read_arch(arch, &space, options.resolution)?;
        let blank = SupernetConfig::new(with_resolution(&space, Some(arch.resolution)))?.init(&device).subnet(&arch);
        let (subnet, report) = blank.import_original(tensors).with_context(context)?;
        report.check().with_context(context)?;
        let subnet = match new_classes {
            Some(classes) => subnet.with_new_head(classes, options.seed)?,
            None => subnet,
        };
        subnet.save(&imagenet_card(&subnet), out)?;
        say(&format!("subnet {arch} with {} parameters in {}", subnet.num_trainable(), out.display()));
    } else {
        let blank = SupernetConfig::new(space.clone())?.init(&device);
        let (supernet, report) = blank.import_original(tensors).with_context(context)?;
        report.check().with_context(context)?;
        let supernet = match new_classes {
            Some(classes) => supernet.with_new_head(classes, options.seed)?,
            None => supernet,
        };
        supernet.save(out)?;
        say(&format!("supernet of {} networks ({}) in {}", space.len(), space.name, out.display()));
    }
    Ok(())
}
