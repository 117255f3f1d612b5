//! How the weights of a search learn.

use crate::Recipe;
use serde::{Deserialize, Serialize};

/// Length and rates of the training of weights during a search. Momentum, smoothing and all else are the recipe's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightRates {
    /// Passes over the training images; at least 1.
    pub epochs: usize,
    /// Learning rate of the first step, which falls to 0 along a cosine, for `batch_size` images per step; it scales
    /// linearly with the actual number. Positive.
    pub learning_rate: f64,
    /// Images per step that the learning rate is for; at least 1.
    pub batch_size: usize,
    /// L2 weight decay in place of the recipe's; at least 0.
    pub weight_decay: f32,
}

impl WeightRates {
    /// The first impossible value, if any.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { epochs, learning_rate, batch_size, weight_decay } = *self;
        if epochs == 0 || batch_size == 0 {
            return Some(format!("it has {epochs} epochs and a batch size of {batch_size}, but needs at least 1"));
        }
        if !(learning_rate > 0.0 && learning_rate.is_finite()) {
            return Some(format!("its learning rate is {learning_rate}, but must be positive"));
        }
        (!(weight_decay >= 0.0 && weight_decay.is_finite()))
            .then(|| format!("its weight decay is {weight_decay}, but must be at least 0"))
    }

    /// Learning rate of step `step` of `steps`, at `batch_size` images per step.
    pub(super) fn at(&self, step: u64, steps: u64, batch_size: usize) -> f64 {
        let scale = batch_size as f64 / self.batch_size as f64;
        let progress = step as f64 / steps as f64;
        0.5 * scale * self.learning_rate * (1.0 + libm::cos(std::f64::consts::PI * progress))
    }

    /// The recipe with this weight decay.
    pub(super) fn recipe(&self, recipe: &Recipe) -> Recipe {
        Recipe { weight_decay: self.weight_decay, ..*recipe }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_scale_with_the_batch_and_fall_to_zero() {
        let rates = WeightRates { epochs: 2, learning_rate: 0.1, batch_size: 64, weight_decay: 1e-4 };
        assert_eq!((rates.problem(), rates.at(0, 100, 32)), (None, 0.05));
        assert!((rates.at(50, 100, 64) - 0.05).abs() < 1e-12 && rates.at(99, 100, 64) < 1e-4);
        let message = WeightRates { epochs: 0, ..rates }.problem().unwrap();
        assert!(message.contains("0 epochs"), "{message}");
        assert!(WeightRates { learning_rate: -1.0, ..rates }.problem().is_some());
        assert!(WeightRates { weight_decay: f32::NAN, ..rates }.problem().is_some());
    }
}
