//! Ablations to begin with.

use super::arms::shrinking_arms;
use super::config::{AblationConfig, Arm, Rule};
use super::reported::Reported;
use super::selection::Selection;
use crate::config::{ExperimentConfig, few_epochs};
use crate::images::Images;
use anyhow::{Result, bail};
use ofa_model::SearchSpace;
use ofa_train::{Sampler, ShrinkRecipe};

/// How large an ablation is: images, network, epochs, seeds. What is compared is another matter.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Images, space, optimizer, batch.
    pub base: ExperimentConfig,
    /// Epochs and learning rates of progressive shrinking, from which arms are made.
    pub recipe: ShrinkRecipe,
    seeds: Vec<u64>,
    factors: Vec<f64>,
    reported: Reported,
}

impl Scale {
    /// Names of the scales.
    pub const NAMES: [&'static str; 5] = ["smoke", "default", "imagenet-strides", "imagenet-strides-smoke", "imagenet"];

    /// A scale by name: `smoke` (two seeds, to see that everything works) or `default` (hours) on the embedded images,
    /// `imagenet-strides` the same with a network whose last map is one pixel, also as `imagenet-strides-smoke`,
    /// `imagenet` for a cluster.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "smoke" => Self::smoke()?,
            "default" => Self::default_scale()?,
            "imagenet-strides" => Self::default_scale()?.strided(),
            "imagenet-strides-smoke" => Self::smoke()?.strided(),
            "imagenet" => Self::imagenet()?,
            _ => bail!("there is no ablation `{name}`; choose one of: {}", Self::NAMES.join(", ")),
        })
    }

    fn smoke() -> Result<Self> {
        let mut scale = Self::default_scale()?;
        scale.base.data.train_images = Some(1_024);
        scale.base.data.test_images = Some(500);
        scale.base.tables.validation_images = 250;
        scale.base.tables.calibration_images = 125;
        scale.reported.random = 4;
        Ok(Self { recipe: few_epochs([1, 1, 1, 1, 1, 1]), seeds: vec![1, 2], factors: vec![1.0], ..scale })
    }

    fn default_scale() -> Result<Self> {
        let mut base = ExperimentConfig::preset("standard")?;
        // As it was called when the first ablations were recorded.
        base.preset = "default".into();
        base.fine_tune.epochs = 0;
        base.training.keep_checkpoints = 1;
        base.data.train_images = Some(9_600);
        Ok(Self {
            base,
            recipe: few_epochs([6, 1, 1, 1, 1, 5]),
            seeds: vec![1, 2, 3, 4, 5],
            factors: vec![0.5, 1.0, 2.0],
            reported: Reported { random: 64, random_seed: 7, random_images: 2_000 },
        })
    }

    /// ImageNet's strides on the same images.
    fn strided(mut self) -> Self {
        let SearchSpace { image_channels, classes, .. } = self.base.space;
        self.base.space = SearchSpace::mobilenet_v3_at_28(0.5, image_channels, classes);
        self
    }

    /// The training of the paper in the space of its first version, by whose table 1 the subnets are.
    fn imagenet() -> Result<Self> {
        let mut base = ExperimentConfig::preset("imagenet_iclr2020")?;
        base.space = SearchSpace::paper_v1(1.0, 1000);
        base.preset = "ablation_imagenet".into();
        base.fine_tune.epochs = 0;
        base.training.keep_checkpoints = 1;
        // All that are not held out: a dry run needs to know.
        base.data.train_images = Some(1_281_167 - 10_000);
        Ok(Self {
            base,
            recipe: ShrinkRecipe::iclr2020(),
            seeds: vec![1, 2, 3],
            factors: vec![1.0],
            reported: Reported { random: 64, random_seed: 7, random_images: 10_000 },
        })
    }

    /// The ablation of this scale that answers `question` by comparing the first of `contrasts` (treatment and
    /// control); the others are reported, as far as there are such arms.
    ///
    /// # Errors
    ///
    /// If an arm is impossible.
    pub fn ablation(self, question: &str, contrasts: &[[&str; 2]], arms: Vec<Arm>) -> Result<AblationConfig> {
        let [treatment, control] = contrasts[0].map(str::to_owned);
        let known = |pair: &&[&str; 2]| pair.iter().all(|name| arms.iter().any(|arm| arm.name == *name));
        let contrasts = contrasts[1..].iter().filter(known).map(|pair| pair.map(str::to_owned)).collect();
        let extensions = if self.factors.len() > 1 { 2 } else { 0 };
        let config = AblationConfig {
            question: question.into(),
            seeds: self.seeds,
            selection: Selection { seed: 101, factors: self.factors, extensions },
            reported: self.reported,
            rule: Rule {
                treatment,
                control,
                // The least of the gaps in the paper's table 1.
                margin: 0.014,
                confidence: 0.95,
                bootstrap: 2_000,
                contrasts,
            },
            arms,
            base: self.base,
        };
        config.validate()?;
        Ok(config)
    }
}

impl AblationConfig {
    /// Progressive shrinking against none at the scale `name`, see [`Scale::named`]; at a smoke scale two arms and what
    /// they need, at `imagenet` those of the paper's table 1.
    ///
    /// # Errors
    ///
    /// If there is no scale of this name, or the images cannot be read.
    pub fn shrinking(name: &str) -> Result<Self> {
        let scale = Scale::named(name)?;
        let images = match (name, scale.base.data.train_images) {
            ("imagenet", Some(images)) => images,
            _ => Images::load(&scale.base, None)?.splits.train.len(),
        };
        let mut arms = shrinking_arms(&scale.base.space, &scale.recipe, images);
        let compared = ["full", "progressive", "none"];
        if name.ends_with("smoke") {
            arms.retain(|arm| compared.contains(&arm.name.as_str()));
        }
        if name == "imagenet" {
            arms.retain(|arm| compared.contains(&arm.name.as_str()) || arm.name.starts_with("independent"));
            // A network alone converges in the epochs of the full one.
            let alone = arms.iter_mut().flat_map(|arm| &mut arm.schedule.stages);
            for stage in alone.filter(|stage| matches!(stage.sampler, Sampler::Fixed(_))) {
                (stage.epochs, stage.warmup_epochs) = (scale.recipe.full.epochs, scale.recipe.full.warmup_epochs);
            }
        }
        let contrasts = [
            ["progressive", "none"],
            ["progressive", "none_epochs"],
            ["progressive", "warm_taught"],
            ["warm_taught", "none_taught"],
            ["none_taught", "none"],
            ["progressive", "progressive_untaught"],
            ["progressive", "sandwich"],
        ];
        scale.ablation("What do subnets lose without progressive shrinking, at equal cost?", &contrasts, arms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_file_of_the_papers_table_is_the_preset() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/ablation_imagenet.toml");
        let preset = AblationConfig::shrinking("imagenet").unwrap();
        let made = "cargo run --release --bin ablate_shrinking -- --preset imagenet --toml";
        assert_eq!(AblationConfig::load(&path).unwrap(), preset, "{made}");
        let names: Vec<&str> = preset.arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names[..4], ["full", "progressive", "none", "independent_d2w4k3"]);
        assert_eq!(names.len(), 11);
        assert_eq!(preset.arms[1].schedule.epochs(), 425);
    }

    #[test]
    fn the_default_scale_is_that_of_the_record() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-25-ablation/config.toml");
        let mut recorded = AblationConfig::load(&path).unwrap();
        // Of the machine.
        recorded.base.tables.latency.threads_note = None;
        assert_eq!(AblationConfig::shrinking("default").unwrap(), recorded);
    }

    #[test]
    fn the_strided_regime_differs_in_the_network_alone() {
        let (proper, strided) = (Scale::named("default").unwrap(), Scale::named("imagenet-strides").unwrap());
        assert_ne!(proper.base.space, strided.base.space);
        let space = proper.base.space.clone();
        assert_eq!(ExperimentConfig { space, ..strided.base }, proper.base);
        assert_eq!((strided.recipe, strided.seeds, strided.factors), (proper.recipe, proper.seeds, proper.factors));
    }
}
