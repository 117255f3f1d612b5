//! The networks of an ensemble, computed side by side.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData, activation::relu};
use rand::{Rng, RngExt};

/// Several perceptrons of the same shape: one batched matrix product serves all of them.
#[derive(Module, Debug)]
pub(super) struct Ensemble {
    layers: Vec<Layer>,
}

#[derive(Module, Debug)]
struct Layer {
    /// `[members, inputs, outputs]`
    weight: Param<Tensor<3>>,
    /// `[members, 1, outputs]`
    bias: Param<Tensor<3>>,
}

impl Ensemble {
    /// Networks of the given layer sizes, input to output, with He's uniform distribution of weights and biases of 0.
    pub(super) fn init(members: usize, sizes: &[usize], rng: &mut impl Rng, device: &Device) -> Self {
        let layers = sizes.windows(2).map(|pair| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let bound = (6.0 / inputs as f32).sqrt();
            let weights: Vec<f32> = (0..members * inputs * outputs).map(|_| rng.random_range(-bound..bound)).collect();
            let weight = Tensor::from_data(TensorData::new(weights, [members, inputs, outputs]), device);
            let bias = Tensor::zeros([members, 1, outputs], device);
            Layer { weight: Param::from_tensor(weight), bias: Param::from_tensor(bias) }
        });
        Self { layers: layers.collect() }
    }

    /// Outputs `[members, rows, outputs]` for `[members, rows, inputs]`, or `[1, rows, inputs]` for all members.
    pub(super) fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let last = self.layers.len() - 1;
        self.layers.iter().enumerate().fold(input, |x, (i, layer)| {
            let x = x.matmul(layer.weight.val()) + layer.bias.val();
            if i < last { relu(x) } else { x }
        })
    }
}
