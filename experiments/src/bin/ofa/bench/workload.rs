//! Times one workload on one device in its own process, so that its memory can be measured. `ofa bench backends`
//! and `ofa bench pytorch` run such processes in turn.
//!
//! Command:  `ofa bench workload train-step --space mobilenet_v3 --resolution 128 --batch 16`
//! Result:   milliseconds of every repetition and the process's peak memory, as JSON
//! Hardware: any; threads by `RAYON_NUM_THREADS` (flex) and `OMP_NUM_THREADS` (libtorch)

use anyhow::{Result, ensure};
use clap::Args;
use experiments::bench::timings::Timings;
use experiments::bench::workload::{Work, Workload};
use experiments::console::say;
use experiments::machine::{device, environment};
use experiments::options::arch::{read_arch, with_resolution};
use experiments::options::space::SpaceOptions;
use ofa_train::Precision;

/// Times one workload on one device.
#[derive(Args)]
#[command(after_help = "Example: ofa bench workload train-step --space mobilenet_v3 --resolution 128 --batch 16")]
pub struct Options {
    /// Workload: train-step (from labels), shrink-step (also from the largest network), inference, or
    /// calibrate-evaluate (on 4 batches, of 8)
    #[arg(hide_possible_values = true)]
    work: Work,
    #[command(flatten)]
    space: SpaceOptions,
    /// Subnet: text form or .json file; may be repeated [default: the largest]
    #[arg(long)]
    arch: Vec<String>,
    /// Height and width of the images in pixels
    #[arg(long)]
    resolution: usize,
    /// Images per batch
    #[arg(long)]
    batch: usize,
    /// Untimed repetitions before the timed ones
    #[arg(long, default_value_t = 2)]
    warm_ups: usize,
    /// Timed repetitions
    #[arg(long, default_value_t = 10)]
    samples: usize,
    /// Computes forward and backward passes in bfloat16 (train-step and shrink-step only)
    #[arg(long)]
    bf16: bool,
    /// Device, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
}

pub fn run(options: &Options) -> Result<()> {
    ensure!(options.resolution > 0 && options.batch > 0, "--resolution and --batch must be positive");
    let trains = matches!(options.work, Work::TrainStep | Work::ShrinkStep);
    ensure!(trains || !options.bf16, "--bf16 is for train-step and shrink-step: {} computes in f32", options.work);
    let device = device::by_name(&options.device)?;
    let resolution = Some(options.resolution);
    let space = with_resolution(&options.space.space(None)?, resolution);
    let mut archs = Vec::new();
    for arch in &options.arch {
        archs.push(read_arch(arch, &space, resolution)?);
    }
    if archs.is_empty() {
        archs.push(space.largest().at_resolution(options.resolution));
    }
    let precision = if options.bf16 { Precision::Bf16 } else { Precision::F32 };
    let workload = Workload { work: options.work, space, archs, batch: options.batch, precision };
    let samples_ms = workload.time(&device, options.warm_ups, options.samples)?;
    say(&serde_json::to_string(&Timings { samples_ms, peak_memory_mib: environment::peak_memory_mib() })?);
    Ok(())
}
