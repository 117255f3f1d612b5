//! The [`Recipe`] that all phases share: loss, regularisation and optimizer.

use crate::{Dropout, Precision, StepKey, StepRules, Teaching, TrainError};
use burn::module::ParamGroup;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{ModuleOptimizer, SgdConfig};
use serde::{Deserialize, Serialize};

/// SGD with Nesterov momentum and label smoothing (paper, appendix B), plus optional extras.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Probability mass that label smoothing moves from the label to all classes evenly; at least 0 and below 1.
    pub label_smoothing: f64,
    /// Nesterov momentum; at least 0 and below 1.
    pub momentum: f64,
    /// L2 weight decay, at least 0; batch norm and biases are exempt.
    pub weight_decay: f32,
    /// Dropout probability of the features before the classifier; at least 0 and below 1.
    #[serde(default)]
    pub dropout: f64,
    /// Maximum global gradient norm of a step; larger gradients are scaled down. `None` disables clipping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Decay per step of the moving average of the weights; at least 0 and below 1. If set, the average is what is
    /// evaluated and passed on at the end of a phase. It restarts in every phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_decay: Option<f64>,
    /// Maximum number of images that go through a subnet at once. Larger batches are split into parts of at most this
    /// size, whose gradients are averaged. Each part has its own batch-norm statistics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<usize>,
    /// Number format for the passes of a step, and for its teacher if that uses batch statistics.
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    /// Whether the last batch norm of every residual block starts with scale 0, so the block initially adds nothing to
    /// its shortcut. This affects initial weights only, so [`train`](crate::train) ignores it: pass it to
    /// [`SupernetConfig::with_zero_last_gamma`](ofa_model::SupernetConfig::with_zero_last_gamma) when creating the
    /// supernet, as the experiments do.
    #[serde(default)]
    pub zero_last_gamma: bool,
}

impl Default for Recipe {
    /// Label smoothing 0.1, momentum 0.9 and weight decay 3e-5, as in the paper. Its dropout of 0.1 is for ImageNet and
    /// not included.
    fn default() -> Self {
        Self {
            label_smoothing: 0.1,
            momentum: 0.9,
            weight_decay: 3e-5,
            dropout: 0.0,
            clip_norm: None,
            average_decay: None,
            micro_batch: None,
            precision: Precision::F32,
            zero_last_gamma: false,
        }
    }
}

impl Recipe {
    /// A fresh optimizer, without momentum history.
    pub fn optimizer(&self) -> ModuleOptimizer {
        let momentum = MomentumConfig::new().with_momentum(self.momentum).with_dampening(0.0).with_nesterov(true);
        let sgd = SgdConfig::new().with_momentum(Some(momentum));
        let undecayed = ParamGroup::from_regex("(gamma|beta|bias)$").expect("the pattern is a regular expression");
        let decayed = sgd.clone().with_weight_decay(Some(WeightDecayConfig::new(self.weight_decay)));
        decayed.init().with_group(undecayed, sgd.build(), None)
    }

    /// Rules of the step `key`; `seed` seeds dropout.
    pub(crate) fn rules(&self, teaching: Teaching, seed: u64, key: StepKey) -> StepRules<'static> {
        let probability = self.dropout;
        StepRules {
            label_smoothing: self.label_smoothing,
            teaching,
            dropout: (probability > 0.0).then_some(Dropout { probability, seed, key }),
            micro_batch: self.micro_batch,
            precision: self.precision,
            loss: None,
        }
    }

    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`TrainError::InvalidRecipe`] names the key and the value.
    pub fn validate(&self) -> Result<(), TrainError> {
        let share = |value: f64| (0.0..1.0).contains(&value);
        let average_decay = self.average_decay.unwrap_or(0.0);
        let checks = [
            ("label_smoothing", self.label_smoothing, share(self.label_smoothing), "at least 0 and below 1"),
            ("momentum", self.momentum, share(self.momentum), "at least 0 and below 1"),
            ("dropout", self.dropout, share(self.dropout), "at least 0 and below 1"),
            ("average_decay", average_decay, share(average_decay), "at least 0 and below 1"),
            ("weight_decay", self.weight_decay.into(), self.weight_decay >= 0.0, "at least 0"),
            ("clip_norm", self.clip_norm.unwrap_or(1.0), self.clip_norm.is_none_or(|norm| norm > 0.0), "positive"),
            ("micro_batch", self.micro_batch.unwrap_or(1) as f64, self.micro_batch != Some(0), "positive"),
        ];
        match checks.into_iter().find(|(_, _, fine, _)| !fine) {
            Some((key, value, _, expected)) => Err(TrainError::InvalidRecipe { key, value, expected }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_values_are_named() {
        Recipe::default().validate().unwrap();
        let message = Recipe { dropout: 1.0, ..Recipe::default() }.validate().unwrap_err().to_string();
        assert_eq!(message, "dropout is 1, but must be at least 0 and below 1");
        assert!(Recipe { clip_norm: Some(f64::NAN), ..Recipe::default() }.validate().is_err());
        assert!(Recipe { micro_batch: Some(0), ..Recipe::default() }.validate().is_err());
        assert!(Recipe { average_decay: Some(1.0), ..Recipe::default() }.validate().is_err());
    }
}
