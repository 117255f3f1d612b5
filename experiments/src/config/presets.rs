//! Preset configurations.

use super::{DataConfig, ExperimentConfig, FineTuning, Objective, Scenario, SearchConfig, TableConfig, TrainingConfig};
use anyhow::{Result, bail};
use ofa_data::{AugmentConfig, Interpolation, ReadConfig};
use ofa_model::SearchSpace;
use ofa_search::predictors::MlpConfig;
use ofa_search::timing::LatencyConfig;
use ofa_train::{PhaseRecipe, Recipe, ScheduleKind, ScheduleRecipe};
use std::collections::BTreeMap;

impl ExperimentConfig {
    /// Names of the presets.
    pub const PRESETS: [&'static str; 6] =
        ["smoke", "default", "standard", "thorough", "photographs", "imagenet_iclr2020"];

    /// A preset by name: `smoke` (a minute, checks that everything works), `default` (ten minutes, for newcomers),
    /// `standard` (half an hour), `thorough` (hours), `photographs` (MobileNetV3 at 128 to 224 pixels, for JPEG
    /// images given by `--data`), `imagenet_iclr2020` (the paper's setting, for a cluster). All use progressive
    /// shrinking.
    ///
    /// # Errors
    ///
    /// If no preset has this name.
    pub fn preset(name: &str) -> Result<Self> {
        Self::preset_with(name, ScheduleKind::ProgressiveShrinking)
    }

    /// A preset with another kind of schedule, made from the same recipe.
    ///
    /// # Errors
    ///
    /// If no preset has this name.
    pub fn preset_with(name: &str, kind: ScheduleKind) -> Result<Self> {
        let (mut config, recipe) = match name {
            "smoke" => (smoke(), few_epochs([1, 1, 1, 1, 1, 1])),
            "default" => (default(), default_recipe()),
            "standard" => (standard(), standard_recipe()),
            "thorough" => (thorough(), few_epochs([40, 15, 4, 15, 4, 40])),
            "photographs" => {
                let recipe = ScheduleRecipe { reference_batch_size: 32, ..few_epochs([16, 2, 1, 2, 1, 8]) };
                (photographs(), recipe)
            }
            "imagenet_iclr2020" => (imagenet_iclr2020(), ScheduleRecipe::iclr2020()),
            _ => bail!("unknown preset `{name}`; choose one of: {}", Self::PRESETS.join(", ")),
        };
        config.preset = name.into();
        config.training.schedule = kind.schedule(&config.space, &recipe);
        Ok(config)
    }
}

/// For newcomers: images, epochs and table sizes that fit into ten minutes on two cores, chosen by measurement.
fn default() -> ExperimentConfig {
    let mut config = standard();
    config.data.train_images = None;
    config.tables.archs = 160;
    config.tables.validation_images = 2500;
    config.tables.calibration_images = 500;
    config
}

/// Epochs and learning rates of `default`: few epochs of the full network, then high learning rates while shrinking.
fn default_recipe() -> ScheduleRecipe {
    let mut recipe = few_epochs([4, 1, 1, 1, 1, 7]);
    let ScheduleRecipe { kernel, depth_first, depth_last, expand_first, expand_last, .. } = &mut recipe;
    for phase in [kernel, depth_first, depth_last, expand_first] {
        phase.learning_rate = 0.1;
    }
    expand_last.learning_rate = 0.15;
    recipe
}

/// Epochs and learning rates of `standard`.
fn standard_recipe() -> ScheduleRecipe {
    few_epochs([5, 1, 1, 1, 1, 5])
}

fn standard() -> ExperimentConfig {
    let space = SearchSpace::small_mobilenet_v3(1, 10);
    ExperimentConfig {
        preset: "standard".into(),
        seed: 1,
        device: "flex".into(),
        data: DataConfig {
            dir: None,
            channels: 1,
            train_images: None,
            test_images: None,
            prepared: None,
            hold_out: None,
            framing: None,
            interpolation: Interpolation::Bilinear,
            prefetch_mib: 256,
            read: ReadConfig::default(),
            augment: AugmentConfig::small_images(),
        },
        training: TrainingConfig {
            batch_size: 64,
            keep_checkpoints: 2,
            checkpoint_steps: None,
            watch_epochs: None,
            start: None,
            teacher: None,
            recipe: Recipe::default(),
            schedule: ScheduleKind::ProgressiveShrinking.schedule(&space, &standard_recipe()),
        },
        tables: TableConfig {
            archs: 160,
            validation_images: 2500,
            calibration_images: 500,
            batch_size: 125,
            holdout_fraction: 0.25,
            latency_networks: 40,
            latency_device: None,
            latency_threads: None,
            latency: LatencyConfig::default(),
            predictor: MlpConfig::default(),
            int8: None,
        },
        search: SearchConfig {
            queries: 10_000,
            seed: None,
            strategies: None,
            objective: Objective::Top1,
            devices: BTreeMap::new(),
            scenarios: vec![
                latency_share("latency-tight", 0.15),
                latency_share("latency-medium", 0.35),
                latency_share("latency-loose", 0.6),
                macs("macs-2M", 2_000_000),
            ],
        },
        fine_tune: FineTuning { epochs: 0, learning_rate: 0.01, distillation_weight: 1.0, int8: false },
        space,
    }
}

fn smoke() -> ExperimentConfig {
    let mut config = standard();
    config.data.train_images = Some(2_048);
    config.data.test_images = Some(1_000);
    config.tables.archs = 16;
    config.tables.validation_images = 500;
    config.tables.calibration_images = 250;
    config.tables.latency_networks = 8;
    config.tables.latency = LatencyConfig { warmup: 1, min_samples: 5, max_samples: 10, ..config.tables.latency };
    config.tables.predictor.epochs = 50;
    config.search.queries = 1_000;
    config.search.scenarios.remove(1);
    config.fine_tune.epochs = 1;
    config
}

fn thorough() -> ExperimentConfig {
    let mut config = standard();
    config.tables.archs = 400;
    config.tables.validation_images = 10_000;
    config.tables.calibration_images = 2_000;
    config.tables.latency_networks = 100;
    config.fine_tune.epochs = 10;
    config
}

/// MobileNetV3 at every fourth resolution from 128 to 224 pixels, for a few thousand photographs given by `--data`.
///
/// Half the paper's width, so a CPU suffices; for ImageNet, raise the width, the epochs and the table sizes.
fn photographs() -> ExperimentConfig {
    let mut config = standard();
    config.data.channels = 3;
    config.data.augment = AugmentConfig::photographs();
    config.space = SearchSpace::mobilenet_v3(0.5, 1000);
    config.training.batch_size = 32;
    config.tables.archs = 64;
    config.tables.validation_images = 2_000;
    config.tables.calibration_images = 256;
    config.tables.batch_size = 32;
    config.tables.latency_networks = 20;
    config.tables.latency = LatencyConfig { warmup: 1, min_samples: 5, max_samples: 20, ..config.tables.latency };
    config.search.scenarios[3] = macs("macs-40M", 40_000_000);
    config
}

/// The paper's training of MobileNetV3 on ImageNet (appendix B and the authors' code), on 32 ranks of 64 images.
/// Table sizes are those of the preprint: 16,000 subnets on 10,000 held-out training images.
fn imagenet_iclr2020() -> ExperimentConfig {
    let mut config = photographs();
    config.space = SearchSpace::mobilenet_v3(1.0, 1000);
    config.training.batch_size = 32 * 64;
    config.training.checkpoint_steps = Some(500);
    config.training.watch_epochs = Some(5);
    config.training.recipe.dropout = 0.1;
    config.tables.archs = 16_000;
    config.tables.validation_images = 10_000;
    config.tables.calibration_images = 2_000;
    config.tables.batch_size = 100;
    config.tables.latency_networks = 200;
    config.tables.latency = LatencyConfig::default();
    config.search.scenarios[3] = macs("macs-230M", 230_000_000);
    config
}

/// The phases of the paper (appendix B), at batch size 64.
///
/// A few epochs need other settings than the paper's hundreds: higher learning rates in the later phases, two subnets
/// per step instead of four (more steps in the same time), and many epochs in the last phase, the only one that
/// trains the narrowest subnets.
pub(crate) fn few_epochs(epochs: [usize; 6]) -> ScheduleRecipe {
    let [full, kernel, depth_first, depth_last, expand_first, expand_last] = epochs;
    let phase = |epochs: usize, learning_rate, subnets_per_step| PhaseRecipe {
        epochs,
        learning_rate,
        warmup_epochs: 0.1 * epochs as f64,
        subnets_per_step,
    };
    ScheduleRecipe {
        reference_batch_size: 64,
        full: phase(full, 0.1, 1),
        kernel: phase(kernel, 0.05, 1),
        depth_first: phase(depth_first, 0.04, 2),
        depth_last: phase(depth_last, 0.04, 2),
        expand_first: phase(expand_first, 0.04, 2),
        expand_last: phase(expand_last, 0.05, 2),
        distillation_weight: 1.0,
    }
}

fn latency_share(name: &str, share: f64) -> Scenario {
    Scenario { name: name.into(), latency_share: Some(share), ..Scenario::default() }
}

fn macs(name: &str, macs: u64) -> Scenario {
    Scenario { name: name.into(), macs: Some(macs), ..Scenario::default() }
}
