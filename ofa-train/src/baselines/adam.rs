//! Adam for the few numbers that a search learns, in `f64`.

use serde::{Deserialize, Serialize};

const EPSILON: f64 = 1e-8;

/// Settings of Adam (Kingma and Ba, 2015).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamConfig {
    /// Learning rate; positive.
    pub learning_rate: f64,
    /// Decay of the moving averages of gradients and of their squares; at least 0 and below 1.
    pub betas: [f64; 2],
    /// L2 weight decay, added to the gradient; at least 0.
    #[serde(default)]
    pub weight_decay: f64,
}

impl AdamConfig {
    /// The first impossible value, if any.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { learning_rate, betas, weight_decay } = *self;
        let rate = !(learning_rate > 0.0 && learning_rate.is_finite());
        let decay = !(weight_decay >= 0.0 && weight_decay.is_finite());
        match betas.into_iter().find(|beta| !(0.0..1.0).contains(beta)) {
            _ if rate => Some(format!("its learning rate for choices is {learning_rate}, but must be positive")),
            _ if decay => Some(format!("its weight decay of choices is {weight_decay}, but must be at least 0")),
            Some(beta) => Some(format!("a beta of its optimizer is {beta}, but must be at least 0 and below 1")),
            None => None,
        }
    }
}

/// Moving averages of some numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Adam {
    steps: i32,
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Adam {
    /// Moves `values` one step against `gradient`. Both must always have the same order.
    pub(super) fn step<'a>(
        &mut self,
        config: &AdamConfig,
        values: impl IntoIterator<Item = &'a mut f64>,
        gradient: impl IntoIterator<Item = f64>,
    ) {
        self.steps += 1;
        let [first, second] = config.betas;
        let unbiased = [1.0 - libm::pow(first, self.steps.into()), 1.0 - libm::pow(second, self.steps.into())];
        for (i, (value, gradient)) in values.into_iter().zip(gradient).enumerate() {
            if i == self.means.len() {
                self.means.push(0.0);
                self.squares.push(0.0);
            }
            let gradient = gradient + config.weight_decay * *value;
            self.means[i] = first * self.means[i] + (1.0 - first) * gradient;
            self.squares[i] = second * self.squares[i] + (1.0 - second) * gradient * gradient;
            let deviation = (self.squares[i] / unbiased[1]).sqrt() + EPSILON;
            *value -= config.learning_rate * self.means[i] / unbiased[0] / deviation;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_by_hand() {
        let config = AdamConfig { learning_rate: 0.1, betas: [0.9, 0.99], weight_decay: 0.0 };
        let (mut adam, mut value) = (Adam::default(), [1.0, 2.0]);
        adam.step(&config, &mut value, [4.0, 0.0]);
        assert!((value[0] - 0.9).abs() < 1e-9 && value[1] == 2.0, "the first step has the length of the rate");
        adam.step(&config, &mut value, [1.0, 0.0]);
        // Means 0.46, squares 0.1684, both unbiased.
        let expected = 0.9 - 0.1 * (0.46 / 0.19) / (0.1684f64 / 0.0199).sqrt();
        assert!((value[0] - expected).abs() < 1e-8, "{value:?} {expected}");
        let decayed = AdamConfig { weight_decay: 0.5, ..config };
        let mut value = [1.0];
        Adam::default().step(&decayed, &mut value, [0.0]);
        assert!((value[0] - 0.9).abs() < 1e-7);
    }

    #[test]
    fn impossible_values_are_said() {
        let good = AdamConfig { learning_rate: 0.1, betas: [0.0, 0.999], weight_decay: 0.0 };
        assert_eq!(good.problem(), None);
        for (config, expected) in [
            (AdamConfig { learning_rate: f64::NAN, ..good }, "learning rate for choices is NaN"),
            (AdamConfig { betas: [0.0, 1.0], ..good }, "a beta of its optimizer is 1,"),
            (AdamConfig { weight_decay: -1.0, ..good }, "weight decay of choices is -1"),
        ] {
            assert!(config.problem().unwrap().contains(expected), "{:?}", config.problem());
        }
    }
}
