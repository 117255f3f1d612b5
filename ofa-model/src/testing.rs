//! Random tensors for tests. All threads share the device's own generator, so tests running in parallel would change
//! each other's numbers.

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

/// Draws CPU tensors in sequence from one seed.
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A tensor of normally distributed numbers.
    pub(crate) fn normal<const D: usize>(&mut self, sizes: [usize; D], mean: f32, deviation: f32) -> Tensor<D> {
        let normal = Normal::new(mean, deviation).unwrap();
        let numbers: Vec<f32> = (0..sizes.iter().product()).map(|_| normal.sample(&mut self.0)).collect();
        Tensor::from_data(TensorData::new(numbers, sizes), &Device::flex())
    }

    /// Standard normal numbers.
    pub(crate) fn numbers(&mut self, count: usize) -> Vec<f32> {
        self.normal([count], 0.0, 1.0).into_data().try_into_vec().unwrap()
    }
}
