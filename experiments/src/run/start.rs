//! Start and end of a program: options, configuration, run directory, exit code.

use crate::config::ExperimentConfig;
use crate::console::interrupt::is_interruption;
use crate::console::problem::in_one_line;
use crate::console::say;
use crate::machine::allocator::keep_freed_memory;
use crate::machine::threads::compute_on_this_thread;
use crate::machine::{device, environment};
use crate::run::run_dir::RunDir;
use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Parser;
use ofa_data::{Layout, Splits};
use ofa_train::{Ranks, ScheduleKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Parent of run directories created without `--out`.
const RUNS: &str = "runs";

/// Command-line options of the main job.
#[derive(Clone, Debug, Parser)]
#[command(about = "Trains a once-for-all network and finds the best subnet for every budget")]
pub struct Options {
    /// Preset: smoke (a minute), default (ten minutes), standard (half an hour), thorough (hours), photographs (JPEG
    /// images at 128 to 224 pixels, needs --data), imagenet_iclr2020 (for a cluster)
    #[arg(long, default_value = "default")]
    preset: String,
    /// Configuration file to use instead of a preset; every run directory contains a complete one
    #[arg(long, conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// Training schedule: progressive_shrinking, compofa, sandwich, random_only, grow or full_only, with the preset's
    /// recipe; or a .toml file with the keys of [training.schedule] at the top level
    #[arg(long)]
    schedule: Option<String>,
    /// Scales the schedule to this many subnet-epochs (epochs times subnets per step)
    #[arg(long)]
    subnet_epochs: Option<usize>,
    /// Directory of images to use instead of the embedded Fashion-MNIST: an ImageFolder (train/CLASS/*, val/CLASS/*),
    /// ImageNet as distributed, output of `ofa data prepare`, WebDataset or parquet shards, CIFAR-10 or CIFAR-100 binary
    /// files, or Fashion-MNIST .gz files
    #[arg(long)]
    data: Option<PathBuf>,
    /// Channels of the images in --data: 1 (gray) or 3 (colour) [default: that of --config, else 3]
    #[arg(long, requires = "data")]
    channels: Option<usize>,
    /// Run directory [default: runs/DATE-PRESET]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Resumes the run in --out, or the newest run of the preset
    #[arg(long)]
    resume: bool,
    /// Device, if compiled in: flex, libtorch, libtorch-cuda, wgpu, vulkan, metal or cuda [default: that of the
    /// configuration]
    #[arg(long)]
    device: Option<String>,
    /// Seed of all random numbers [default: that of the configuration]
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs a program from start to end: it gets [`ready_to_compute`], does its `work`, and leaves with the exit code of
/// the result. [`ranks::main`](super::ranks::main) does so on the ranks of a job.
pub fn main(work: impl FnOnce() -> Result<()>) -> ExitCode {
    exit_code(ready_to_compute().and_then(|()| work()))
}

/// Call first in a program that trains or measures, unless [`main`] does: the main thread joins the compute pool, and
/// freed memory is kept for the next step.
///
/// # Errors
///
/// See [`compute_on_this_thread`].
pub fn ready_to_compute() -> Result<()> {
    keep_freed_memory();
    compute_on_this_thread()
}

/// A run, ready to start or resume.
pub struct Run {
    /// Complete configuration.
    pub config: ExperimentConfig,
    /// Run directory.
    pub dir: RunDir,
    /// The images of `--data`, already listed in order to configure the run.
    pub listed: Option<Splits>,
}

/// Creates or resumes the run selected by the options: rank 0 does, the others read its configuration.
///
/// # Errors
///
/// If the configuration is invalid, the images of `--data` cannot be listed, the directory already holds a run, or
/// there is no run to resume; also if the batch size is not divisible by the number of ranks, or the directory is not
/// on a file system shared by all ranks.
pub fn open(options: &Options, ranks: &dyn Ranks) -> Result<Run> {
    if !ranks.is_first() {
        let root = String::from_utf8(ranks.broadcast(0, Vec::new())).context("the name of the run directory")?;
        return reopen(Path::new(&root)).context("the run directory must be on a file system shared by all ranks");
    }
    let run = create_or_resume(options)?;
    if ranks.size() > 1 {
        run.config.training.batch_of_rank(ranks.size())?;
        let root = run.dir.root().to_str().context("the name of the run directory is not UTF-8")?;
        ranks.broadcast(0, root.as_bytes().to_vec());
    }
    Ok(run)
}

fn create_or_resume(options: &Options) -> Result<Run> {
    if options.resume {
        ensure!(
            options.config.is_none()
                && options.data.is_none()
                && options.device.is_none()
                && options.seed.is_none()
                && options.schedule.is_none()
                && options.subnet_epochs.is_none(),
            "a resumed run uses its own config.toml: drop --config, --data, --device, --schedule, --subnet-epochs and \
             --seed"
        );
        return reopen(&to_resume(options, Path::new(RUNS))?);
    }
    let (config, listed) = configure(options)?;
    ensure!(
        config.data.dir.is_some() || config.space.image_channels == 1,
        "the preset `{}` needs your own images: name their directory with --data",
        config.preset
    );
    device::by_name(&config.device)?;
    let default = || Path::new(RUNS).join(format!("{}-{}", environment::today(), config.preset));
    let root = options.out.clone().unwrap_or_else(default);
    let dir = RunDir::create(&root, &config.to_toml()?)?;
    Ok(Run { config, dir, listed })
}

/// Directory of the run to resume: `--out`, else the newest run of the preset in `runs`.
fn to_resume(options: &Options, runs: &Path) -> Result<PathBuf> {
    match &options.out {
        Some(root) => Ok(root.clone()),
        None => RunDir::newest(runs, &options.preset),
    }
}

/// Reopens a run with the configuration it was started with, even if its preset has changed since.
///
/// # Errors
///
/// If `root` holds no run, or its configuration is invalid.
pub fn reopen(root: &Path) -> Result<Run> {
    let (dir, text) = RunDir::open(root)?;
    let config = ExperimentConfig::parse(&text).with_context(|| format!("{}", dir.path("config.toml").display()))?;
    Ok(Run { config, dir, listed: None })
}

/// The configuration selected by the options, and the images of `--data`, which have to be listed for it.
///
/// # Errors
///
/// If a file cannot be read, the images cannot be listed, or the configuration is invalid.
pub fn configure(options: &Options) -> Result<(ExperimentConfig, Option<Splits>)> {
    let mut config = trained_as_asked(options)?;
    if let Some(name) = &options.device {
        config.device = name.clone();
    }
    if let Some(seed) = options.seed {
        config.seed = seed;
    }
    let listed = options.data.as_ref().map(|data| list(data, options, &mut config)).transpose()?;
    config.validate()?;
    Ok((config, listed))
}

/// Lists the images in `data` and adapts the configuration to them.
fn list(data: &Path, options: &Options, config: &mut ExperimentConfig) -> Result<Splits> {
    let layout = Layout::detect(data)?;
    config.data.dir = Some(data.to_owned());
    if options.config.is_none() {
        config.data.channels = 3;
        config.data.augment = layout.augmentation();
    }
    config.data.channels = options.channels.unwrap_or(config.data.channels);
    config.data.prepared = layout.preparation(data)?;
    let listed = layout.load(data, config.data.channels, config.seed)?;
    config.space.image_channels = config.data.channels;
    config.space.classes = listed.classes.len();
    Ok(listed)
}

/// The preset or configuration file, with the selected schedule.
fn trained_as_asked(options: &Options) -> Result<ExperimentConfig> {
    let schedule_file = options.schedule.as_deref().filter(|schedule| schedule.ends_with(".toml"));
    let kind = match options.schedule.as_deref().filter(|_| schedule_file.is_none()) {
        Some(name) => Some(name.parse::<ScheduleKind>().map_err(|error| anyhow!("{error}, or a .toml file"))?),
        None => None,
    };
    let mut config = match (&options.config, kind) {
        (Some(_), Some(_)) => {
            bail!("named schedules take their recipe from a preset: with --config, give --schedule a .toml file")
        }
        (Some(path), None) => ExperimentConfig::load(path)?,
        (None, kind) => {
            ExperimentConfig::preset_with(&options.preset, kind.unwrap_or(ScheduleKind::ProgressiveShrinking))?
        }
    };
    if let Some(path) = schedule_file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        config.training.schedule = toml::from_str(&text).with_context(|| path.to_owned())?;
    }
    if let Some(subnet_epochs) = options.subnet_epochs {
        // An invalid schedule cannot be scaled.
        config.training.schedule.validate(&config.space, config.training.teacher.is_some())?;
        config.training.schedule = config.training.schedule.scale_to(subnet_epochs);
    }
    Ok(config)
}

/// Adds to the error that ended a run how to resume it.
pub fn with_next_step(error: anyhow::Error, dir: &RunDir) -> anyhow::Error {
    let root = dir.root().display();
    if is_interruption(&error) {
        return error.context(format!("progress is saved; resume with `--resume --out {root}`"));
    }
    error.context(format!("the run stopped; fix the cause, then resume with `--resume --out {root}`"))
}

/// Prints an error and returns the exit code: 0, 1, or 130 after Ctrl-C.
#[allow(clippy::print_stderr, reason = "the end of a program")]
pub(super) fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_interruption(&error) => {
            say(&in_one_line(&error));
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {}", in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_run_keeps_its_configuration_when_its_preset_is_another_today() {
        let runs = tempfile::tempdir().unwrap();
        let mut old = ExperimentConfig::preset("default").unwrap();
        old.tables.archs += 1;
        old.training.schedule = old.training.schedule.scale_to(40);
        let root = runs.path().join("2026-11-24-default");
        RunDir::create(&root, &old.to_toml().unwrap()).unwrap();
        let options = Options::parse_from(["once_for_all", "--resume"]);
        let resumed = reopen(&to_resume(&options, runs.path()).unwrap()).unwrap();
        assert_eq!((resumed.dir.root(), resumed.config), (root.as_path(), old));
    }
}
