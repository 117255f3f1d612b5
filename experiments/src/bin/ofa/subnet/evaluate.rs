//! Evaluates subnets of a supernet: top-1, top-5, loss, per-class accuracy and confusion matrix.
//!
//! Command:  `ofa subnet evaluate runs/<run> --split test --arch r28-k3e3.. --out scores`
//!           `ofa subnet evaluate SUPERNET_DIR --data DIR --archs archs.txt`
//! Result:   CSV (arch, images, top1, top5, loss) on the console; with `--out`, a directory with the same table and the
//!           per-class accuracies and confusion matrix of every subnet. With `--split test`, the extremes of a run get
//!           the scores of its report
//! Hardware: any; memory for a batch and for at most one gibibyte of decoded images per set
//! Time:     25 s for the two extremes of a smoke run on 10,000 validation images, on 2 threads of a busy AMD EPYC

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use experiments::config::ExperimentConfig;
use experiments::console::say;
use experiments::machine::device;
use experiments::options::arch::{read_arch, read_archs};
use experiments::run::images::Images;
use experiments::run::run_dir::csv_text;
use experiments::run::supernet_file::{self, OpenedSupernet};
use experiments::tables::score_files::{ScoreFiles, ScoreRow};
use ofa_model::{Arch, SearchSpace};
use std::path::PathBuf;

/// Evaluates subnets of a supernet.
#[derive(Args)]
#[command(after_help = "Example: ofa subnet evaluate runs/mine --split test --archs archs.txt --out scores")]
pub struct Options {
    /// Directory of a run (its newest checkpoint is used until training has finished), or a supernet from
    /// `ofa weights import`
    supernet: PathBuf,
    /// Subnet: text form, file or directory of a subnet; may be repeated [default: the smallest and the largest]
    #[arg(long)]
    arch: Vec<String>,
    /// File with one arch per line, or a JSON list; empty lines and lines starting with # are skipped
    #[arg(long)]
    archs: Option<PathBuf>,
    /// Images to evaluate on
    #[arg(long, value_enum, default_value = "validation")]
    split: Split,
    /// Maximum number of images [default: the whole split]
    #[arg(long)]
    images: Option<usize>,
    /// Training images to calibrate each subnet's batch-norm statistics on; 0 uses the statistics stored with the
    /// weights [default: that of the run, else 500]
    #[arg(long)]
    calibration_images: Option<usize>,
    /// Batch size [default: that of the run, else 125]
    #[arg(long)]
    batch_size: Option<usize>,
    /// Directory of images, in any known layout; their classes may be some of the network's, in any order [default: that of the run, else the embedded Fashion-MNIST]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Directory to create for scores.csv and, per subnet, its per-class accuracies and confusion matrix
    #[arg(long)]
    out: Option<PathBuf>,
    /// Device, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Split {
    Train,
    Validation,
    Test,
}

pub fn run(options: &Options) -> Result<()> {
    let device = device::by_name(&options.device)?;
    let mut opened = supernet_file::open(&options.supernet, &device)?;
    let archs = archs(options, opened.supernet.space())?;
    for arch in &archs {
        opened.supernet = opened.supernet.with_resolution(arch.resolution);
    }
    let listed = options.data.as_deref().map(|data| opened.for_images_in(data)).transpose()?;
    let mut config = opened.configuration(options.data.as_deref())?;
    let tables = &mut config.tables;
    tables.batch_size = options.batch_size.unwrap_or(tables.batch_size);
    tables.calibration_images = options.calibration_images.filter(|n| *n > 0).unwrap_or(tables.calibration_images);
    let images = Images::load(&config, listed)?;
    // To stderr: stdout carries only the CSV table.
    for checkpoint in &opened.damaged {
        eprintln!("warning: {}: {}; using the previous checkpoint", checkpoint.path.display(), checkpoint.problem);
    }
    eprintln!("{}; {}", opened.path.display(), images.description);
    score(options, &opened, &archs, &config, &images, &device)?;
    for broken in images.broken() {
        eprintln!("warning: {}: {}", broken.path.display(), broken.problem);
    }
    Ok(())
}

fn score(
    options: &Options,
    opened: &OpenedSupernet,
    archs: &[Arch],
    config: &ExperimentConfig,
    images: &Images,
    device: &Device,
) -> Result<()> {
    let part = match options.split {
        Split::Train => &images.splits.train,
        Split::Validation => &images.splits.validation,
        Split::Test => &images.splits.test,
    };
    let set = options.images.map_or_else(|| part.clone(), |most| part.subset(most, config.seed));
    let mut evaluator = images.evaluator(set, config, device);
    let mut files = options.out.as_deref().map(ScoreFiles::create).transpose()?;
    for (i, arch) in archs.iter().enumerate() {
        let subnet = match options.calibration_images {
            Some(0) => opened.supernet.subnet(arch),
            _ => evaluator.calibrated(&opened.supernet, arch)?,
        };
        let scores = evaluator.subnet_scores(&subnet).with_context(|| format!("arch `{arch}`"))?;
        let text = csv_text([ScoreRow::new(arch, &scores)])?;
        // Print the header only once.
        text.lines().skip(usize::from(i > 0)).for_each(say);
        if let Some(files) = &mut files {
            files.add(arch, &scores, &images.splits.classes)?;
        }
    }
    Ok(())
}

/// The archs of the options, all checked before the first one is evaluated.
fn archs(options: &Options, space: &SearchSpace) -> Result<Vec<Arch>> {
    let mut archs = options.arch.iter().map(|text| read_arch(text, space, None)).collect::<Result<Vec<_>>>()?;
    if let Some(path) = &options.archs {
        archs.extend(read_archs(path, space)?);
    } else if archs.is_empty() {
        archs = vec![space.smallest(), space.largest()];
    }
    ensure!(!archs.is_empty(), "the file of --archs contains no arch");
    Ok(archs)
}
