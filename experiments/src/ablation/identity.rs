//! Identity of an ablation directory: cells of other code or other images must not be added to it.

use crate::config::ExperimentConfig;
use crate::machine::{device, environment};
use crate::run::images::Images;
use crate::run::run_dir::RunDir;
use crate::run::training;
use anyhow::{Context, Result, bail};
use burn::module::Module;
use ofa_data::Splits;
use ofa_model::SupernetConfig;
use ofa_train::{OneRank, Schedule, ScheduleKind, ScheduleRecipe, TrainRun, weights_sha256};
use serde::{Deserialize, Serialize};

const IDENTITY: &str = "identity.json";
/// Added to the error where the processor may differ and not the code.
const OTHER_PROCESSOR: &str = ". This processor rounds differently from those with AVX2 and FMA, which all compute \
                               the same bits: resume the ablation on one of those";
/// Steps of the training that identifies the code.
const STEPS: usize = 3;
/// Its largest batch: one process must manage it, even where many ranks share a step.
const BATCH: usize = 64;
/// Largest batch of the second training, which has more steps.
const SMALL_BATCH: usize = 16;

/// What the cells of a directory share besides their configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// SHA-256 of the weights after three steps without shrinking. It differs for code that computes differently, even
    /// in the last bit. Every cell records it.
    pub(super) code: String,
    /// The same after one step in each phase of progressive shrinking and one of the sandwich rule, which adds channel
    /// sorting and teachers. Absent in directories of earlier versions.
    #[serde(default, rename = "stages", skip_serializing_if = "Option::is_none")]
    phases: Option<String>,
    /// Fingerprints of the training and test images.
    images: [String; 2],
    /// Source revision, for people only: another revision may well compute the same.
    revision: String,
    /// Processor, for people only.
    processor: String,
}

impl Identity {
    fn of(base: &ExperimentConfig) -> Result<Self> {
        let images = Images::load(base, None)?;
        let machine = environment::machine(&base.device);
        Ok(Self {
            code: code(base, &images)?,
            phases: Some(phases(base, &images)?),
            images: fingerprints(&images),
            revision: machine.revision,
            processor: machine.processor,
        })
    }

    /// Reads the identity recorded in a directory; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If the file is damaged.
    pub(super) fn read(dir: &RunDir) -> Result<Option<Self>> {
        let path = dir.path(IDENTITY);
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Checks the images against those recorded in a directory, if any. The code may differ: its results can still be
    /// reported.
    ///
    /// # Errors
    ///
    /// If the images differ; the message gives both fingerprints.
    pub(super) fn check_images(base: &ExperimentConfig, dir: &RunDir) -> Result<()> {
        let Some(noted) = Self::read(dir)? else { return Ok(()) };
        let found = fingerprints(&Images::load(base, None)?);
        noted.same_images(&found).with_context(|| dir.root().display().to_string())
    }

    /// Records the identity in a new directory, or checks that it is still the same.
    ///
    /// # Errors
    ///
    /// If it differs; the message gives both.
    pub(super) fn noted(base: &ExperimentConfig, dir: &RunDir) -> Result<Self> {
        let found = Self::of(base)?;
        let Some(noted) = Self::read(dir)? else {
            dir.write_json(IDENTITY, &found)?;
            return Ok(found);
        };
        let same = noted.same_images(&found.images).and_then(|()| noted.same_code(&found));
        same.with_context(|| dir.root().display().to_string())?;
        Ok(found)
    }

    fn same_images(&self, found: &[String; 2]) -> Result<()> {
        for (part, (noted, found)) in ["training", "test"].into_iter().zip(self.images.iter().zip(found)) {
            if noted != found {
                bail!(
                    "the ablation was started with other {part} images (fingerprint {}.., now {}..): restore them, or \
                     start a new ablation",
                    &noted[..noted.len().min(16)],
                    &found[..found.len().min(16)]
                );
            }
        }
        Ok(())
    }

    fn same_code(&self, found: &Self) -> Result<()> {
        let phases = self.phases.is_some() && self.phases != found.phases;
        if self.code != found.code || phases {
            bail!(
                "the ablation was started by code that computes differently{}, if only in the last bit: revision {} on \
                 {}, but this is revision {} on {}; build that revision, or start a new ablation{}",
                if phases { " (sorting, teachers or phases)" } else { "" },
                self.revision,
                self.processor,
                found.revision,
                found.processor,
                if environment::has_common_bits() { "" } else { OTHER_PROCESSOR }
            );
        }
        Ok(())
    }
}

/// Fingerprints of the training and test images.
fn fingerprints(images: &Images) -> [String; 2] {
    [images.splits.train.fingerprint(), images.splits.test.fingerprint()]
}

/// Digest of the weights after a short training without shrinking. It covers sampling, augmentation, the model's
/// forward and backward passes, and the optimizer.
fn code(base: &ExperimentConfig, images: &Images) -> Result<String> {
    let mut schedule = ScheduleKind::RandomOnly.schedule(&base.space, &ScheduleRecipe::iclr2020());
    schedule.phases[0].epochs = 1;
    schedule.phases[0].warmup_epochs = 0.0;
    trained(base, images, &schedule, base.training.batch_size.min(BATCH), STEPS)
}

/// Digest of the weights after one step in each phase of progressive shrinking and one of the sandwich rule.
fn phases(base: &ExperimentConfig, images: &Images) -> Result<String> {
    let recipe = ScheduleRecipe::iclr2020();
    let mut schedule = ScheduleKind::ProgressiveShrinking.schedule(&base.space, &recipe);
    schedule.phases.extend(ScheduleKind::Sandwich.schedule(&base.space, &recipe).phases);
    for phase in &mut schedule.phases {
        (phase.epochs, phase.warmup_epochs) = (1, 0.0);
    }
    trained(base, images, &schedule, base.training.batch_size.min(SMALL_BATCH), 1)
}

fn trained(
    base: &ExperimentConfig,
    images: &Images,
    schedule: &Schedule,
    batch: usize,
    steps: usize,
) -> Result<String> {
    let mut config = base.clone();
    config.seed = 0;
    config.training.batch_size = batch;
    let device = device::by_name(&base.device)?;
    let train = images.splits.train.subset(steps * batch, 0);
    let few = Images { splits: Splits { train, ..images.splits.clone() }, description: String::new() };
    let loader = few.train_loader(&config, &OneRank)?;
    let run = TrainRun { schedule, ..training::bare(&config, &loader, &device, &OneRank) };
    let supernet = SupernetConfig::new(config.space.clone())?.init(&device.clone().autodiff());
    let trained = ofa_train::train(supernet, &run, &mut few.validation(&config, &device), &mut ())?;
    Ok(weights_sha256(&trained.supernet.valid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            code: "a".into(),
            phases: Some("b".into()),
            images: ["train".into(), "test".into()],
            revision: "r1".into(),
            processor: "p".into(),
        }
    }

    #[test]
    fn what_differs_is_said_and_an_older_directory_is_accepted() {
        let noted = identity();
        let same =
            |noted: &Identity, found: &Identity| noted.same_images(&found.images).and_then(|()| noted.same_code(found));
        same(&noted, &identity()).unwrap();
        same(&noted, &Identity { revision: "r2".into(), ..identity() }).unwrap();
        same(&Identity { phases: None, ..identity() }, &noted).unwrap();
        let differs = |found: Identity| same(&noted, &found).unwrap_err().to_string();
        let message = differs(Identity { images: ["train".into(), "other".into()], ..identity() });
        assert!(message.contains("other test images (fingerprint test.., now other..)"), "{message}");
        let message = differs(Identity { code: "c".into(), revision: "r2".into(), ..identity() });
        assert!(message.contains("revision r1 on p") && message.contains("revision r2 on p"), "{message}");
        let message = differs(Identity { phases: Some("c".into()), ..identity() });
        assert!(message.contains("sorting, teachers or phases"), "{message}");
    }

    #[test]
    fn a_directory_of_other_images_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = RunDir::create(temporary.path(), "").unwrap();
        let mut base = ExperimentConfig::preset("smoke").unwrap();
        base.space.resolutions = vec![8];
        base.data.train_images = Some(64);
        base.data.test_images = Some(20);
        base.training.batch_size = 8;
        Identity::check_images(&base, &dir).unwrap();
        let noted = Identity::noted(&base, &dir).unwrap();
        assert_eq!(Identity::noted(&base, &dir).unwrap(), noted);
        let other = Identity { code: "c".into(), ..noted };
        dir.write_json(IDENTITY, &other).unwrap();
        Identity::check_images(&base, &dir).unwrap();
        Identity::noted(&base, &dir).unwrap_err();
        base.data.test_images = Some(21);
        let message = format!("{:#}", Identity::check_images(&base, &dir).unwrap_err());
        assert!(message.contains(&*temporary.path().to_string_lossy()) && message.contains("test images"), "{message}");
    }
}
