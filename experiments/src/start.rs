//! How a binary begins and ends: options, configuration, run directory, exit code.

use crate::config::ExperimentConfig;
use crate::dashboard::say;
use crate::run_dir::RunDir;
use crate::tables::Interrupted;
use crate::{device, environment};
use anyhow::{Context, Result, ensure};
use clap::Parser;
use ofa_data::{Layout, Splits};
use ofa_train::TrainError;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Parent of run directories that are not named.
const RUNS: &str = "runs";

/// Options of the main job.
#[derive(Clone, Debug, Parser)]
#[command(about = "Trains a once-for-all network and finds the best subnet for every budget")]
pub struct Options {
    /// What to run: smoke (a minute), default, thorough (hours), photographs (JPEG images at 128 to 224 pixels, see --data)
    #[arg(long, default_value = "default")]
    preset: String,
    /// A configuration file in place of a preset; every run directory holds a complete one
    #[arg(long, conflicts_with = "preset")]
    config: Option<PathBuf>,
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
            options.config.is_none() && options.data.is_none() && options.seed.is_none(),
            "a resumed run goes on with its own config.toml: leave out --config, --data and --seed"
        );
        let root = match &options.out {
            Some(root) => root.clone(),
            None => RunDir::newest(Path::new(RUNS), &options.preset)?,
        };
        let (dir, text) = RunDir::open(&root)?;
        let config =
            ExperimentConfig::parse(&text).with_context(|| format!("{}", dir.path("config.toml").display()))?;
        return Ok(Run { config, dir, listed: None });
    }
    let (config, listed) = configure(options)?;
    device::by_name(&config.device)?;
    let default = || Path::new(RUNS).join(format!("{}-{}", environment::today(), config.preset));
    let root = options.out.clone().unwrap_or_else(default);
    let dir = RunDir::create(&root, &config.to_toml()?)?;
    Ok(Run { config, dir, listed })
}

fn configure(options: &Options) -> Result<(ExperimentConfig, Option<Splits>)> {
    let mut config = match &options.config {
        Some(path) => ExperimentConfig::load(path)?,
        None => ExperimentConfig::preset(&options.preset)?,
    };
    if let Some(name) = &options.device {
        config.device = name.clone();
    }
    if let Some(seed) = options.seed {
        config.seed = seed;
    }
    let listed = options.data.as_ref().map(|data| list(data, options, &mut config)).transpose()?;
    ensure!(
        config.data.dir.is_some() || config.preset != "photographs",
        "the preset `photographs` is for images of your own: name their directory with --data"
    );
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

/// Lets Ctrl-C set `stop`, so that the step in progress is finished and saved; a second one ends the process at once,
/// which loses nothing that is on disk.
///
/// # Errors
///
/// If the system does not allow it.
pub fn on_interrupt(stop: Arc<AtomicBool>) -> Result<()> {
    let handler = move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).context("cannot listen to Ctrl-C")
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

fn is_interruption(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.is::<Interrupted>() || matches!(cause.downcast_ref(), Some(TrainError::Interrupted { .. })))
}
