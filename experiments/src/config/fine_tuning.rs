//! [`FineTuning`]: how the chosen subnets are fine-tuned.

use anyhow::{Result, ensure};
use ofa_train::{FineTune, Precision, Recipe};
use serde::{Deserialize, Serialize};

/// How the chosen subnets are fine-tuned. The first three keys are those of [`FineTune`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FineTuning {
    /// Passes over the training images; 0 leaves the subnets unchanged.
    pub epochs: usize,
    /// Learning rate of the first step.
    pub learning_rate: f64,
    /// Weight of the distillation term.
    pub distillation_weight: f64,
    /// Whether subnets are trained as they will compute in 8-bit integers, by the settings of `[tables.int8]`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub int8: bool,
}

impl FineTuning {
    /// How long and how fast.
    pub fn rule(&self) -> FineTune {
        let Self { epochs, learning_rate, distillation_weight, .. } = *self;
        FineTune { epochs, learning_rate, distillation_weight }
    }

    /// Checks the values; `int8` is whether there are settings for 8-bit integers.
    pub(super) fn validate(&self, int8: bool, recipe: &Recipe) -> Result<()> {
        self.rule().validate()?;
        ensure!(int8 || !self.int8, "fine_tune.int8 needs settings: add [tables.int8] to the configuration");
        ensure!(
            recipe.precision == Precision::F32 || !self.int8,
            "fine_tune.int8 rounds numbers of f32, but training.recipe.precision is bf16: choose one of the two"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_int8_needs_is_said() {
        let tuning = FineTuning { epochs: 1, learning_rate: 0.01, distillation_weight: 1.0, int8: true };
        let full = Recipe::default();
        let half = Recipe { precision: Precision::Bf16, ..full };
        let message = |int8, recipe: &Recipe| tuning.validate(int8, recipe).unwrap_err().to_string();
        assert!(message(false, &full).contains("add [tables.int8]"));
        assert!(message(true, &half).contains("precision is bf16"));
        tuning.validate(true, &full).unwrap();
        FineTuning { int8: false, ..tuning }.validate(false, &half).unwrap();
    }
}
