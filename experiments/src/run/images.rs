//! The images of a run: splits, training loader and evaluators.

use crate::config::ExperimentConfig;
use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use ofa_data::{BrokenImage, FashionMnist, ImageSet, Layout, Loader, LoaderConfig, Splits, View};
use ofa_train::{Evaluator, Ranks};
use std::path::Path;

/// Batches prepared ahead.
const PREFETCH: usize = 4;

/// The images of a run and their description.
pub struct Images {
    /// Train, validation and test, cut to the configured sizes.
    pub splits: Splits,
    /// One-line description for logs and reports: data set, directory and sizes.
    pub description: String,
}

fn list(layout: Layout, dir: &Path, config: &ExperimentConfig) -> Result<Splits> {
    if layout.preparation()? != config.data.prepared {
        bail!(
            "the images in {} were not prepared as data.prepared in config.toml says: name the right directory, or \
             start a new run",
            dir.display()
        );
    }
    Ok(layout.with_hold_out(config.data.hold_out)?.load(config.data.channels, config.seed)?)
}

impl Images {
    /// Loads the configured images; `listed` avoids listing them again.
    ///
    /// # Errors
    ///
    /// If a file is missing or damaged, or the images do not fit the space (classes, channels).
    pub fn load(config: &ExperimentConfig, listed: Option<Splits>) -> Result<Self> {
        let (mut splits, name) = match &config.data.dir {
            None => {
                (FashionMnist::embedded(config.seed).context("the embedded Fashion-MNIST")?, "Fashion-MNIST".into())
            }
            Some(dir) => {
                let layout = Layout::detect(dir)?;
                let name = format!("{layout} {}", dir.display());
                (listed.map_or_else(|| list(layout, dir, config), Ok)?, name)
            }
        };
        let found = (splits.channels, splits.classes.len());
        let expected = (config.space.image_channels, config.space.classes);
        if found != expected {
            bail!(
                "{name}: images have {} channels and {} classes, but the space `{}` has {} and {}",
                found.0,
                found.1,
                config.space.name,
                expected.0,
                expected.1
            );
        }
        let cut = |set: &ImageSet, most: Option<usize>| set.subset(most.unwrap_or(set.len()), config.seed);
        splits.train = cut(&splits.train, config.data.train_images);
        splits.test = cut(&splits.test, config.data.test_images);
        if let Some(framing) = config.data.framing {
            splits = splits.with_framing(framing);
        }
        // After cutting: the allowed fraction of broken images refers to the images in use.
        let splits = splits.with_reading(config.data.read)?.with_interpolation(config.data.interpolation);
        let [train, validation, test] = [&splits.train, &splits.validation, &splits.test].map(ImageSet::len);
        let description = format!("{name} ({train} train, {validation} validation, {test} test images)");
        Ok(Self { splits, description })
    }

    /// Augmented training batches; each rank gets its shard of every batch.
    ///
    /// # Errors
    ///
    /// If the batch size is not divisible by the number of ranks, the set is smaller than a batch, or the
    /// augmentation is invalid.
    pub fn train_loader(&self, config: &ExperimentConfig, ranks: &dyn Ranks) -> Result<Loader> {
        let loader = LoaderConfig {
            batch_size: config.training.batch_of_rank(ranks.size())?,
            seed: config.seed,
            view: View::Train(config.data.augment.clone()),
            drop_last: true,
            prefetch: PREFETCH,
        };
        let loader = Loader::new(self.splits.train.clone(), loader, self.splits.normalisation())?;
        Ok(loader.with_shard(ranks.rank(), ranks.size())?.with_memory(config.data.prefetch_mib << 20))
    }

    /// Broken images met so far, which were skipped or decoded in part.
    pub fn broken(&self) -> Vec<BrokenImage> {
        [&self.splits.train, &self.splits.validation, &self.splits.test]
            .into_iter()
            .flat_map(ImageSet::broken)
            .collect()
    }

    /// Calibrates on training images, measures on validation images.
    pub fn validation(&self, config: &ExperimentConfig, device: &Device) -> Evaluator {
        let validation = self.splits.validation.subset(config.tables.validation_images, config.seed);
        self.evaluator(validation, config, device)
    }

    /// Calibrates on training images, measures on test images: for the final report only.
    pub fn test(&self, config: &ExperimentConfig, device: &Device) -> Evaluator {
        self.evaluator(self.splits.test.clone(), config, device)
    }

    /// Calibrates on training images, measures on `set`.
    pub fn evaluator(&self, set: ImageSet, config: &ExperimentConfig, device: &Device) -> Evaluator {
        let calibration = self.splits.train.subset(config.tables.calibration_images, config.seed);
        Evaluator::new(calibration, set, config.tables.batch_size, &self.splits.normalisation(), device)
    }
}
