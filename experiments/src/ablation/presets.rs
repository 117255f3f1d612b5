//! Ablations to begin with.

use super::arms::shrinking_arms;
use super::budget::{Budget, expected_budget};
use super::config::{AblationConfig, Rule, Selection};
use super::reported::Reported;
use crate::config::ExperimentConfig;
use crate::images::Images;
use anyhow::{Result, bail};
use ofa_train::{Phase, ShrinkRecipe};
use std::fmt::Write;

impl AblationConfig {
    /// Progressive shrinking against none: `smoke` (two arms, two seeds, to see that everything works) or `default`, on the
    /// embedded images.
    ///
    /// # Errors
    ///
    /// If there is no preset of this name, or the images cannot be read.
    pub fn shrinking(name: &str) -> Result<Self> {
        let mut base = ExperimentConfig::preset("default")?;
        base.fine_tune.epochs = 0;
        base.training.keep_checkpoints = 1;
        let (seeds, factors, epochs) = match name {
            "smoke" => {
                base.data.train_images = Some(1_024);
                base.data.test_images = Some(500);
                base.tables.validation_images = 250;
                base.tables.calibration_images = 125;
                (vec![1, 2], vec![1.0], [1, 1, 1, 1, 1, 1])
            }
            "default" => {
                base.data.train_images = Some(9_600);
                (vec![1, 2, 3, 4, 5], vec![0.5, 1.0, 2.0], [6, 1, 1, 1, 1, 5])
            }
            _ => bail!("there is no ablation `{name}`; choose one of: smoke, default"),
        };
        let recipe = recipe(epochs);
        let images = Images::load(&base, None)?.splits.train.len();
        let mut arms = shrinking_arms(&base.space, &recipe, images);
        if name == "smoke" {
            arms.retain(|arm| ["full", "progressive", "none"].contains(&arm.name.as_str()));
        }
        let contrasts = [
            ["progressive", "none_epochs"],
            ["progressive", "warm_taught"],
            ["warm_taught", "none_taught"],
            ["none_taught", "none"],
            ["progressive", "progressive_untaught"],
            ["progressive", "sandwich"],
        ];
        let known = |pair: &[&str; 2]| pair.iter().all(|name| arms.iter().any(|arm| arm.name == *name));
        let contrasts = contrasts.into_iter().filter(known).map(|pair| pair.map(str::to_owned)).collect();
        let config = Self {
            question: "What do subnets lose without progressive shrinking, at equal cost?".into(),
            seeds,
            selection: Selection { seed: 101, factors },
            reported: Reported { random: if name == "smoke" { 4 } else { 64 }, random_seed: 7, random_images: 2_000 },
            rule: Rule {
                treatment: "progressive".into(),
                control: "none".into(),
                // The least of the gaps in the paper's table 1.
                margin: 0.014,
                confidence: 0.95,
                bootstrap: 2_000,
                contrasts,
            },
            arms,
            base,
        };
        config.validate()?;
        Ok(config)
    }

    /// What the arms are and cost, in lines.
    ///
    /// # Errors
    ///
    /// If the images cannot be listed.
    pub fn plan(&self) -> Result<String> {
        let images = Images::load(&self.base, None)?.splits.train.len();
        let own: Vec<Budget> =
            (self.arms.iter()).map(|arm| expected_budget(&arm.schedule, &self.base.space, images)).collect();
        let mut text = format!("{:<24}{:>14}{:>12}{:>16}\n", "arm", "subnet-epochs", "TMACs", "with ancestors");
        for (arm, budget) in self.arms.iter().zip(&own) {
            let whole: Budget = self
                .arms
                .iter()
                .zip(&own)
                .filter(|(other, _)| self.with_ancestors(arm).contains(other))
                .map(|(_, own)| *own)
                .sum();
            let (own, whole) = (budget.macs / 1e12, whole.macs / 1e12);
            writeln!(text, "{:<24}{:>14}{own:>12.2}{whole:>16.2}", arm.name, budget.subnet_epochs)?;
        }
        let factors = self.selection.factors.len();
        let times = self.seeds.len() + if factors > 1 { factors } else { 0 };
        let all = own.into_iter().sum::<Budget>().macs * times as f64 / 1e12;
        write!(text, "{times} trainings an arm: {all:.0} TMACs in all")?;
        Ok(text)
    }
}

/// The phases of progressive shrinking for few epochs, at batch 64.
fn recipe(epochs: [usize; 6]) -> ShrinkRecipe {
    let [full, kernel, depth_first, depth_last, expand_first, expand_last] = epochs;
    let phase = |epochs: usize, learning_rate, subnets_per_step| Phase {
        epochs,
        learning_rate,
        warmup_epochs: 0.1 * epochs as f64,
        subnets_per_step,
    };
    ShrinkRecipe {
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
