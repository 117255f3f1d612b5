//! Convolution, batch norm, activation: the building block of every block.

use super::{Moments, Norm, Statistics, leading, reordered};
use crate::kernels::{
    ConvWeights, dense_conv2d, dense_conv2d_affine, depthwise_conv2d, depthwise_conv2d_affine, pointwise_conv2d,
    pointwise_conv2d_affine,
};
use crate::{Activation, ConvShape, init::Initializer};
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

/// A convolution without bias (padding: half the kernel size), batch norm, activation.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// `[out, in, k, k]`, or `[channels, 1, k, k]` when depthwise.
    pub weight: Param<Tensor<4>>,
    /// Batch norm of the output.
    pub norm: Norm,
    #[module(skip)]
    filter: Filter,
    #[module(skip)]
    activation: Activation,
}

/// How a convolution connects channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filter {
    /// Every output channel sees every input channel.
    Dense {
        /// Stride.
        stride: usize,
    },
    /// A 1x1 convolution of stride 1.
    Pointwise,
    /// Every output channel sees one input channel.
    Depthwise {
        /// Stride.
        stride: usize,
    },
}

impl ConvNorm {
    /// Builds a dense convolution of the given shape.
    pub(crate) fn dense(shape: &ConvShape, epsilon: f64, init: &mut Initializer) -> Self {
        let ConvShape { in_channels, out_channels, kernel_size: k, stride, activation, .. } = *shape;
        Self::init([out_channels, in_channels, k, k], Filter::Dense { stride }, activation, epsilon, init)
    }

    /// Builds a 1x1 convolution of stride 1.
    pub(crate) fn pointwise(
        in_channels: usize,
        out_channels: usize,
        activation: Activation,
        epsilon: f64,
        init: &mut Initializer,
    ) -> Self {
        Self::init([out_channels, in_channels, 1, 1], Filter::Pointwise, activation, epsilon, init)
    }

    /// Builds a depthwise convolution.
    pub(crate) fn depthwise(
        channels: usize,
        kernel_size: usize,
        stride: usize,
        activation: Activation,
        epsilon: f64,
        init: &mut Initializer,
    ) -> Self {
        Self::init([channels, 1, kernel_size, kernel_size], Filter::Depthwise { stride }, activation, epsilon, init)
    }

    fn init(shape: [usize; 4], filter: Filter, activation: Activation, epsilon: f64, init: &mut Initializer) -> Self {
        let [out_channels, _, k, _] = shape;
        Self {
            weight: init.he_fan_out(shape, k * k * out_channels),
            norm: Norm::init(out_channels, epsilon, init),
            filter,
            activation,
        }
    }

    /// Maps `[batch, in, height, width]` to `[batch, out, height / stride, width / stride]`, rounded up.
    pub fn forward(&self, input: Tensor<4>, statistics: &mut Statistics) -> Tensor<4> {
        if let Statistics::Running = statistics {
            return self.infer(input);
        }
        let normalised = self.norm.normalise(self.convolve(input), self.activation);
        if let Statistics::Record(list) = statistics {
            list.push(Moments { mean: normalised.mean, variance: normalised.variance });
        }
        normalised.output
    }

    /// Forward pass with the running statistics, fused into one op.
    fn infer(&self, input: Tensor<4>) -> Tensor<4> {
        let (weight, (scale, shift)) = (self.weight.val(), self.norm.scale_and_shift());
        match self.filter {
            Filter::Pointwise => pointwise_conv2d_affine(input, weight, scale, shift, self.activation),
            Filter::Depthwise { stride } => {
                depthwise_conv2d_affine(input, weight, stride, scale, shift, self.activation)
            }
            Filter::Dense { stride } => dense_conv2d_affine(input, weight, stride, scale, shift, self.activation),
        }
    }

    fn convolve(&self, input: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        match self.filter {
            Filter::Pointwise => pointwise_conv2d(input, weight),
            Filter::Depthwise { stride } => depthwise_conv2d(input, weight, stride),
            Filter::Dense { stride } => dense_conv2d(input, weight, stride),
        }
    }

    /// The convolution's weight and the scale and shift of its norm.
    pub(super) fn weights(&self) -> ConvWeights {
        (self.weight.val(), self.norm.gamma.val(), self.norm.beta.val())
    }

    /// Stride of the convolution.
    pub(crate) fn stride(&self) -> usize {
        match self.filter {
            Filter::Pointwise => 1,
            Filter::Dense { stride } | Filter::Depthwise { stride } => stride,
        }
    }

    /// Number of channel groups that do not see each other.
    pub(crate) fn groups(&self) -> usize {
        match self.filter {
            Filter::Depthwise { .. } => self.weight.dims()[0],
            Filter::Dense { .. } | Filter::Pointwise => 1,
        }
    }

    /// Activation after the batch norm.
    pub(crate) fn activation(&self) -> Activation {
        self.activation
    }

    /// The convolution from the first `in_channels` to the first `out_channels` channels.
    pub(super) fn leading(&self, out_channels: usize, in_channels: usize) -> Self {
        self.with_weight(leading(&self.weight, &[out_channels, in_channels]), out_channels)
    }

    /// The same convolution with another kernel over its first `out_channels` channels.
    pub(super) fn with_weight(&self, weight: Param<Tensor<4>>, out_channels: usize) -> Self {
        Self { weight, norm: self.norm.leading(out_channels), filter: self.filter, activation: self.activation }
    }

    /// Reorders the output channels.
    pub(super) fn reordered_outputs(self, order: &Tensor<1, Int>) -> Self {
        Self { weight: reordered(self.weight, 0, order), norm: self.norm.reordered(order), ..self }
    }

    /// Reorders the input channels.
    pub(super) fn reordered_inputs(self, order: &Tensor<1, Int>) -> Self {
        Self { weight: reordered(self.weight, 1, order), ..self }
    }
}
