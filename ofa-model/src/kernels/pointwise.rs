//! 1x1 convolution as matrix products.

use super::composed::sizes;
use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension, tensor::FloatTensor};
use burn::tensor::{Shape, Tensor};

/// Mixes the channels of `[batch, in, height, width]` with a weight `[out, in, 1, 1]`, pixel by pixel. The output is
/// `[batch, out, height, width]`.
pub fn pointwise_conv2d(input: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::pointwise(input.into_dispatch(), weight.into_dispatch()))
}

/// The primitive ops behind [`pointwise_conv2d`], with a default for every backend.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(feature = "gpu")
)]
pub trait PointwiseBackend: Backend {
    /// Output of the convolution.
    fn pointwise(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        general::forward::<Self>(input, weight)
    }

    /// Gradient of the input.
    fn pointwise_input_gradient(weight: FloatTensor<Self>, output_gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        general::input_gradient::<Self>(weight, output_gradient)
    }

    /// Gradient of the weight.
    fn pointwise_weight_gradient(input: FloatTensor<Self>, output_gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        general::weight_gradient::<Self>(input, output_gradient)
    }
}

/// The ops in terms of burn's matrix products.
mod general {
    use super::{Backend, FloatTensor, Shape, TensorMetadata, sizes};

    pub(super) fn forward<B: Backend>(input: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
        let [batch, _, height, width] = sizes::<B>(&input);
        let [out, _, _, _] = sizes::<B>(&weight);
        let output = B::float_matmul(matrix::<B>(weight), columns::<B>(input));
        B::float_reshape(output, Shape::from([batch, out, height, width]))
    }

    pub(super) fn input_gradient<B: Backend>(
        weight: FloatTensor<B>,
        output_gradient: FloatTensor<B>,
    ) -> FloatTensor<B> {
        let [batch, _, height, width] = sizes::<B>(&output_gradient);
        let [_, input, _, _] = sizes::<B>(&weight);
        let transposed = B::float_swap_dims(matrix::<B>(weight), 1, 2);
        let gradient = B::float_matmul(transposed, columns::<B>(output_gradient));
        B::float_reshape(gradient, Shape::from([batch, input, height, width]))
    }

    pub(super) fn weight_gradient<B: Backend>(
        input: FloatTensor<B>,
        output_gradient: FloatTensor<B>,
    ) -> FloatTensor<B> {
        let [_, channels, height, width] = sizes::<B>(&input);
        let [_, out, _, _] = sizes::<B>(&output_gradient);
        let (gradient, input) = (columns::<B>(output_gradient), columns::<B>(input));
        // Either one weight gradient per image, or one product over all pixels from transposed copies: whichever writes
        // less.
        let product = if out * channels > (out + channels) * height * width {
            B::float_matmul(rows::<B>(gradient), B::float_swap_dims(rows::<B>(input), 0, 1))
        } else {
            B::float_sum_dim(B::float_matmul(gradient, B::float_swap_dims(input, 1, 2)), 0)
        };
        B::float_reshape(product, Shape::from([out, channels, 1, 1]))
    }

    /// `[batch, channels, pixels]` as `[channels, batch * pixels]`.
    fn rows<B: Backend>(columns: FloatTensor<B>) -> FloatTensor<B> {
        let (batch, channels, pixels) = (columns.shape()[0], columns.shape()[1], columns.shape()[2]);
        B::float_reshape(B::float_swap_dims(columns, 0, 1), Shape::from([channels, batch * pixels]))
    }

    /// `[batch, channels, height, width]` as `[batch, channels, pixels]`.
    fn columns<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
        let [batch, channels, height, width] = sizes::<B>(&tensor);
        B::float_reshape(tensor, Shape::from([batch, channels, height * width]))
    }

    /// `[out, in, 1, 1]` as `[1, out, in]`.
    fn matrix<B: Backend>(weight: FloatTensor<B>) -> FloatTensor<B> {
        let [out, input, _, _] = sizes::<B>(&weight);
        B::float_reshape(weight, Shape::from([1, out, input]))
    }
}

#[cfg(feature = "tch")]
impl PointwiseBackend for burn::backend::LibTorch {}
#[cfg(feature = "gpu")]
impl PointwiseBackend for burn::backend::Cube {}

impl<B: PointwiseBackend, C: CheckpointStrategy> PointwiseBackend for Autodiff<B, C> {
    fn pointwise(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct PointwiseBackward;
        impl<B: PointwiseBackend> Backward<B, 2> for PointwiseBackward {
            type State = [NodeId; 2];
            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
                let [input_node, weight_node] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                let [input, weight]: [FloatTensor<B>; 2] =
                    ops.state.map(|node| checkpointer.retrieve_node_output(node));
                if let Some(node) = input_node {
                    gradients.register::<B>(node.id, B::pointwise_input_gradient(weight, gradient.clone()));
                }
                if let Some(node) = weight_node {
                    gradients.register::<B>(node.id, B::pointwise_weight_gradient(input, gradient));
                }
            }
        }
        match PointwiseBackward.prepare::<C>([input.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let saved = [&input, &weight].map(|tensor| prepared.checkpoint(tensor));
                prepared.finish(saved, B::pointwise(input.into_primitive(), weight.into_primitive()))
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::pointwise(input.into_primitive(), weight.into_primitive()))
            }
        }
    }
}

#[cfg(feature = "flex")]
mod correlations;
#[cfg(feature = "flex")]
pub(super) mod flex;
#[cfg(feature = "flex")]
mod gradient;
#[cfg(feature = "flex")]
mod images;
#[cfg(feature = "flex")]
pub(super) mod product;
#[cfg(test)]
mod tests;
