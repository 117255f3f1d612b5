//! The bottleneck block of ResNet-D, in ordinary and elastic form.

use super::{ConvNorm, Statistics};
use crate::{Activation, BottleneckShape, ConvShape, init::Initializer};
use burn::module::Module;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Int, Tensor};

/// A bottleneck block: reduce, filter, expand, add the shortcut, activate.
///
/// Source: ResNet-D (He et al. 2019, arXiv:1812.01187, figure 2): the middle convolution has the stride, and the
/// shortcut averages before its 1x1 convolution.
#[derive(Module, Debug)]
pub struct Bottleneck {
    /// 1x1 convolution to the middle channels.
    pub reduce: ConvNorm,
    /// Dense convolution of the middle channels.
    pub filter: ConvNorm,
    /// 1x1 convolution to the output channels, without activation.
    pub expand: ConvNorm,
    /// 1x1 convolution, without activation, of the input averaged over the stride; `None` if the input itself is added.
    pub downsample: Option<ConvNorm>,
    stride: usize,
    #[module(skip)]
    activation: Activation,
}

impl Bottleneck {
    /// Builds a block of the given shape.
    pub(crate) fn init(shape: &BottleneckShape, epsilon: f64, init: &mut Initializer) -> Self {
        let BottleneckShape { in_channels, mid_channels, out_channels, kernel_size, stride, activation, downsample } =
            *shape;
        let filter = ConvShape {
            in_channels: mid_channels,
            out_channels: mid_channels,
            kernel_size,
            stride,
            activation,
            residual: false,
        };
        let linear = Activation::Identity;
        Self {
            reduce: ConvNorm::pointwise(in_channels, mid_channels, activation, epsilon, init),
            filter: ConvNorm::dense(&filter, epsilon, init),
            expand: ConvNorm::pointwise(mid_channels, out_channels, linear, epsilon, init),
            downsample: downsample.then(|| ConvNorm::pointwise(in_channels, out_channels, linear, epsilon, init)),
            stride,
            activation,
        }
    }

    /// Maps `[batch, in, height, width]` to `[batch, out, height / stride, width / stride]`, rounded up.
    pub fn forward(&self, input: Tensor<4>, statistics: &mut Statistics) -> Tensor<4> {
        let mut x = self.reduce.forward(input.clone(), statistics);
        x = self.filter.forward(x, statistics);
        x = self.expand.forward(x, statistics);
        let shortcut = match &self.downsample {
            Some(downsample) => downsample.forward(averaged(input, self.stride), statistics),
            None => input,
        };
        self.activation.apply(x + shortcut)
    }

    /// Stride of the dense convolution and of the average pooling before `downsample`.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Activation after the sum.
    pub(crate) fn activation(&self) -> Activation {
        self.activation
    }

    /// The convolutions in forward-pass order.
    pub(crate) fn convolutions_mut(&mut self) -> impl Iterator<Item = &mut ConvNorm> {
        [&mut self.reduce, &mut self.filter, &mut self.expand].into_iter().chain(&mut self.downsample)
    }

    /// The block sliced to the leading input, middle and output channels of `shape`.
    pub fn at(&self, shape: &BottleneckShape) -> Self {
        let &BottleneckShape { in_channels, mid_channels, out_channels, .. } = shape;
        Self {
            reduce: self.reduce.leading(mid_channels, in_channels),
            filter: self.filter.leading(mid_channels, mid_channels),
            expand: self.expand.leading(out_channels, mid_channels),
            downsample: self.downsample.as_ref().map(|conv| conv.leading(out_channels, in_channels)),
            stride: self.stride,
            activation: self.activation,
        }
    }

    /// Reorders the channels between `filter` and `expand`.
    pub(crate) fn reordered_filtered(self, order: &Tensor<1, Int>) -> Self {
        Self { filter: self.filter.reordered_outputs(order), expand: self.expand.reordered_inputs(order), ..self }
    }

    /// Reorders the channels between `reduce` and `filter`.
    pub(crate) fn reordered_reduced(self, order: &Tensor<1, Int>) -> Self {
        Self { reduce: self.reduce.reordered_outputs(order), filter: self.filter.reordered_inputs(order), ..self }
    }
}

/// Average pooling with window and stride `stride`. At the lower and right border, a cut window averages the pixels it
/// still covers.
pub(crate) fn averaged(input: Tensor<4>, stride: usize) -> Tensor<4> {
    if stride == 1 {
        return input;
    }
    let options = AvgPoolOptions::new([stride; 2]).with_count_include_pad(false).with_ceil_mode(true);
    avg_pool2d(input, options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_square_cut_by_the_border_is_averaged_over_what_is_left() {
        let input = Tensor::<1>::from_floats([1., 2., 3., 4., 5., 6., 7., 8., 9.], &Device::flex());
        let output = averaged(input.reshape([1, 1, 3, 3]), 2).into_data();
        assert_eq!(output.try_to_vec::<f32>().unwrap(), [3.0, 4.5, 7.5, 9.0]);
    }
}
