//! Dense convolution, where every output channel sees every input channel.

use super::composed;
use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

/// Convolves `[batch, in, height, width]` with `[out, in, k, k]`.
///
/// `k` must be odd; the padding is half of it, so the output is `[batch, out, height / stride, width / stride]`,
/// rounded up.
pub fn dense_conv2d(input: Tensor<4>, weight: Tensor<4>, stride: usize) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::dense(input.into_dispatch(), weight.into_dispatch(), stride))
}

/// The primitive ops behind [`dense_conv2d`], with a default for every backend.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(feature = "gpu")
)]
pub trait DenseBackend: Backend {
    /// Output of the convolution.
    fn dense(input: FloatTensor<Self>, weight: FloatTensor<Self>, stride: usize) -> FloatTensor<Self> {
        general::forward::<Self>(input, weight, stride)
    }

    /// Gradient of the input.
    fn dense_input_gradient(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        stride: usize,
    ) -> FloatTensor<Self> {
        general::input_gradient::<Self>(input, weight, output_gradient, stride)
    }

    /// Gradient of the weight.
    fn dense_weight_gradient(
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
    use super::{Backend, FloatTensor, composed};

    pub(super) fn forward<B: Backend>(input: FloatTensor<B>, weight: FloatTensor<B>, stride: usize) -> FloatTensor<B> {
        let options = composed::convolution::<B>(&weight, stride, 1);
        B::conv2d(input, weight, None, options)
    }

    pub(super) fn input_gradient<B: Backend>(
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        output_gradient: FloatTensor<B>,
        stride: usize,
    ) -> FloatTensor<B> {
        let options = composed::convolution::<B>(&weight, stride, 1);
        B::conv2d_x_backward(input, weight, output_gradient, options)
    }

    pub(super) fn weight_gradient<B: Backend>(
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        output_gradient: FloatTensor<B>,
        stride: usize,
    ) -> FloatTensor<B> {
        let options = composed::convolution::<B>(&weight, stride, 1);
        B::conv2d_weight_backward(input, weight, output_gradient, options)
    }
}

#[cfg(feature = "tch")]
impl DenseBackend for burn::backend::LibTorch {}
#[cfg(feature = "gpu")]
impl DenseBackend for burn::backend::Cube {}

impl<B: DenseBackend, C: CheckpointStrategy> DenseBackend for Autodiff<B, C> {
    fn dense(input: FloatTensor<Self>, weight: FloatTensor<Self>, stride: usize) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct DenseBackward;
        impl<B: DenseBackend> Backward<B, 2> for DenseBackward {
            type State = ([NodeId; 2], usize);
            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
                let [input_node, weight_node] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                let (saved, stride) = ops.state;
                let [input, weight]: [FloatTensor<B>; 2] = saved.map(|node| checkpointer.retrieve_node_output(node));
                if let Some(node) = input_node {
                    let g = B::dense_input_gradient(input.clone(), weight.clone(), gradient.clone(), stride);
                    gradients.register::<B>(node.id, g);
                }
                if let Some(node) = weight_node {
                    let g = B::dense_weight_gradient(input, weight, gradient, stride);
                    gradients.register::<B>(node.id, g);
                }
            }
        }
        match DenseBackward.prepare::<C>([input.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let saved = [&input, &weight].map(|tensor| prepared.checkpoint(tensor));
                let output = B::dense(input.into_primitive(), weight.into_primitive(), stride);
                prepared.finish((saved, stride), output)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::dense(input.into_primitive(), weight.into_primitive(), stride))
            }
        }
    }
}

#[cfg(feature = "flex")]
pub(super) mod flex;
#[cfg(feature = "flex")]
mod products;
#[cfg(test)]
mod tests;
#[cfg(feature = "flex")]
mod windows;
