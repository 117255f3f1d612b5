//! Dropout as a pure function of the step.

use crate::StepKey;
use burn::tensor::{Device, Int, Tensor, TensorData};
use ofa_data::random::Purpose;
use ofa_data::transfer::{is_on_host, upload};
use rand::{Rng, RngExt};

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
    /// Applies dropout to features `[batch, features]` of the `pass`-th pass of the step. Flex takes a mask that the host
    /// draws, every other device draws its own; both are functions of seed, step and pass.
    pub(crate) fn apply(&self, features: Tensor<2>, pass: usize) -> Tensor<2> {
        if self.probability == 0.0 {
            return features;
        }
        let (shape, device) = (features.dims(), features.device());
        let rng = self.key.stream(self.seed, Purpose::Dropout { pass: pass as u32 });
        let mask = match is_on_host(&device.clone().inner()) {
            true => self.drawn_by_host(rng, shape, &device),
            false => self.drawn_by_device(rng, shape, &device),
        };
        let mask = mask.cast(features.dtype());
        features * mask
    }

    /// Factor of a kept feature.
    fn kept(&self) -> f32 {
        (1.0 / (1.0 - self.probability)) as f32
    }

    fn drawn_by_host(&self, mut rng: impl Rng, shape: [usize; 2], device: &Device) -> Tensor<2> {
        let kept = self.kept();
        let mut factor = || if rng.random_bool(self.probability) { 0.0 } else { kept };
        let mask: Vec<f32> = (0..shape[0] * shape[1]).map(|_| factor()).collect();
        upload(TensorData::new(mask, shape), device)
    }

    /// A counter-based generator, as Philox (Salmon et al., 2011): a Feistel network, whose keys `rng` draws, permutes
    /// the positions of the features. No product exceeds 31 bits, so integers of 32 and of 64 bits give the same.
    fn drawn_by_device(&self, mut rng: impl Rng, shape: [usize; 2], device: &Device) -> Tensor<2> {
        let positions = Tensor::<1, Int>::arange(0..(shape[0] * shape[1]) as i64, device);
        let mut left = positions.clone().bitwise_right_shift_scalar(HALF);
        let mut right = positions.bitwise_and_scalar(MASK);
        for _ in 0..ROUNDS {
            let (factor, summand) = (rng.random_range(1 << 14..1 << 15) | 1, rng.random_range(0..=MASK));
            let product = right.clone() * factor + summand;
            let mixed = left.bitwise_xor(product.bitwise_right_shift_scalar(HALF / 2).bitwise_and_scalar(MASK));
            (left, right) = (right, mixed);
        }
        // Uniform below 2^31.
        let drawn = left.bitwise_and_scalar(MASK >> 1).bitwise_left_shift_scalar(HALF).bitwise_or(right);
        let dropped = drawn.lower_elem((self.probability * (1u64 << 31) as f64) as i32);
        Tensor::full(shape, self.kept(), device).mask_fill(dropped.reshape(shape), 0.0)
    }
}

/// Rounds of the Feistel network, and bits of each of its halves.
const ROUNDS: usize = 8;
const HALF: i32 = 16;
const MASK: i32 = (1 << HALF) - 1;

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

    #[test]
    fn a_device_drops_as_many_independently() {
        let drawn = |probability, step, pass| {
            let dropout = Dropout { probability, seed: 1, key: StepKey { phase: 0, step } };
            let rng = dropout.key.stream(dropout.seed, Purpose::Dropout { pass });
            let mask = dropout.drawn_by_device(rng, [100, 400], &Device::flex()).into_data();
            mask.iter::<f32>().collect::<Vec<_>>()
        };
        // Five standard deviations of the mean of 40,000 draws, and of products of such draws.
        let share = |values: &[f32]| values.iter().filter(|value| **value == 0.0).count() as f64 / values.len() as f64;
        for probability in [0.1, 0.2, 0.5, 0.9] {
            let found = share(&drawn(probability, 0, 0));
            assert!((found - probability).abs() < 5.0 * (probability * (1.0 - probability) / 4e4).sqrt(), "{found}");
        }
        let first = drawn(0.5, 0, 0);
        assert!(first.iter().all(|value| *value == 0.0 || *value == 2.0));
        assert_eq!(first, drawn(0.5, 0, 0));
        let both = |other: &[f32]| {
            let products: Vec<f32> = first.iter().zip(other).map(|(a, b)| a + b).collect();
            share(&products)
        };
        // Neighbours in a row and in a column, other passes and other steps.
        let others =
            [first[1..].to_vec(), first[2..].to_vec(), first[400..].to_vec(), drawn(0.5, 0, 1), drawn(0.5, 1, 0)];
        for (i, other) in others.iter().enumerate() {
            assert!((both(other) - 0.25).abs() < 0.011, "{i}: {}", both(other));
        }
    }
}
