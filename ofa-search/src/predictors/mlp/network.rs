//! The networks of an ensemble, evaluated together.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData, activation::relu};
use ofa_model::kernels::batched_matmul;
use rand::{Rng, RngExt};

/// Perceptrons of the same shape, evaluated by one batched matrix product per layer.
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
    /// Random networks with the given layer sizes, input to output.
    ///
    /// Hidden layers use He's uniform initialisation. The output layer starts at 0, so an untrained network outputs 0
    /// everywhere, and on small tables less of the random start remains in the prediction.
    pub(super) fn init(members: usize, sizes: &[usize], rng: &mut impl Rng, device: &Device) -> Self {
        let last = sizes.len() - 2;
        let layers = sizes.windows(2).enumerate().map(|(i, pair)| {
            let bound = if i < last { (6.0 / pair[0] as f32).sqrt() } else { 0.0 };
            Layer::init([members, pair[0], pair[1]], bound, rng, device)
        });
        Self { layers: layers.collect() }
    }

    /// A single network with the given (weights `[inputs, outputs]`, biases) per layer, input to output.
    pub(super) fn from_layers(layers: Vec<(Vec<f32>, Vec<f32>)>, device: &Device) -> Self {
        let parameter = |values, shape| Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device));
        let layers = layers.into_iter().map(|(weight, bias): (Vec<f32>, Vec<f32>)| {
            let (inputs, outputs) = (weight.len() / bias.len(), bias.len());
            Layer { weight: parameter(weight, [1, inputs, outputs]), bias: parameter(bias, [1, 1, outputs]) }
        });
        Self { layers: layers.collect() }
    }

    /// Evaluates all members.
    ///
    /// # Shapes
    ///
    /// - input: `[members, rows, inputs]`, or `[1, rows, inputs]` for all members
    /// - output: `[members, rows, outputs]`
    pub(super) fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let (output, hidden) = self.layers.split_last().expect("a network has an output layer");
        output.forward(hidden.iter().fold(input, |x, layer| relu(layer.forward(x))))
    }
}

impl Layer {
    /// Weights drawn uniformly from `[-bound, bound]`, biases 0.
    fn init(shape: [usize; 3], bound: f32, rng: &mut impl Rng, device: &Device) -> Self {
        let weights: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-bound..=bound)).collect();
        Self {
            weight: Param::from_tensor(Tensor::from_data(TensorData::new(weights, shape), device)),
            bias: Param::from_tensor(Tensor::zeros([shape[0], 1, shape[2]], device)),
        }
    }

    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let (weight, [_, rows, inputs]) = (self.weight.val(), input.dims());
        let members = weight.dims()[0];
        // Adding the bias as a product with ones turns its gradient into a matrix product, whose sum has a fixed order.
        let ones = Tensor::ones([members, rows, 1], (&input.device(), input.dtype()));
        batched_matmul(input.expand([members, rows, inputs]), weight) + batched_matmul(ones, self.bias.val())
    }
}
