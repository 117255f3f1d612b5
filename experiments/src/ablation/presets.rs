//! Preset ablations.

mod colour;
mod ladder;
mod tuning;

use super::arms::{INDEPENDENT, shrinking_arms};
use super::config::{AblationConfig, Arm, Criteria, Rule, Selection};
use super::reported::Reported;
use crate::config::{ExperimentConfig, few_epochs};
use crate::run::images::Images;
use anyhow::{Result, bail};
use ofa_model::SearchSpace;
use ofa_train::{Sampler, ScheduleRecipe};

/// Scale of an ablation: images, network, epochs, seeds. What it compares is independent of it.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Images, space, optimizer, batch.
    pub base: ExperimentConfig,
    /// Epochs and learning rates of progressive shrinking, from which arms are built.
    pub recipe: ScheduleRecipe,
    seeds: Vec<u64>,
    factors: Vec<f64>,
    reported: Reported,
}

impl Scale {
    /// Names of the scales.
    pub const NAMES: [&'static str; 2] = ["smoke", "default"];

    /// A scale by name, on the embedded images: `smoke` (two seeds, to check that everything works) or `default`
    /// (hours).
    ///
    /// # Errors
    ///
    /// If there is no such scale.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "smoke" => Self::smoke()?,
            "default" => Self::default_scale()?,
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
        // The name it had when the first ablations were recorded.
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

    /// All images, as in the ladder.
    pub(super) fn all_images() -> Result<Self> {
        let mut scale = Self::default_scale()?;
        scale.base.data.train_images = None;
        (scale.base.tables.validation_images, scale.base.tables.calibration_images) = (10_000, 2_000);
        Ok(Self { factors: vec![1.0, 2.0, 4.0], ..scale })
    }

    /// The paper's training, in the space of its first version, to which the subnets of table 1 belong.
    fn imagenet() -> Result<Self> {
        let mut base = ExperimentConfig::preset("imagenet_iclr2020")?;
        base.space = SearchSpace::paper_v1(1.0, 1000);
        base.preset = "ablation_imagenet".into();
        base.fine_tune.epochs = 0;
        base.training.keep_checkpoints = 1;
        // All images that are not held out, stated because a dry run must know without reading them.
        base.data.train_images = Some(1_281_167 - 10_000);
        Ok(Self {
            base,
            recipe: ScheduleRecipe::iclr2020(),
            seeds: vec![1, 2, 3],
            factors: vec![1.0],
            reported: Reported { random: 64, random_seed: 7, random_images: 10_000 },
        })
    }

    /// The ablation of this scale that answers `question` by comparing the first of `contrasts` (treatment and
    /// control). The other contrasts are reported if their arms exist.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid, for example because of an arm.
    pub fn ablation(self, question: &str, contrasts: &[[&str; 2]], arms: Vec<Arm>) -> Result<AblationConfig> {
        let [treatment, control] = contrasts[0].map(str::to_owned);
        let known = |pair: &&[&str; 2]| pair.iter().all(|name| arms.iter().any(|arm| arm.name == *name));
        let contrasts = contrasts[1..].iter().filter(known).map(|pair| pair.map(str::to_owned)).collect();
        let extensions = if self.factors.len() > 1 { 2 } else { 0 };
        let config = AblationConfig {
            question: question.into(),
            tried: Vec::new(),
            seeds: self.seeds,
            selection: Selection { seed: 101, factors: self.factors, extensions, chosen_in: None },
            reported: self.reported,
            rule: Rule {
                treatment,
                control,
                also_judged: Vec::new(),
                criteria: Some(Criteria::default()),
                margin: None,
                confidence: 0.95,
                bootstrap: 2_000,
                contrasts,
            },
            arms,
            budgets: Vec::new(),
            base: self.base,
        };
        config.validate()?;
        Ok(config)
    }
}

/// The question about progressive shrinking.
const QUESTION: &str = "What do subnets lose without progressive shrinking, at equal cost?";
/// The contrast of the verdict, then the others to report.
const CONTRASTS: [[&str; 2]; 8] = [
    ["progressive", "none"],
    ["progressive_tuned", "progressive"],
    ["progressive", "warm_taught"],
    ["warm_taught", "none_taught"],
    ["none_taught", "none"],
    ["progressive", "progressive_untaught"],
    ["progressive", "sandwich"],
    ["sandwich", "none"],
];
/// Whether the primary verdict needs an arm of this name.
fn is_compared(arm: &str) -> bool {
    ["full", "progressive", "none"].contains(&arm)
}

impl AblationConfig {
    /// Names of the ablations of progressive shrinking.
    pub const SHRINKING: [&'static str; 6] = ["smoke", "default", "tuning", "colour", "colour-strides", "imagenet"];

    /// Progressive shrinking against none: `smoke` (a minute; two arms and what they need), `default` (the ladder of
    /// budgets on the embedded images; a day), `tuning` (selects how to shrink and how to train without shrinking, on
    /// validation images at the smallest budget), `colour` (CIFAR-10, by `--data`), `colour-strides` (the same with
    /// ImageNet's strides), `imagenet` (the arms of the paper's table 1, for a cluster).
    ///
    /// # Errors
    ///
    /// If there is no such preset, or the images cannot be read.
    pub fn shrinking(name: &str) -> Result<Self> {
        match name {
            "smoke" => shrinking_smoke(),
            "default" => ladder::ladder(),
            "tuning" => tuning::tuning(),
            "colour" => colour::colour(),
            "colour-strides" => colour::strided(),
            "imagenet" => shrinking_on_imagenet(),
            _ => bail!("there is no ablation `{name}`; choose one of: {}", Self::SHRINKING.join(", ")),
        }
    }
}

fn shrinking_smoke() -> Result<AblationConfig> {
    let scale = Scale::smoke()?;
    let images = Images::load(&scale.base, None)?.splits.train.len();
    let mut arms = shrinking_arms(&scale.base.space, &scale.recipe, images);
    arms.retain(|arm| is_compared(&arm.name));
    scale.ablation(QUESTION, &CONTRASTS, arms)
}

fn shrinking_on_imagenet() -> Result<AblationConfig> {
    let scale = Scale::imagenet()?;
    let images = scale.base.data.train_images.unwrap_or_default();
    let mut arms = shrinking_arms(&scale.base.space, &scale.recipe, images);
    arms.retain(|arm| is_compared(&arm.name) || arm.name.starts_with(INDEPENDENT));
    // A network trained alone converges in as many epochs as the full one.
    let alone = arms.iter_mut().flat_map(|arm| &mut arm.schedule.phases);
    for phase in alone.filter(|phase| matches!(phase.sampler, Sampler::Fixed(_))) {
        (phase.epochs, phase.warmup_epochs) = (scale.recipe.full.epochs, scale.recipe.full.warmup_epochs);
    }
    scale.ablation(QUESTION, &CONTRASTS, arms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::expected_budget;
    use std::path::Path;

    #[test]
    fn the_file_of_the_papers_table_is_the_preset() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/ablation_imagenet.toml");
        let preset = AblationConfig::shrinking("imagenet").unwrap();
        let made = "cargo run --release --bin ablate_shrinking -- --preset imagenet --toml";
        assert!(AblationConfig::load(&path).unwrap() == preset, "regenerate the file: {made}");
        let names: Vec<&str> = preset.arms.iter().map(|arm| arm.name.as_str()).collect();
        assert_eq!(names[..4], ["full", "progressive", "none", "independent_d2w4k3"]);
        assert_eq!(names.len(), 11);
        assert_eq!(preset.arms[1].schedule.epochs(), 425);
    }

    #[test]
    fn the_ladder_rises_and_every_budget_is_an_ablation_of_its_own() {
        let config = AblationConfig::shrinking("default").unwrap();
        let tmacs = config.budgets.iter().map(|budget| {
            let at = config.at(budget);
            let progressive = at.arm("progressive").unwrap();
            let cost = |arm: &Arm| expected_budget(&arm.schedule, &at.base.space, 50_000).macs / 1e12;
            at.with_ancestors(progressive).into_iter().map(cost).sum::<f64>()
        });
        let tmacs: Vec<f64> = tmacs.collect();
        let expected = [10.0, 31.0, 128.0];
        assert!(tmacs.iter().zip(expected).all(|(found, expected)| (found / expected - 1.0).abs() < 0.1), "{tmacs:?}");
        let arms = |i: usize| config.budgets[i].epochs.len();
        assert_eq!((arms(0), arms(1), arms(2)), (11, 7, 3));
        let at_c = config.at(&config.budgets[2]);
        assert_eq!(at_c.selection.chosen_in.as_deref(), Some(Path::new("../B")));
        assert_eq!(at_c.arm("progressive").unwrap().schedule.epochs(), 78);
        assert_eq!(at_c.seeds_of(at_c.arm("none").unwrap()), [1, 2, 3]);
    }
}
