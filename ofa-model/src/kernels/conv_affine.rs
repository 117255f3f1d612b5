//! A convolution with the batch norm of inference and the activation behind it: one pass over the output in place of two.

use super::{Activation, DenseBackend, DepthwiseBackend, NormBackend, PointwiseBackend};
use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

/// `activation(pointwise_conv2d(input, weight) * scale + shift)`, scale and shift `[out]`.
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

/// `activation(depthwise_conv2d(input, weight, stride) * scale + shift)`, scale and shift `[channels]`.
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

/// `activation(dense_conv2d(input, weight, stride) * scale + shift)`, scale and shift `[out]`.
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

/// The primitive ops behind the functions, with a default for every backend.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait ConvAffineBackend: Backend + PointwiseBackend + DepthwiseBackend + DenseBackend + NormBackend {
    /// 1x1 convolution, scale and shift, activation.
    fn pointwise_affine(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        Self::affine(Self::pointwise(input, weight), scale, shift, activation)
    }

    /// Depthwise convolution, scale and shift, activation.
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

    /// Dense convolution, scale and shift, activation.
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
#[cfg(any(feature = "wgpu", feature = "cuda"))]
impl ConvAffineBackend for burn::backend::Cube {}

// No nodes of their own are needed: the default bodies are made of differentiable ops.
impl<B: ConvAffineBackend, C: CheckpointStrategy> ConvAffineBackend for Autodiff<B, C> {}

#[cfg(feature = "flex")]
mod flex;
#[cfg(test)]
mod tests;
