//! A convolution with its batch norm folded in.

use super::activation::plain;
use crate::Activation;
use crate::elastic::ConvNorm;
use crate::kernels::scale_planes;
use burn::module::{Module, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

/// A convolution with bias (padding: half the kernel size), then an activation.
#[derive(Module, Debug)]
pub(super) struct FoldedConv {
    /// `[out, in / groups, k, k]`.
    pub(super) weight: Param<Tensor<4>>,
    /// `[out]`.
    pub(super) bias: Param<Tensor<1>>,
    pub(super) stride: usize,
    pub(super) groups: usize,
    #[module(skip)]
    pub(super) activation: Activation,
}

impl FoldedConv {
    /// Folds the batch norm, at its running statistics, into the convolution.
    pub(super) fn new(conv: &ConvNorm) -> Self {
        let (scale, shift) = conv.norm.scale_and_shift();
        let weight = conv.weight.val();
        let [channels, inputs, k, _] = weight.dims();
        // By an op whose gradients have an order.
        let planes = scale_planes(weight.reshape([1, channels, inputs * k, k]), scale.unsqueeze());
        Self {
            weight: computed(planes.reshape([channels, inputs, k, k])),
            bias: computed(shift),
            stride: conv.stride(),
            groups: conv.groups(),
            activation: conv.activation(),
        }
    }

    /// A 1x1 convolution with weights `[out, in]`.
    pub(super) fn from_matrix(weight: Tensor<2>, bias: Tensor<1>, activation: Activation) -> Self {
        let weight = weight.unsqueeze_dims(&[-1, -1]);
        Self { weight: computed(weight), bias: computed(bias), stride: 1, groups: 1, activation }
    }

    /// Maps `[batch, in, height, width]` to `[batch, out, height / stride, width / stride]`, rounded up.
    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let padding = weight.dims()[2] / 2;
        let options = ConvOptions::new([self.stride; 2], [padding; 2], [1; 2], self.groups);
        plain(self.activation, conv2d(input, weight, Some(self.bias.val()), options))
    }
}

/// `value` as a parameter. It is no leaf of the autodiff graph: gradients reach what it was computed from.
pub(super) fn computed<const D: usize>(value: Tensor<D>) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), value)
}
