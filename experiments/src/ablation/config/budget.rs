//! A budget of a ladder, as data.

use super::{AblationConfig, NAMES, names_a_directory};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// One budget of the ladder: which arms train there, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetConfig {
    /// Name; also the name of its directory, which is an ablation of its own.
    pub name: String,
    /// Reporting seeds, instead of those of the ablation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<Vec<u64>>,
    /// Number of training images, instead of that of the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_images: Option<usize>,
    /// Factors on learning rates to select from, instead of those of the selection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factors: Option<Vec<f64>>,
    /// An earlier budget whose selected factors are reused; nothing is selected here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factors_of: Option<String>,
    /// The arms to train, with the epochs of each of their phases; a tenth of each phase is warm-up.
    pub epochs: BTreeMap<String, Vec<usize>>,
}

impl BudgetConfig {
    pub(super) fn validate(&self, whole: &AblationConfig) -> Result<()> {
        ensure!(names_a_directory(&self.name), "{NAMES}");
        for (name, epochs) in &self.epochs {
            let arm = whole.arm(name).with_context(|| format!("epochs: there is no arm `{name}`"))?;
            let phases = arm.schedule.phases.len();
            ensure!(
                epochs.len() == phases,
                "epochs of `{name}`: {} values, but {phases} expected, one per phase",
                epochs.len()
            );
        }
        if let Some(name) = &self.factors_of {
            let before = whole.budgets.iter().take_while(|budget| budget.name != self.name);
            let found = before.into_iter().find(|budget| budget.name == *name);
            let found = found.with_context(|| format!("factors_of: no earlier budget is named `{name}`"))?;
            let lacking = self.epochs.keys().find(|arm| !found.epochs.contains_key(*arm));
            ensure!(lacking.is_none(), "factors_of: `{}` is not trained at `{name}`", lacking.unwrap_or(&self.name));
        }
        whole.at(self).validate()
    }
}

impl AblationConfig {
    /// The configuration of the ablation at one of its budgets.
    pub fn at(&self, budget: &BudgetConfig) -> Self {
        let mut config = Self { budgets: Vec::new(), ..self.clone() };
        config.arms.retain(|arm| budget.epochs.contains_key(&arm.name));
        for arm in &mut config.arms {
            for (phase, &epochs) in arm.schedule.phases.iter_mut().zip(&budget.epochs[&arm.name]) {
                (phase.epochs, phase.warmup_epochs) = (epochs, 0.1 * epochs as f64);
            }
        }
        let trained = |name: &String| config.arms.iter().any(|arm| arm.name == *name);
        config.rule.contrasts.retain(|pair| pair.iter().all(trained));
        config.seeds = budget.seeds.clone().unwrap_or(config.seeds);
        for seeds in config.arms.iter_mut().filter_map(|arm| arm.seeds.as_mut()) {
            seeds.retain(|seed| config.seeds.contains(seed));
        }
        config.base.data.train_images = budget.train_images.or(config.base.data.train_images);
        if let Some(factors) = &budget.factors {
            config.selection.factors.clone_from(factors);
        }
        config.selection.chosen_in = budget.factors_of.as_ref().map(|name| Path::new("..").join(name));
        config
    }
}
