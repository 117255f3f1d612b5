//! Start and end of a program: options, configuration, run directory, exit code.

use crate::config::ExperimentConfig;
use crate::console::interrupt::is_interruption;
use crate::console::problem::in_one_line;
use crate::console::say;
use crate::machine::allocator::keep_freed_memory;
use crate::machine::latency_device::LatencyDevice;
use crate::machine::threads::compute_on_this_thread;
use crate::machine::{device, environment};
use crate::options::latency_device::{LatencyOptions, WHOLE_NETWORKS};
use crate::run::given_weights;
use crate::run::image_size;
use crate::run::images::Images;
use crate::run::lock::RunLock;
use crate::run::run_dir::RunDir;
use crate::run::supernet_file;
use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Parser;
use ofa_data::{Layout, Splits};
use ofa_model::{SearchSpace, read_text};
use ofa_train::{OneRank, Ranks, ScheduleKind, TrainError};
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
    #[arg(long, help = schedule_help())]
    schedule: Option<String>,
    /// Directory of a supernet, or of a run, to begin with: its space and its weights, at the resolutions of the preset
    /// or of the images; for other classes, everything but its classifier
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    start: Option<PathBuf>,
    /// Scales the schedule to this many subnet-epochs (epochs times subnets per step)
    #[arg(long)]
    subnet_epochs: Option<usize>,
    /// Directory of images to use instead of the embedded Fashion-MNIST: an ImageFolder (train/CLASS/*, val/CLASS/*) or
    /// CLASS/*, ImageNet or Tiny ImageNet as distributed, output of `ofa data prepare`, WebDataset or parquet shards,
    /// CIFAR-10 or CIFAR-100 binary files, or MNIST's IDX files
    #[arg(long)]
    data: Option<PathBuf>,
    /// Channels of the images in --data: 1 (gray) or 3 (colour) [default: that of --config, else 1 for IDX files and 3
    /// for others]
    #[arg(long, requires = "data")]
    channels: Option<usize>,
    /// Fraction of the training images to hold out for validation, and for testing, where the set in --data has no such
    /// parts [default: 0.1, at most about 10,000 images]
    #[arg(long, requires = "data", value_name = "FRACTION")]
    hold_out: Option<f64>,
    /// Run directory [default: runs/DATE-PRESET]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Resumes the run in --out, or the newest run of the preset
    #[arg(long)]
    resume: bool,
    /// Device, if compiled in: flex, libtorch, libtorch-cuda, wgpu, vulkan, metal or cuda, numbered where there are
    /// several, as in cuda:1 [default: that of the configuration]
    #[arg(long)]
    device: Option<String>,
    #[command(flatten)]
    latency: LatencyOptions,
    /// Seed of all random numbers [default: that of the configuration]
    #[arg(long)]
    seed: Option<u64>,
}

fn schedule_help() -> String {
    let kinds: Vec<String> = ScheduleKind::ALL.iter().map(ToString::to_string).collect();
    format!(
        "Training schedule: {}, with the preset's recipe; or a .toml file with the keys of [training.schedule] at the \
         top level",
        kinds.join(", ")
    )
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
    /// The images, if they were loaded already to check the configuration.
    pub images: Option<Images>,
    /// Whether options changed the configuration of a resumed run, which is written once the images have proven to be
    /// the same.
    pub changed: bool,
    /// Keeps other jobs out of the directory; rank 0 holds it for all.
    pub lock: Option<RunLock>,
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
        ensure!(!run.changed, "several ranks cannot change --data or --device: resume once with one process");
        let root = run.dir.root().to_str().context("the name of the run directory is not UTF-8")?;
        ranks.broadcast(0, root.as_bytes().to_vec());
    }
    Ok(run)
}

fn create_or_resume(options: &Options) -> Result<Run> {
    if options.resume {
        ensure!(
            options.config.is_none()
                && options.channels.is_none()
                && options.hold_out.is_none()
                && options.seed.is_none()
                && options.schedule.is_none()
                && options.start.is_none()
                && options.latency.latency_device.is_none()
                && options.subnet_epochs.is_none(),
            "a resumed run uses its own config.toml: drop --config, --channels, --hold-out, --schedule, --start, \
             --subnet-epochs, --latency-device and --seed (--data and --device may change)"
        );
        return resume(options);
    }
    let (config, listed) = configure(options)?;
    ensure!(
        config.data.dir.is_some() || config.space.image_channels == 1,
        "the preset `{}` needs your own images: name their directory with --data",
        config.preset
    );
    let device = device::by_name(&config.device)?;
    config.latency_device()?;
    listed.iter().flat_map(|listed| &listed.notes).for_each(|note| say(note));
    // Whatever can be wrong is found before there is a directory that could only be removed.
    let images = Images::load(&config, listed)?;
    images.train_loader(&config, &OneRank)?;
    given_weights::check(&config, &device)?;
    let default = || Path::new(RUNS).join(format!("{}-{}", environment::today(), config.preset));
    let root = options.out.clone().unwrap_or_else(default);
    let text = config.to_toml()?;
    RunDir::ensure_free(&root)?;
    RunDir::create_or_open(&root)?;
    let lock = Some(RunLock::take(&root)?);
    let dir = RunDir::create(&root, &text)?;
    Ok(Run { config, dir, images: Some(images), changed: false, lock })
}

/// Reopens the run selected by the options, for this process alone. Its images may have moved, and its device changed.
fn resume(options: &Options) -> Result<Run> {
    let root = to_resume(options, Path::new(RUNS))?;
    ensure!(RunDir::holds_run(&root), "there is no run in {}: leave out --resume to start one", root.display());
    let run = reopen(&root)?;
    let lock = Some(RunLock::take(&root)?);
    let mut config = run.config.clone();
    if let Some(data) = &options.data {
        config.data.dir = Some(absolute(data)?);
    }
    if let Some(device) = &options.device {
        device::by_name(device)?;
        config.device = device.clone();
    }
    Ok(Run { changed: config != run.config, config, lock, ..run })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("{} has no absolute path", path.display()))
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
    Ok(Run { config, dir, images: None, changed: false, lock: None })
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
    if let Some(name) = &options.latency.latency_device {
        config.tables.latency_device = Some(name.clone());
        config.tables.latency_threads = options.latency.latency_threads;
        if name == LatencyDevice::ONNXRUNTIME {
            config.tables.latency_networks = config.tables.latency_networks.max(WHOLE_NETWORKS);
        }
    }
    let listed = options.data.as_ref().map(|data| list(data, options, &mut config)).transpose()?;
    // A run is also resumed from other directories.
    for path in [&mut config.data.dir, &mut config.training.start, &mut config.training.teacher].into_iter().flatten() {
        *path = absolute(path)?;
    }
    config.validate()?;
    Ok((config, listed))
}

/// Lists the images in `data` and adapts the configuration to them.
fn list(data: &Path, options: &Options, config: &mut ExperimentConfig) -> Result<Splits> {
    config.data.dir = Some(data.to_owned());
    config.data.hold_out = options.hold_out.or(config.data.hold_out);
    let layout = Layout::detect(data)?.with_hold_out(config.data.hold_out)?;
    let channels = if options.config.is_none() { layout.channels() } else { config.data.channels };
    config.data.channels = options.channels.unwrap_or(channels);
    config.data.prepared = layout.preparation()?;
    let mut listed = layout.load(config.data.channels, config.seed)?;
    config.space.image_channels = config.data.channels;
    config.space.classes = listed.classes.len();
    if options.config.is_none() {
        let note = image_size::adapt(config, &listed)?;
        listed.notes.push(note);
    }
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
    if let Some(start) = &options.start {
        let SearchSpace { resolutions, image_channels, classes, .. } = config.space;
        let space = supernet_file::space(start).context("--start")?;
        config.space = SearchSpace { resolutions, image_channels, classes, ..space };
        config.training.start = Some(start.clone());
    }
    if let Some(path) = schedule_file {
        let text = read_text(Path::new(path)).with_context(|| format!("cannot read {path}"))?;
        config.training.schedule = toml::from_str(&text).with_context(|| path.to_owned())?;
    }
    if let Some(subnet_epochs) = options.subnet_epochs {
        ensure!(subnet_epochs > 0, "--subnet-epochs is 0, it must be positive");
        // An invalid schedule cannot be scaled.
        config.training.schedule.validate(&config.space, config.training.teacher.is_some())?;
        config.training.schedule = config.training.schedule.scale_to(subnet_epochs);
        let scaled = config.training.schedule.subnet_epochs();
        if scaled != subnet_epochs {
            say(&format!("{scaled} subnet-epochs come closest to {subnet_epochs}: every phase has at least one epoch"));
        }
    }
    Ok(config)
}

/// Adds to the error that ended a run how to resume it.
pub fn with_next_step(error: anyhow::Error, dir: &RunDir) -> anyhow::Error {
    let root = dir.root().display();
    if is_interruption(&error) {
        return error.context(format!("progress is saved; resume with `--resume --out {root}`"));
    }
    let says_what_to_do =
        |error: &TrainError| matches!(error, TrainError::NonFiniteLoss { .. } | TrainError::UnsoundCheckpoint { .. });
    if error.downcast_ref().is_some_and(says_what_to_do) {
        // Resumed, it would end so again; the error says what to change.
        return error.context("the run stopped");
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
    use burn::tensor::Device;
    use ofa_data::{AugmentConfig, Framing};
    use ofa_model::SupernetConfig;

    /// An ImageFolder of two classes with images of this size, three in train and one in val.
    fn images(width: u32, height: u32) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (part, count) in [("train", 3), ("val", 1)] {
            for class in ["cat", "dog"] {
                let directory = dir.path().join(part).join(class);
                std::fs::create_dir_all(&directory).unwrap();
                let image = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 7]));
                (0..count).for_each(|i| image.save(directory.join(format!("{i}.png"))).unwrap());
            }
        }
        dir
    }

    fn configured(arguments: &[&str]) -> Result<(ExperimentConfig, Option<Splits>)> {
        configure(&Options::parse_from([&["ofa"], arguments].concat()))
    }

    #[test]
    fn small_images_are_no_photographs_in_any_layout_and_preset() {
        let dir = images(48, 40);
        let data = dir.path().to_str().unwrap();
        for preset in ["smoke", "default", "photographs", "imagenet_iclr2020"] {
            let (config, listed) = configured(&["--preset", preset, "--data", data]).unwrap();
            assert_eq!(config.data.augment, AugmentConfig::for_side(40));
            assert_eq!((&config.space.resolutions[..], config.data.framing), (&[28, 36, 40][..], Some(Framing::Whole)));
            let notes = listed.unwrap().notes.join("\n");
            assert!(notes.contains("2 images of train are held out for validation, by seed 1"), "{notes}");
            assert!(notes.contains("images of about 40 px are small") && notes.contains("at 28, 36, 40 px"), "{notes}");
        }
        let photographs = images(300, 200);
        let data = photographs.path().to_str().unwrap();
        let (config, listed) = configured(&["--preset", "photographs", "--data", data]).unwrap();
        let preset = ExperimentConfig::preset("photographs").unwrap();
        assert_eq!((config.data.augment, config.space.resolutions), (preset.data.augment, preset.space.resolutions));
        assert_eq!((config.data.framing, config.search), (None, preset.search));
        assert!(listed.unwrap().notes[1].contains("are photographs"));
    }

    #[test]
    fn a_start_gives_its_space_at_the_resolutions_of_preset_or_images() {
        let (dir, root) = (images(48, 40), tempfile::tempdir().unwrap());
        let start = root.path().join("start");
        let space = SearchSpace::mobilenet_v3(0.5, 1000);
        SupernetConfig::new(space.clone()).unwrap().init(&Device::flex()).save(&start).unwrap();
        let photographs = images(300, 200);
        let [start, small, large] = [&start, dir.path(), photographs.path()].map(|path| path.to_str().unwrap());
        let of = |data| configured(&["--preset", "photographs", "--data", data, "--start", start]).unwrap().0;
        for (data, resolutions) in [
            (small, SearchSpace::small_mobilenet_v3_at(40, 3, 2).resolutions),
            (large, ExperimentConfig::preset("photographs").unwrap().space.resolutions),
        ] {
            let config = of(data);
            assert_eq!(config.space, SearchSpace { resolutions, classes: 2, ..space.clone() });
            assert_eq!(config.training.start.as_deref(), Some(Path::new(start)));
            let [least, greatest] =
                [config.space.smallest(), config.space.largest()].map(|arch| config.space.cost(&arch).macs);
            assert!(
                config
                    .search
                    .scenarios
                    .iter()
                    .filter_map(|scenario| scenario.macs)
                    .all(|macs| (least..greatest).contains(&macs))
            );
        }
        let message = format!("{:#}", configured(&["--preset", "smoke", "--start", small]).err().unwrap());
        assert!(message.starts_with("--start: ") && message.contains("space.json"), "{message}");
    }

    #[test]
    fn another_device_for_latencies_takes_enough_networks() {
        let [config, more] = [&[][..], &["--latency-threads", "2"]].map(|threads| {
            let arguments = ["--preset", "smoke", "--latency-device", "onnxruntime"];
            configured(&[&arguments[..], threads].concat()).unwrap().0
        });
        assert_eq!((config.device.as_str(), config.tables.latency_device.as_deref()), ("flex", Some("onnxruntime")));
        assert_eq!((config.tables.latency_networks, config.tables.latency_threads), (WHOLE_NETWORKS, None));
        assert_eq!(more.tables.latency_threads.map(usize::from), Some(2));
        assert_eq!(ExperimentConfig::parse(&more.to_toml().unwrap()).unwrap(), more);
        let mut few = more;
        few.tables.latency_networks = 19;
        let message = few.validate().unwrap_err().to_string();
        assert!(message.contains("tables.latency_networks is 19") && message.contains("at least 20"), "{message}");
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("run");
        let open = |more: &[&str]| {
            let arguments = ["ofa", "--preset", "smoke", "--latency-device", "onnxruntime", "--out"];
            let arguments = [&arguments[..], &[out.to_str().unwrap()], more].concat();
            format!("{:#}", create_or_resume(&Options::parse_from(arguments)).err().unwrap())
        };
        assert!(open(&["--resume"]).contains("drop --config") && !out.exists());
        #[cfg(not(feature = "onnxruntime"))]
        assert!(open(&[]).contains("--features onnxruntime") && !out.exists());
    }

    #[test]
    fn a_configuration_keeps_its_space_and_augmentation() {
        let dir = images(48, 40);
        let file = dir.path().join("config.toml");
        let mut written = ExperimentConfig::preset("photographs").unwrap();
        written.space.classes = 2;
        std::fs::write(&file, written.to_toml().unwrap()).unwrap();
        let arguments = ["--config", file.to_str().unwrap(), "--data", dir.path().to_str().unwrap()];
        let (config, _) = configured(&arguments).unwrap();
        assert_eq!(
            (config.data.augment, config.space, config.data.framing),
            (written.data.augment, written.space, None)
        );
    }

    #[test]
    fn d8_one_class_is_refused_before_anything_starts() {
        let dir = images(48, 40);
        for part in ["train", "val"] {
            std::fs::remove_dir_all(dir.path().join(part).join("dog")).unwrap();
        }
        let out = dir.path().join("run");
        let arguments =
            ["ofa", "--preset", "smoke", "--data", dir.path().to_str().unwrap(), "--out", out.to_str().unwrap()];
        let message = open(&Options::parse_from(arguments), &ofa_train::OneRank).err().unwrap().to_string();
        assert!(message.starts_with("one class (cat): there is nothing to learn"), "{message}");
        assert!(!out.exists());
        let mut config = ExperimentConfig::preset("smoke").unwrap();
        config.space.classes = 1;
        assert!(config.validate().unwrap_err().to_string().contains("with one class there is nothing to learn"));
    }

    #[test]
    fn d9_fewer_images_than_a_batch_are_refused_before_anything_starts() {
        let dir = images(48, 40);
        let out = dir.path().join("run");
        let arguments =
            ["ofa", "--preset", "smoke", "--data", dir.path().to_str().unwrap(), "--out", out.to_str().unwrap()];
        let message = format!("{:#}", create_or_resume(&Options::parse_from(arguments)).err().unwrap());
        assert!(message.contains("batch"), "{message}");
        assert!(!out.exists());
    }

    #[test]
    fn r1_r2_one_job_at_a_time_resumes_a_run_whose_images_moved() {
        let dir = images(48, 40);
        let out = dir.path().join("run");
        let mut config = ExperimentConfig::preset("smoke").unwrap();
        config.data.dir = Some("gone".into());
        RunDir::create(&out, &config.to_toml().unwrap()).unwrap();
        let [data, out] = [dir.path(), &out].map(|path| path.to_str().unwrap());
        let resume = || create_or_resume(&Options::parse_from(["ofa", "--resume", "--out", out, "--data", data]));
        let first = resume().unwrap();
        assert!(first.changed);
        assert_eq!(first.config.data.dir.as_deref(), Some(dir.path()));
        let message = resume().err().unwrap().to_string();
        assert!(message.contains("is in use by process"), "{message}");
        drop(first);
        resume().unwrap();
    }

    #[test]
    fn published_gray_sets_need_no_option_and_keep_the_preset() {
        let data = ofa_data::FashionMnist::directory();
        let (config, _) = configured(&["--preset", "smoke", "--data", data.to_str().unwrap()]).unwrap();
        let preset = ExperimentConfig::preset("smoke").unwrap();
        assert_eq!((config.space, config.search), (preset.space, preset.search));
        assert_eq!(config.data, crate::config::DataConfig { dir: Some(data), ..preset.data });
        let dir = images(48, 40);
        let split =
            |fraction| configured(&["--data", dir.path().join("train").to_str().unwrap(), "--hold-out", fraction]);
        let (config, listed) = split("0.3").unwrap();
        let listed = listed.unwrap();
        let sizes = [listed.train, listed.validation, listed.test].map(|set| set.len());
        assert_eq!((config.data.hold_out, sizes), (Some(0.3), [2, 2, 2]));
        assert!(split("0.6").unwrap_err().to_string().contains("hold_out is 0.6"));
    }

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
