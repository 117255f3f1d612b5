//! What an ablation directory belongs to: cells of other code or other images must not be added to it.

use crate::config::ExperimentConfig;
use crate::images::Images;
use crate::run_dir::RunDir;
use crate::{device, environment};
use anyhow::{Context, Result, bail};
use burn::module::Module;
use ofa_model::SupernetConfig;
use ofa_train::{OneRank, ScheduleKind, ShrinkRecipe, ShrinkRun, shrink, weights_sha256};
use serde::{Deserialize, Serialize};

const IDENTITY: &str = "identity.json";
/// Steps of the training that tells code apart.
const STEPS: usize = 3;

/// What the cells of a directory have in common besides their configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// SHA-256 of the weights after three steps: code that computes otherwise, if only in a last bit, has another.
    pub(super) code: String,
    /// Fingerprints of the training and test images.
    images: [String; 2],
    /// Revision of the source, for people: another revision may well compute the same.
    revision: String,
    /// Processor, for people.
    processor: String,
}

impl Identity {
    fn of(base: &ExperimentConfig) -> Result<Self> {
        let images = Images::load(base, None)?;
        let machine = environment::machine(&base.device);
        Ok(Self {
            code: code(base, &images)?,
            images: [images.splits.train.fingerprint(), images.splits.test.fingerprint()],
            revision: machine.revision,
            processor: machine.processor,
        })
    }

    /// Notes the identity in a new directory, or finds that it is still the same.
    ///
    /// # Errors
    ///
    /// If it is another, with both.
    pub(super) fn noted(base: &ExperimentConfig, dir: &RunDir) -> Result<Self> {
        let found = Self::of(base)?;
        let path = dir.path(IDENTITY);
        if !path.exists() {
            dir.write_json(IDENTITY, &found)?;
            return Ok(found);
        }
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let noted: Self = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        if noted.images != found.images {
            bail!("{} was begun with other images: restore them, or begin another ablation", dir.root().display());
        }
        if noted.code != found.code {
            bail!(
                "{} was begun by code that computes otherwise, if only in a last bit: revision {} on {}, this is revision {} on {}; \
                 build that revision, or begin another ablation",
                dir.root().display(),
                noted.revision,
                noted.processor,
                found.revision,
                found.processor
            );
        }
        Ok(found)
    }
}

/// The weights of a short training without shrinking, which passes through sampling, augmentation, the model's forward and
/// backward passes and the optimizer.
fn code(base: &ExperimentConfig, images: &Images) -> Result<String> {
    let mut config = base.clone();
    config.seed = 0;
    let device = device::by_name(&base.device)?;
    let few = Images {
        splits: ofa_data::Splits {
            train: images.splits.train.subset(STEPS * config.training.batch_size, 0),
            ..images.splits.clone()
        },
        description: String::new(),
    };
    let mut schedule = ScheduleKind::RandomOnly.schedule(&config.space, &ShrinkRecipe::iclr2020());
    schedule.stages[0].epochs = 1;
    schedule.stages[0].warmup_epochs = 0.0;
    let run = ShrinkRun {
        schedule: &schedule,
        recipe: &config.training.recipe,
        sampler: None,
        teacher: None,
        loader: &few.train_loader(&config, &OneRank)?,
        seed: 0,
        watched: &[],
        watch_epochs: None,
        checkpoints: None,
        device: &device,
        ranks: &OneRank,
    };
    let supernet = SupernetConfig::new(config.space.clone())?.init(&device.clone().autodiff());
    let trained = shrink(supernet, &run, &mut few.validation(&config, &device), &mut ())?;
    Ok(weights_sha256(&trained.supernet.valid()))
}
