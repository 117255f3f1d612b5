//! How a binary begins and ends: options, configuration, run directory, exit code.

use crate::config::ExperimentConfig;
use crate::console::interrupt::is_interruption;
use crate::console::say;
use crate::machine::allocator::keep_freed_memory;
use crate::machine::threads::compute_on_this_thread;
use crate::machine::{device, environment};
use crate::run::run_dir::RunDir;
use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Parser;
use ofa_data::{Layout, Splits};
use ofa_train::ScheduleKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Parent of run directories that are not named.
const RUNS: &str = "runs";

/// Options of the main job.
#[derive(Clone, Debug, Parser)]
#[command(about = "Trains a once-for-all network and finds the best subnet for every budget")]
pub struct Options {
    /// What to run: smoke (a minute), default (ten minutes), standard (half an hour), thorough (hours), photographs (JPEG
    /// images at 128 to 224 pixels, see --data), imagenet_iclr2020 (for a cluster)
    #[arg(long, default_value = "default")]
    preset: String,
    /// A configuration file in place of a preset; every run directory holds a complete one
    #[arg(long, conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// How to train: progressive_shrinking, compofa, sandwich, random_only, grow or full_only, made from the preset's recipe;
    /// or a file of a schedule, as `[training.schedule]` in config.toml but at the top level
    #[arg(long)]
    schedule: Option<String>,
    /// Scales the schedule to this many subnet-epochs (epochs times subnets a step)
    #[arg(long)]
    subnet_epochs: Option<usize>,
    /// Images in place of the embedded Fashion-MNIST: an ImageFolder (train/CLASS/*, val/CLASS/*), ImageNet as it is handed
    /// out, what prepare_images wrote, WebDataset or parquet shards, the binary files of CIFAR-10 or CIFAR-100, or the .gz
    /// files of Fashion-MNIST
    #[arg(long)]
    data: Option<PathBuf>,
    /// Channels of the images of --data: 1 (gray) or 3 (colour) [default: 3, or those of --config]
    #[arg(long, requires = "data")]
    channels: Option<usize>,
    /// Run directory [default: runs/DATE-PRESET]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on with the run in --out, or with the newest one of the preset
    #[arg(long)]
    resume: bool,
    /// Device: flex, libtorch, libtorch-cuda, wgpu, vulkan, metal or cuda, as far as compiled in
    #[arg(long)]
    device: Option<String>,
    /// Seed of everything random
    #[arg(long)]
    seed: Option<u64>,
}

/// What a program does first that is to train or measure: its thread computes, and memory is kept for the next step.
///
/// # Errors
///
/// See [`compute_on_this_thread`].
pub fn ready_to_compute() -> Result<()> {
    keep_freed_memory();
    compute_on_this_thread()
}

/// A run that can begin or go on.
pub struct Run {
    /// Its complete configuration.
    pub config: ExperimentConfig,
    /// Its directory.
    pub dir: RunDir,
    /// The images of `--data`, which were listed to configure the run.
    pub listed: Option<Splits>,
}

/// The run that the options ask for.
///
/// # Errors
///
/// A bad configuration, images of `--data` that cannot be listed, a directory that already holds a run, or none to resume.
pub fn open(options: &Options) -> Result<Run> {
    if options.resume {
        ensure!(
            options.config.is_none()
                && options.data.is_none()
                && options.device.is_none()
                && options.seed.is_none()
                && options.schedule.is_none()
                && options.subnet_epochs.is_none(),
            "a resumed run goes on with its own config.toml: leave out --config, --data, --device, --schedule, \
             --subnet-epochs and --seed"
        );
        return reopen(&to_resume(options, Path::new(RUNS))?);
    }
    let (config, listed) = configure(options)?;
    ensure!(
        config.data.dir.is_some() || config.space.image_channels == 1,
        "the preset `{}` is for images of your own: name their directory with --data",
        config.preset
    );
    device::by_name(&config.device)?;
    let default = || Path::new(RUNS).join(format!("{}-{}", environment::today(), config.preset));
    let root = options.out.clone().unwrap_or_else(default);
    let dir = RunDir::create(&root, &config.to_toml()?)?;
    Ok(Run { config, dir, listed })
}

/// Directory of the run to go on with: the one that is named, or the newest of the preset in `runs`.
fn to_resume(options: &Options, runs: &Path) -> Result<PathBuf> {
    match &options.out {
        Some(root) => Ok(root.clone()),
        None => RunDir::newest(runs, &options.preset),
    }
}

/// A run that has begun, with the configuration it was begun with, whatever its preset is today.
///
/// # Errors
///
/// If there is none in `root`, or its configuration is bad.
pub fn reopen(root: &Path) -> Result<Run> {
    let (dir, text) = RunDir::open(root)?;
    let config = ExperimentConfig::parse(&text).with_context(|| format!("{}", dir.path("config.toml").display()))?;
    Ok(Run { config, dir, listed: None })
}

/// The configuration that the options ask for, with the images of `--data`, which were listed to find it.
///
/// # Errors
///
/// If a file cannot be read, the images cannot be listed, or the configuration is bad.
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

/// Lists the images in `data` and makes the configuration theirs.
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

/// The preset or the file, with the schedule that is asked for.
fn trained_as_asked(options: &Options) -> Result<ExperimentConfig> {
    let schedule_file = options.schedule.as_deref().filter(|schedule| schedule.ends_with(".toml"));
    let kind = match options.schedule.as_deref().filter(|_| schedule_file.is_none()) {
        Some(name) => Some(name.parse::<ScheduleKind>().map_err(|error| anyhow!("{error}, or a .toml file"))?),
        None => None,
    };
    let mut config = match (&options.config, kind) {
        (Some(_), Some(_)) => {
            bail!("a kind of schedule is made from a preset's recipe: with --config give a .toml file")
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
        // A schedule that is not sound cannot be scaled.
        config.training.schedule.validate(&config.space, config.training.teacher.is_some())?;
        config.training.schedule = config.training.schedule.scale_to(subnet_epochs);
    }
    Ok(config)
}

/// What ended a run, with what to do about it.
pub fn with_next_step(error: anyhow::Error, dir: &RunDir) -> anyhow::Error {
    let root = dir.root().display();
    if is_interruption(&error) {
        return error.context(format!("everything so far is saved; go on with `--resume --out {root}`"));
    }
    error.context(format!("the run stopped; when the cause is gone, go on with `--resume --out {root}`"))
}

/// Prints an error and gives the code a process ends with: 0, 1, or 130 after Ctrl-C.
#[allow(clippy::print_stderr, reason = "the end of a binary")]
pub fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_interruption(&error) => {
            say(&format!("{error:#}"));
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
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
