//! [`StraightThrough`]: a subnet that computes as in 8-bit integers, and learns.

use super::layer::{GREATEST_BIAS, greatest_weight};
use super::simulate::{on_features, real};
use super::{Grid, Quantization, Step, run};
use crate::folded::Layer;
use crate::kernels::{Activation, matmul, scale_planes};
use crate::{Arch, FixedNetwork, ModelError, SearchSpace, Statistics, Subnet};
use burn::module::Module;
use burn::tensor::Tensor;
use std::borrow::Borrow;

/// A subnet whose weights and activations are rounded as those of a [`QuantizedSubnet`](crate::QuantizedSubnet), with
/// gradients as if they were not (straight-through estimator, Bengio et al., arXiv:1308.3432). Train it like any
/// network, then quantise its [subnet](StraightThrough::into_subnet).
///
/// Batch norms are folded into the weights before these are rounded (Jacob et al., arXiv:1712.05877), at the statistics
/// that the subnet had, which stay. So do the ranges of activations; beyond them the gradient is 0.
#[derive(Module, Debug)]
pub struct StraightThrough {
    subnet: Subnet,
    #[module(skip)]
    grids: Vec<Option<Grid>>,
    #[module(skip)]
    weight_bits: u8,
}

impl Subnet {
    /// This network, to be trained as it will compute in 8-bit integers. Ranges of activations are calibrated on
    /// `batches`, as by [`Subnet::quantize`].
    ///
    /// # Errors
    ///
    /// Those of [`Subnet::quantize`].
    pub fn straight_through(
        self,
        batches: impl IntoIterator<Item = impl Borrow<Tensor<4>>>,
        settings: &Quantization,
    ) -> Result<StraightThrough, ModelError> {
        settings.validate()?;
        let grids = self.grids(&self.fold().steps(), batches, settings)?;
        Ok(StraightThrough { subnet: self, grids, weight_bits: settings.weight_bits })
    }
}

impl StraightThrough {
    /// The network with its present weights, which are not rounded.
    pub fn into_subnet(self) -> Subnet {
        self.subnet
    }
}

impl FixedNetwork for StraightThrough {
    fn space(&self) -> &SearchSpace {
        self.subnet.space()
    }

    fn arch(&self) -> &Arch {
        self.subnet.arch()
    }

    fn forward_with(
        &self,
        images: Tensor<4>,
        _: &mut Statistics,
        change: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let steps: Vec<Step> = self.subnet.fold().steps();
        let last = steps.len() - 1;
        let rounded = |x: Tensor<4>, value: usize| self.grids[value].map_or(x.clone(), |grid| nearest(x, grid));
        let mut change = Some(change);
        let logits = run(&steps, rounded(images, 0), |number, step, mut inputs| {
            if number == last
                && let Some(change) = change.take()
            {
                inputs[0] = on_features(change, inputs[0].clone());
            }
            let step = step.map_layer(|layer, input| {
                let input = self.grids[input].expect("only the logits have no grid");
                rounded_layer(layer, input, self.weight_bits)
            });
            let y = real(&step, inputs, shifted);
            if step.passes_on().is_some() { y } else { rounded(y, number + 1) }
        });
        let [batch, classes, ..] = logits.dims();
        logits.reshape([batch, classes])
    }
}

/// Adds a bias by ops whose gradients have an order.
fn shifted(sums: Tensor<4>, bias: Tensor<1>, activation: Activation) -> Tensor<4> {
    let ([batch, ..], device) = (sums.dims(), sums.device());
    let biases = matmul(Tensor::ones([batch, 1], &device), bias.unsqueeze());
    activation.apply(sums.clone() + scale_planes(Tensor::ones_like(&sums), biases))
}

/// The nearest number of the grid.
fn nearest(x: Tensor<4>, grid: Grid) -> Tensor<4> {
    let [low, high] = grid.levels().map(|level| level * grid.scale);
    let x = x.clamp(low, high);
    let rounded = x.clone().detach().div_scalar(grid.scale).round().mul_scalar(grid.scale);
    straight_through(x, rounded)
}

/// Weights are whole numbers of steps, which are as large as the greatest weight of the channel asks for; the bias is a
/// whole number of steps of the sums.
fn rounded_layer(layer: &Layer, input: Grid, bits: u8) -> Layer {
    let top = greatest_weight(bits);
    let ([channels, inputs, k, _], weight) = (layer.weight.dims(), layer.weight.clone().detach());
    let greatest = weight.clone().abs().reshape([channels, inputs * k * k]).max_dim(1);
    let bias = layer.bias.clone().detach();
    let least = bias.clone().abs().div_scalar(input.scale * GREATEST_BIAS);
    let scale = greatest.reshape([channels]).div_scalar(top).max_pair(least).clamp_min(LEAST_STEP);
    let step = scale.clone().mul_scalar(input.scale);
    let bias = (bias / step.clone()).round() * step;
    let scale = scale.reshape([channels, 1, 1, 1]);
    let weight = (weight / scale.clone()).round().clamp(-top, top) * scale;
    Layer {
        weight: straight_through(layer.weight.clone(), weight),
        bias: straight_through(layer.bias.clone(), bias),
        ..layer.clone()
    }
}

/// Even a channel of zeros has a step.
const LEAST_STEP: f32 = 1e-20;

/// `rounded`, with the gradient of `x`.
fn straight_through<const D: usize>(x: Tensor<D>, rounded: Tensor<D>) -> Tensor<D> {
    x.clone() + (rounded - x.detach())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, ActivationFormat};
    use burn::tensor::{Device, TensorData};

    fn numbers(tensor: Tensor<4>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    fn row(values: &[f32]) -> Tensor<4> {
        let data = TensorData::new(values.to_vec(), [values.len(), 1, 1, 1]);
        Tensor::from_data(data, &Device::flex().autodiff()).require_grad()
    }

    #[test]
    fn numbers_are_rounded_and_gradients_are_not() {
        let x = row(&[-0.3, 0.24, 0.26, 3.0, 200.0]);
        let y = nearest(x.clone(), Grid::new([0.0, 127.5], ActivationFormat::Asymmetric));
        assert_eq!(numbers(y.clone()), [0.0, 0.0, 0.5, 3.0, 127.5]);
        assert_eq!(numbers(x.grad(&y.sum().backward()).unwrap()), [0.0, 1.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn each_channel_of_weights_has_a_step_of_its_own() {
        let weight = row(&[1.27, 0.011, -12.7, 0.0]).reshape([2, 2, 1, 1]);
        let bias = Tensor::zeros([2], &weight.device());
        let layer = Layer { weight, bias, stride: 1, groups: 1, activation: Activation::Identity };
        let input = Grid::new([0.0, 25.5], ActivationFormat::Asymmetric);
        let found = numbers(rounded_layer(&layer, input, 8).weight);
        for (found, expected) in found.into_iter().zip([1.27, 0.01, -12.7, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
        let zeros = Layer { weight: layer.weight.zeros_like(), ..layer };
        assert_eq!(numbers(rounded_layer(&zeros, input, 7).weight), [0.0; 4]);
    }
}
