//! What every stage has in common: loss, regularisation and optimizer.

use crate::{Dropout, Precision, StepKey, StepRules, Teaching, TrainError};
use burn::module::ParamGroup;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{ModuleOptimizer, SgdConfig};
use serde::{Deserialize, Serialize};

/// SGD with Nesterov momentum and label smoothing (paper, appendix B), and what else one may want.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Weight that a label loses to all classes.
    pub label_smoothing: f64,
    /// Nesterov momentum.
    pub momentum: f64,
    /// L2 decay of weights; batch norm and biases have none.
    pub weight_decay: f32,
    /// Probability with which a feature before the classifier is dropped in training.
    #[serde(default)]
    pub dropout: f64,
    /// Greatest norm of a step's gradient, over all parameters together; greater ones are scaled down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Share of the old average that stays at each step in the moving average of the weights, which is what is measured and
    /// handed on at the end of a stage if there is one; begins anew in every stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_decay: Option<f64>,
    /// Images that go through a subnet at once; a step's batch is cut into parts of at most this many, whose gradients are
    /// averaged. Each part has its own batch-norm statistics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<usize>,
    /// Format of the numbers in the passes of a step, and of its teacher where that takes the statistics of the batch.
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    /// Whether the last batch norm of every residual block begins with a scale of 0, so that the block adds nothing to its
    /// shortcut. It concerns initial weights, so [`shrink`](crate::shrink) does not look at it: who makes the supernet hands
    /// it to [`SupernetConfig::with_zero_last_gamma`](ofa_model::SupernetConfig::with_zero_last_gamma), as the experiments
    /// do.
    #[serde(default)]
    pub zero_last_gamma: bool,
}

impl Default for Recipe {
    /// Smoothing 0.1, momentum 0.9, decay 3e-5 as in the paper; its dropout of 0.1 is for ImageNet and left out.
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
    /// An optimizer without history.
    pub fn optimizer(&self) -> ModuleOptimizer {
        let momentum = MomentumConfig::new().with_momentum(self.momentum).with_dampening(0.0).with_nesterov(true);
        let sgd = SgdConfig::new().with_momentum(Some(momentum));
        let undecayed = ParamGroup::from_regex("(gamma|beta|bias)$").expect("the pattern is a regular expression");
        let decayed = sgd.clone().with_weight_decay(Some(WeightDecayConfig::new(self.weight_decay)));
        decayed.init().with_group(undecayed, sgd.build(), None)
    }

    /// How the step of this key learns; `seed` is that of dropout.
    pub(crate) fn rules(&self, teaching: Teaching, seed: u64, key: StepKey) -> StepRules {
        let probability = self.dropout;
        StepRules {
            label_smoothing: self.label_smoothing,
            teaching,
            dropout: (probability > 0.0).then_some(Dropout { probability, seed, key }),
            micro_batch: self.micro_batch,
            precision: self.precision,
        }
    }

    /// Checks values that the types allow but that make no sense.
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
        assert_eq!(message, "dropout is 1, it must be at least 0 and below 1");
        assert!(Recipe { clip_norm: Some(f64::NAN), ..Recipe::default() }.validate().is_err());
        assert!(Recipe { micro_batch: Some(0), ..Recipe::default() }.validate().is_err());
        assert!(Recipe { average_decay: Some(1.0), ..Recipe::default() }.validate().is_err());
    }
}
