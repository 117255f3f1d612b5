//! Dropout as a pure function of the step.

use crate::StepKey;
use burn::tensor::{Tensor, TensorData};
use ofa_data::random::Purpose;
use rand::RngExt;

/// Dropout of one training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability of dropping a feature; kept features are scaled by `1 / (1 - probability)`.
    pub probability: f64,
    /// Seed of the masks.
    pub seed: u64,
    /// The step that the masks are drawn for.
    pub key: StepKey,
}

impl Dropout {
    /// Applies dropout to features `[batch, features]` of the `pass`-th pass of the step.
    pub(crate) fn apply(&self, features: Tensor<2>, pass: usize) -> Tensor<2> {
        if self.probability == 0.0 {
            return features;
        }
        let [batch, width] = features.dims();
        let mut rng = self.key.stream(self.seed, Purpose::Dropout { pass: pass as u32 });
        let kept = (1.0 / (1.0 - self.probability)) as f32;
        let mut factor = || if rng.random_bool(self.probability) { 0.0 } else { kept };
        let mask: Vec<f32> = (0..batch * width).map(|_| factor()).collect();
        let mask = Tensor::<2>::from_data(TensorData::new(mask, [batch, width]), &features.device());
        let mask = mask.cast(features.dtype());
        features * mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn some_are_dropped_and_the_mean_stays() {
        let ones = Tensor::<2>::ones([50, 200], &Device::flex());
        let dropout = |step| Dropout { probability: 0.2, seed: 1, key: StepKey { phase: 0, step } };
        let values = |step, pass| dropout(step).apply(ones.clone(), pass).into_data();
        let found: Vec<f32> = values(0, 0).try_into_vec().unwrap();
        let dropped = found.iter().filter(|value| **value == 0.0).count();
        assert!((1800..2200).contains(&dropped), "{dropped}");
        assert!(found.iter().all(|value| *value == 0.0 || *value == 1.25));
        assert_eq!(values(0, 0), values(0, 0));
        assert_ne!(values(0, 0), values(0, 1));
        assert_ne!(values(0, 0), values(1, 0));
    }
}
