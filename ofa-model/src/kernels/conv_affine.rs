//! A convolution fused with the inference batch norm and activation after it: one pass over the output instead of two.

use super::{Activation, DenseBackend, DepthwiseBackend, NormBackend, PointwiseBackend};
use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

/// `activation(pointwise_conv2d(input, weight) * scale + shift)`.
///
/// # Shapes
///
/// - input: `[batch, in, height, width]`
/// - weight: `[out, in, 1, 1]`
/// - scale, shift: `[out]`
/// - output: `[batch, out, height, width]`
pub fn pointwise_conv2d_affine(
    input: Tensor<4>,
    weight: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    activation: Activation,
) -> Tensor<4> {
    let (input, weight) = (input.into_dispatch(), weight.into_dispatch());
    let (scale, shift) = (scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(Dispatch::pointwise_affine(input, weight, scale, shift, activation))
}

/// `activation(depthwise_conv2d(input, weight, stride) * scale + shift)`.
///
/// # Shapes
///
/// - input: `[batch, channels, height, width]`
/// - weight: `[channels, 1, k, k]`
/// - scale, shift: `[channels]`
/// - output: `[batch, channels, height / stride, width / stride]`, rounded up
pub fn depthwise_conv2d_affine(
    input: Tensor<4>,
    weight: Tensor<4>,
    stride: usize,
    scale: Tensor<1>,
    shift: Tensor<1>,
    activation: Activation,
) -> Tensor<4> {
    let (input, weight) = (input.into_dispatch(), weight.into_dispatch());
    let (scale, shift) = (scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(Dispatch::depthwise_affine(input, weight, stride, scale, shift, activation))
}

/// `activation(dense_conv2d(input, weight, stride) * scale + shift)`.
///
/// # Shapes
///
/// - input: `[batch, in, height, width]`
/// - weight: `[out, in, k, k]`
/// - scale, shift: `[out]`
/// - output: `[batch, out, height / stride, width / stride]`, rounded up
pub fn dense_conv2d_affine(
    input: Tensor<4>,
    weight: Tensor<4>,
    stride: usize,
    scale: Tensor<1>,
    shift: Tensor<1>,
    activation: Activation,
) -> Tensor<4> {
    let (input, weight) = (input.into_dispatch(), weight.into_dispatch());
    let (scale, shift) = (scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(Dispatch::dense_affine(input, weight, stride, scale, shift, activation))
}

/// The primitive ops behind the three functions, with a default for every backend.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(feature = "gpu")
)]
pub trait ConvAffineBackend: Backend + PointwiseBackend + DepthwiseBackend + DenseBackend + NormBackend {
    /// 1x1 convolution, then scale, shift and activation.
    fn pointwise_affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        Self::affine(Self::pointwise(input, weight), scale, shift, activation)
    }

    /// Depthwise convolution, then scale, shift and activation.
    fn depthwise_affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        Self::affine(Self::depthwise(input, weight, stride), scale, shift, activation)
    }

    /// Dense convolution, then scale, shift and activation.
    fn dense_affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        stride: usize,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        Self::affine(Self::dense(input, weight, stride), scale, shift, activation)
    }
}

#[cfg(feature = "tch")]
impl ConvAffineBackend for burn::backend::LibTorch {}
#[cfg(feature = "gpu")]
impl ConvAffineBackend for burn::backend::Cube {}

// No nodes of their own are needed: the default bodies consist of differentiable ops.
impl<B: ConvAffineBackend, C: CheckpointStrategy> ConvAffineBackend for Autodiff<B, C> {}

#[cfg(feature = "flex")]
mod flex;
#[cfg(test)]
mod tests;
