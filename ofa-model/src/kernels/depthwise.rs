//! Depthwise convolution.

use super::composed;
use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension, tensor::FloatTensor};
use burn::tensor::{Tensor, ops::ConvOptions};

/// Filters each channel of `[batch, channels, height, width]` with its own kernel from `[channels, 1, k, k]`.
///
/// `k` must be odd; the padding is half of it, so the output is `[batch, channels, height / stride, width / stride]`,
/// rounded up.
pub fn depthwise_conv2d(input: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::depthwise(input.into_dispatch(), weight.into_dispatch(), stride))
}

/// The primitive ops behind [`depthwise_conv2d`], with a default for every backend.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(feature = "gpu"),
    Fusion: cfg(feature = "gpu")
)]
pub trait DepthwiseBackend: Backend {
    /// Output of the convolution.
    #[fusion(default)]
    fn depthwise(input: FloatTensor<Self>, weight: FloatTensor<Self>, stride: usize) -> FloatTensor<Self> {
        general::forward::<Self>(input, weight, stride)
    }

    /// Gradient of the input.
    #[fusion(default)]
    fn depthwise_input_gradient(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self> {
        general::input_gradient::<Self>(input, weight, output_gradient, stride)
    }

    /// Gradient of the weight.
    #[fusion(dtype = weight, shape = weight)]
    fn depthwise_weight_gradient(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self> {
        general::weight_gradient::<Self>(input, weight, output_gradient, stride)
    }
}

/// The ops in terms of burn's general convolution.
mod general {
    use super::{Backend, ConvOptions, FloatTensor, TensorMetadata, composed};
    #[cfg(any(feature = "tch", test))]
    use burn::tensor::{Shape, Slice};

    fn options<B: Backend>(weight: &FloatTensor<B>, stride: usize) -> ConvOptions<2> {
        composed::convolution::<B>(weight, stride, weight.shape()[0])
    }

    pub(super) fn forward<B: Backend>(input: FloatTensor<B>, weight: FloatTensor<B>, stride: usize) -> FloatTensor<B> {
        let options = options::<B>(&weight, stride);
        B::conv2d(input, weight, None, options)
    }

    pub(super) fn input_gradient<B: Backend>(
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        output_gradient: FloatTensor<B>,
        stride: usize,
    ) -> FloatTensor<B> {
        let options = options::<B>(&weight, stride);
        B::conv2d_x_backward(input, weight, output_gradient, options)
    }

    pub(super) fn weight_gradient<B: Backend>(
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        output_gradient: FloatTensor<B>,
        stride: usize,
    ) -> FloatTensor<B> {
        let options = options::<B>(&weight, stride);
        B::conv2d_weight_backward(input, weight, output_gradient, options)
    }

    /// The same as one convolution: every plane of the input is filtered with its plane of the gradient, in as many
    /// groups as planes, and the sum over images is the gradient.
    #[cfg(any(feature = "tch", test))]
    pub(super) fn weight_gradient_by_plane<B: Backend>(
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        output_gradient: FloatTensor<B>,
        stride: usize,
    ) -> FloatTensor<B> {
        let [batch, channels, height, width] = composed::sizes::<B>(&input);
        let [_, _, kernel_size, _] = composed::sizes::<B>(&weight);
        let [_, _, out_height, out_width] = composed::sizes::<B>(&output_gradient);
        let planes = B::float_reshape(input, Shape::from([1, batch * channels, height, width]));
        let filters = B::float_reshape(output_gradient, Shape::from([batch * channels, 1, out_height, out_width]));
        let options = ConvOptions::new([1; 2], [kernel_size / 2; 2], [stride; 2], batch * channels);
        let by_image = B::conv2d(planes, filters, None, options);
        // Where the stride skips the last rows of the input, there are more offsets than the kernel has.
        let kernel = Slice::from(0..kernel_size);
        let by_image = B::float_slice(by_image, &[Slice::from(0..1), Slice::from(0..batch * channels), kernel, kernel]);
        let numbers = channels * kernel_size * kernel_size;
        let sum = B::float_sum_dim(B::float_reshape(by_image, Shape::from([batch, numbers])), 0);
        B::float_reshape(sum, Shape::from([channels, 1, kernel_size, kernel_size]))
    }
}

impl<B: DepthwiseBackend, C: CheckpointStrategy> DepthwiseBackend for Autodiff<B, C> {
    fn depthwise(input: FloatTensor<Self>, weight: FloatTensor<Self>, stride: usize) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct DepthwiseBackward;
        impl<B: DepthwiseBackend> Backward<B, 2> for DepthwiseBackward {
            type State = ([NodeId; 2], usize);
            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
                let [input_node, weight_node] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                let (saved, stride) = ops.state;
                let [input, weight]: [FloatTensor<B>; 2] = saved.map(|node| checkpointer.retrieve_node_output(node));
                if let Some(node) = input_node {
                    let g = B::depthwise_input_gradient(input.clone(), weight.clone(), gradient.clone(), stride);
                    gradients.register::<B>(node.id, g);
                }
                if let Some(node) = weight_node {
                    let g = B::depthwise_weight_gradient(input, weight, gradient, stride);
                    gradients.register::<B>(node.id, g);
                }
            }
        }
        match DepthwiseBackward.prepare::<C>([input.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let saved = [&input, &weight].map(|tensor| prepared.checkpoint(tensor));
                let output = B::depthwise(input.into_primitive(), weight.into_primitive(), stride);
                prepared.finish((saved, stride), output)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::depthwise(input.into_primitive(), weight.into_primitive(), stride))
            }
        }
    }
}

#[cfg(feature = "gpu")]
mod cube;
#[cfg(feature = "flex")]
pub(super) mod flat;
#[cfg(feature = "flex")]
pub(super) mod flex;
#[cfg(feature = "tch")]
mod libtorch;
#[cfg(test)]
mod tests;
