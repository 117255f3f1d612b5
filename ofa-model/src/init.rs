//! Initial parameter values, a pure function of the seed.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};

/// Draws parameters in a fixed order from one seed: the same seed gives the same network on every backend.
pub(crate) struct Initializer {
    rng: ChaCha8Rng,
    device: Device,
}

impl Initializer {
    pub(crate) fn new(seed: u64, device: &Device) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), device: device.clone() }
    }

    /// He's normal distribution with standard deviation sqrt(2 / fan_out).
    ///
    /// As in the original, the fan-out of a depthwise kernel counts all of its channels.
    pub(crate) fn he_fan_out<const D: usize>(&mut self, shape: [usize; D], fan_out: usize) -> Param<Tensor<D>> {
        let deviation = (2.0 / fan_out as f32).sqrt();
        let rng = &mut self.rng;
        let draw = || deviation * Distribution::<f32>::sample(&StandardNormal, rng);
        let values = std::iter::repeat_with(draw).take(shape.iter().product()).collect();
        self.parameter(shape, values)
    }

    /// Uniform between -1 / sqrt(fan_in) and 1 / sqrt(fan_in).
    pub(crate) fn uniform_fan_in<const D: usize>(&mut self, shape: [usize; D], fan_in: usize) -> Param<Tensor<D>> {
        let bound = 1.0 / (fan_in as f32).sqrt();
        let uniform = Uniform::new(-bound, bound).expect("the bound of a positive fan-in is finite and positive");
        let values: Vec<f32> = (&mut self.rng).sample_iter(uniform).take(shape.iter().product()).collect();
        self.parameter(shape, values)
    }

    pub(crate) fn constant<const D: usize>(&self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        self.parameter(shape, vec![value; shape.iter().product()])
    }

    /// The identity matrix, `[size, size]`.
    pub(crate) fn identity(&self, size: usize) -> Param<Tensor<2>> {
        let entry = |i| if i % (size + 1) == 0 { 1.0 } else { 0.0 };
        self.parameter([size, size], (0..size * size).map(entry).collect())
    }

    fn parameter<const D: usize>(&self, shape: [usize; D], values: Vec<f32>) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), &self.device))
    }
}
