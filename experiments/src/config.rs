//! The configuration of a run: all settings, in one TOML file.

mod fine_tuning;
mod presets;
mod search;

pub use fine_tuning::FineTuning;
pub(crate) use presets::few_epochs;
pub use search::{DeviceTables, Objective, Scenario, SearchConfig};

use crate::machine::latency_device::LatencyDevice;
use anyhow::{Context, Result, bail, ensure};
use ofa_data::{AugmentConfig, Framing, Interpolation, Layout, PrepareConfig, ReadConfig};
use ofa_model::{Quantization, SearchSpace, read_text};
use ofa_search::LatencyTable;
use ofa_search::predictors::MlpConfig;
use ofa_search::timing::LatencyConfig;
use ofa_train::{CheckpointDir, Recipe, Schedule};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// The complete configuration of a run of the main job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentConfig {
    /// Name of the preset it was derived from.
    pub preset: String,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Device name, see `--device`.
    pub device: String,
    /// Images.
    pub data: DataConfig,
    /// Supernet training.
    pub training: TrainingConfig,
    /// Accuracy and latency tables, and the predictor.
    pub tables: TableConfig,
    /// Search budgets and scenarios.
    pub search: SearchConfig,
    /// Fine-tuning of the chosen subnets.
    pub fine_tune: FineTuning,
    /// Search space; its classes and channels must match the data.
    pub space: SearchSpace,
}

/// The images of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// Directory of the images; the layout is detected from its files. The embedded Fashion-MNIST if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Channels of the images: 1 (gray) or 3 (colour).
    pub channels: usize,
    /// Maximum number of training images; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_images: Option<usize>,
    /// Maximum number of test images; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_images: Option<usize>,
    /// How `ofa data prepare` re-encoded the images, which changes pixels; absent for original images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<PrepareConfig>,
    /// Fraction of the training images to hold out for validation, and for testing, where the set has no such parts; a
    /// tenth, at most 10,000, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_out: Option<f64>,
    /// Which part of an image evaluation shows; what suits the layout if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framing: Option<Framing>,
    /// Interpolation used to resize images.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// Memory limit for training batches prepared ahead, in MiB.
    #[serde(default = "default_prefetch_mib")]
    pub prefetch_mib: usize,
    /// Treatment of broken images, and how many decoded images stay in memory.
    #[serde(default)]
    pub read: ReadConfig,
    /// Augmentation of training images.
    pub augment: AugmentConfig,
}

fn default_prefetch_mib() -> usize {
    256
}

/// How the supernet is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Images per step, over all ranks.
    pub batch_size: usize,
    /// Number of newest checkpoints to keep, besides the best.
    pub keep_checkpoints: usize,
    /// Interval in steps between additional checkpoints within an epoch; if absent, only one after every epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_steps: Option<usize>,
    /// Interval in epochs at which the watched subnets are also measured within a phase; if absent, only after every
    /// phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_epochs: Option<usize>,
    /// Directory of the initial weights: a supernet (from `ofa weights import`), or a run, whose newest checkpoint is
    /// used if it has not finished. Random weights if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<PathBuf>,
    /// Directory of a supernet, or of a run that has finished training. Its largest network is the teacher until the
    /// schedule provides its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<PathBuf>,
    /// Loss and optimizer.
    pub recipe: Recipe,
    /// Phases of training.
    pub schedule: Schedule,
}

impl TrainingConfig {
    /// Images per step of each of `ranks` ranks.
    ///
    /// # Errors
    ///
    /// If the batch size is not divisible by `ranks`.
    pub fn batch_of_rank(&self, ranks: usize) -> Result<usize> {
        let size = self.batch_size;
        ensure!(
            size.is_multiple_of(ranks),
            "training.batch_size is {size} over all ranks, and {ranks} ranks cannot share it evenly: start fewer \
             ranks, or a new run with another batch size"
        );
        Ok(size / ranks)
    }
}

/// The tables and the accuracy predictor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// Number of random subnets in the accuracy table; at least 8.
    pub archs: usize,
    /// Validation images per accuracy.
    pub validation_images: usize,
    /// Training images for the calibration of batch-norm statistics.
    pub calibration_images: usize,
    /// Batch size of evaluation.
    pub batch_size: usize,
    /// Fraction of the accuracy table held out to evaluate the predictor.
    pub holdout_fraction: f64,
    /// Whole networks timed: half of them fit the overhead of the latency table, the other half validate it; at least
    /// 8.
    pub latency_networks: usize,
    /// Device that latencies are measured on, see `--latency-device`; that of training if absent. `onnxruntime` estimates
    /// the table from all `latency_networks`, at least 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_device: Option<String>,
    /// Threads of a forward pass in onnxruntime; as many as the program computes with if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_threads: Option<NonZeroUsize>,
    /// Latency measurement.
    pub latency: LatencyConfig,
    /// Accuracy predictor.
    pub predictor: MlpConfig,
    /// How networks are quantised for the column `int8_top1` of the accuracy table; without it there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8: Option<Quantization>,
}

impl ExperimentConfig {
    /// Reads and validates a configuration file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has an unknown key, a missing key or an invalid value; the error names the file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{}", path.display()))
    }

    /// Parses and validates a configuration.
    ///
    /// # Errors
    ///
    /// If a key is unknown or missing, or a value is invalid.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text)?;
        config.validate()?;
        Ok(config)
    }

    /// The configuration as TOML, with every key.
    ///
    /// # Errors
    ///
    /// If a path in it is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).context("the configuration cannot be written as TOML")
    }

    /// What latencies are measured on.
    ///
    /// # Errors
    ///
    /// Those of [`LatencyDevice::by_name`].
    pub fn latency_device(&self) -> Result<LatencyDevice> {
        let TableConfig { latency_device, latency_threads, .. } = &self.tables;
        LatencyDevice::by_name(latency_device.as_ref().unwrap_or(&self.device), latency_threads.map(Into::into))
    }

    /// Checks the values beyond their types.
    ///
    /// # Errors
    ///
    /// If a value is invalid; the error names the key and the value.
    pub fn validate(&self) -> Result<()> {
        self.space.validate()?;
        let positive = [
            ("training.batch_size", self.training.batch_size),
            ("training.keep_checkpoints", self.training.keep_checkpoints),
            ("training.checkpoint_steps", self.training.checkpoint_steps.unwrap_or(1)),
            ("training.watch_epochs", self.training.watch_epochs.unwrap_or(1)),
            ("tables.validation_images", self.tables.validation_images),
            ("tables.calibration_images", self.tables.calibration_images),
            ("tables.batch_size", self.tables.batch_size),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, value)| *value == 0) {
            bail!("{key} is 0, it must be positive");
        }
        if ![1, 3].contains(&self.data.channels) {
            bail!("data.channels is {}, it must be 1 (gray) or 3 (colour)", self.data.channels);
        }
        self.data.read.validate().context("data.read")?;
        if let Some(fraction) = self.data.hold_out {
            Layout::check_hold_out(fraction).context("data")?;
        }
        if self.tables.archs < 8 {
            bail!("tables.archs is {}, but fitting a predictor takes at least 8", self.tables.archs);
        }
        let held_out = (self.tables.archs as f64 * self.tables.holdout_fraction).round();
        if !(2.0..=self.tables.archs as f64 - 2.0).contains(&held_out) {
            bail!(
                "tables.holdout_fraction is {}, which holds out {held_out} of {} rows: at least two must be held out, \
                 and two left to fit",
                self.tables.holdout_fraction,
                self.tables.archs
            );
        }
        if self.tables.latency_networks < 8 {
            bail!("tables.latency_networks is {}, it must be at least 8", self.tables.latency_networks);
        }
        let whole = self.tables.latency_device.as_deref() == Some(LatencyDevice::ONNXRUNTIME);
        if whole && self.tables.latency_networks < LatencyTable::LEAST_NETWORKS {
            bail!(
                "tables.latency_networks is {}, but estimating a table from whole networks takes at least {}",
                self.tables.latency_networks,
                LatencyTable::LEAST_NETWORKS
            );
        }
        if let Some(int8) = &self.tables.int8 {
            int8.validate().context("tables.int8")?;
            ensure!(
                int8.images <= self.tables.calibration_images,
                "tables.int8.images is {}, but tables.calibration_images only {}",
                int8.images,
                self.tables.calibration_images
            );
        }
        self.training.recipe.validate().context("training.recipe")?;
        self.training.schedule.validate(&self.space, self.training.teacher.is_some()).context("training.schedule")?;
        self.fine_tune.validate(self.tables.int8.is_some(), &self.training.recipe)?;
        self.search.validate().context("search")?;
        ensure!(
            !self.search.asks_for_int8(),
            "search: a run answers by top1; ask for int8_top1 in a file of scenarios (ofa deploy)"
        );
        Ok(())
    }
}

/// The first value that repeats an earlier one.
pub(crate) fn twice<T: PartialEq + Copy>(values: &[T]) -> Option<T> {
    values.iter().enumerate().find(|(i, value)| values[..*i].contains(value)).map(|(_, value)| *value)
}

impl TrainingConfig {
    /// The checkpoint directory `root`, with the configured interval and number of checkpoints.
    pub fn checkpoints(&self, root: PathBuf) -> CheckpointDir {
        let dir = CheckpointDir::new(root, self.keep_checkpoints);
        match self.checkpoint_steps {
            Some(steps) => dir.every_steps(steps),
            None => dir,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_survive_a_round_trip() {
        for name in ExperimentConfig::PRESETS {
            let config = ExperimentConfig::preset(name).unwrap();
            assert_eq!(ExperimentConfig::parse(&config.to_toml().unwrap()).unwrap(), config, "{name}");
        }
    }

    #[test]
    fn the_file_of_the_papers_training_is_the_preset() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/imagenet_iclr2020.toml");
        let preset = ExperimentConfig::preset("imagenet_iclr2020").unwrap();
        assert_eq!(ExperimentConfig::load(&path).unwrap(), preset, "ofa plan --preset imagenet_iclr2020 --toml");
        let schedule = &preset.training.schedule;
        assert_eq!((schedule.epochs(), schedule.subnet_epochs()), (605, 1205));
        // 32 ranks of 64 images give the published rate of 2.6.
        let rate = schedule.learning_rate_at(0, 0, 625, preset.training.batch_size);
        assert!((rate - 2.6).abs() < 1e-12, "{rate}");
    }

    #[test]
    fn unknown_presets_and_keys_are_named() {
        let message = ExperimentConfig::preset("fast").unwrap_err().to_string();
        assert!(message.contains("`fast`") && message.contains("smoke"), "{message}");
        let text = ExperimentConfig::preset("smoke").unwrap().to_toml().unwrap();
        let text = text.replace("batch_size", "batchsize");
        let message = format!("{:#}", ExperimentConfig::parse(&text).unwrap_err());
        assert!(message.contains("batchsize"), "{message}");
    }

    #[test]
    fn impossible_values_are_named() {
        type Change = fn(&mut ExperimentConfig);
        let break_it: [(&str, Change); 9] = [
            ("training.watch_epochs is 0", |c| c.training.watch_epochs = Some(0)),
            ("no phases", |c| c.training.schedule.phases.clear()),
            ("training.batch_size is 0", |c| c.training.batch_size = 0),
            ("tables.holdout_fraction is 0", |c| c.tables.holdout_fraction = 0.0),
            ("tables.holdout_fraction is NaN", |c| c.tables.holdout_fraction = f64::NAN),
            ("data.channels is 2", |c| c.data.channels = 2),
            ("search: scenario `latency-tight`: macs is 0", |c| c.search.scenarios[0].macs = Some(0)),
            ("search: two scenarios are named `macs-2M`", |c| c.search.scenarios[0].name = "macs-2M".into()),
            ("resolutions", |c| c.space.resolutions.clear()),
        ];
        for (expected, change) in break_it {
            let mut config = ExperimentConfig::preset("smoke").unwrap();
            change(&mut config);
            let message = format!("{:#}", config.validate().unwrap_err());
            assert!(message.contains(expected), "{message}");
        }
    }
}
