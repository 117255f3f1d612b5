//! What every stage has in common: loss and optimizer.

use burn::module::ParamGroup;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{ModuleOptimizer, SgdConfig};
use serde::{Deserialize, Serialize};

/// SGD with Nesterov momentum and label smoothing (paper, appendix B).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Weight that a label loses to all classes.
    pub label_smoothing: f64,
    /// Nesterov momentum.
    pub momentum: f64,
    /// L2 decay of weights; batch norm and biases have none.
    pub weight_decay: f32,
}

impl Default for Recipe {
    /// The values of the paper: 0.1, 0.9, 3e-5.
    fn default() -> Self {
        Self { label_smoothing: 0.1, momentum: 0.9, weight_decay: 3e-5 }
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
}
