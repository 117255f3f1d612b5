//! Gradients of depthwise convolution in libtorch, as one convolution each.

use super::{DepthwiseBackend, general};
use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use burn::backend::ops::FloatTensorOps;

impl DepthwiseBackend for LibTorch {
    /// At stride 1 the gradient is a convolution with the flipped kernel. libtorch runs that in 0.5 to 0.9 of the time
    /// of a transposed convolution.
    fn depthwise_input_gradient(
        input: TchTensor,
        weight: TchTensor,
        output_gradient: TchTensor,
        stride: usize,
    ) -> TchTensor {
        match stride {
            1 => general::forward::<Self>(output_gradient, Self::float_flip(weight, &[2, 3]), 1),
            _ => general::input_gradient::<Self>(input, weight, output_gradient, stride),
        }
    }

    /// burn's default runs one convolution per channel, and libtorch's own gradient is ten times as slow as this one for
    /// kernels larger than 3x3.
    fn depthwise_weight_gradient(
        input: TchTensor,
        weight: TchTensor,
        output_gradient: TchTensor,
        stride: usize,
    ) -> TchTensor {
        general::weight_gradient_by_plane::<Self>(input, weight, output_gradient, stride)
    }
}
