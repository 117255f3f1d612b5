//! Matrix products.

use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

/// `[rows, inner]` times `[inner, columns]`. Every element is summed in order, by fused multiply-adds.
///
/// Transposed views are supported: the CPU implementation computes the product or its transpose, whichever copies fewer
/// elements.
pub fn matmul(left: Tensor<2>, right: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::matrix_product(left.into_dispatch(), right.into_dispatch()))
}

/// [`matmul`] for each pair of matrices: `[batch, rows, inner]` times `[batch, inner, columns]`.
pub fn batched_matmul(left: Tensor<3>, right: Tensor<3>) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::matrix_product(left.into_dispatch(), right.into_dispatch()))
}

/// `input * weight^T + bias`, for `[batch, inputs]`, `[outputs, inputs]` and `[outputs]`; the output is
/// `[batch, outputs]`.
pub fn linear(input: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    // The bias is a product with ones because its gradient is a sum, which then has a fixed order.
    let ones = Tensor::ones([input.dims()[0], 1], (&input.device(), input.dtype()));
    matmul(input, weight.transpose()) + matmul(ones, bias.unsqueeze())
}

/// The primitive op behind the three functions, with a default for every backend.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(feature = "gpu")
)]
pub trait MatmulBackend: Backend {
    /// `[.., rows, inner]` times `[.., inner, columns]`, with the same number of matrices on both sides.
    fn matrix_product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(left, right)
    }
}

#[cfg(feature = "tch")]
impl MatmulBackend for burn::backend::LibTorch {}
#[cfg(feature = "gpu")]
impl MatmulBackend for burn::backend::Cube {}

/// Transposes every matrix, as a view.
pub(super) fn transposed<B: Backend>(matrices: FloatTensor<B>) -> FloatTensor<B> {
    let rank = matrices.shape().num_dims();
    B::float_swap_dims(matrices, rank - 2, rank - 1)
}

impl<B: MatmulBackend, C: CheckpointStrategy> MatmulBackend for Autodiff<B, C> {
    fn matrix_product(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct MatmulBackward;
        impl<B: MatmulBackend> Backward<B, 2> for MatmulBackward {
            type State = [NodeId; 2];
            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
                let [left_node, right_node] = ops.parents;
                let gradient = gradients.consume::<B>(&ops.node);
                let [left, right]: [FloatTensor<B>; 2] = ops.state.map(|node| checkpointer.retrieve_node_output(node));
                if let Some(node) = left_node {
                    gradients.register::<B>(node.id, B::matrix_product(gradient.clone(), transposed::<B>(right)));
                }
                if let Some(node) = right_node {
                    gradients.register::<B>(node.id, B::matrix_product(transposed::<B>(left), gradient));
                }
            }
        }
        match MatmulBackward.prepare::<C>([left.node(), right.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let saved = [&left, &right].map(|tensor| prepared.checkpoint(tensor));
                prepared.finish(saved, B::matrix_product(left.into_primitive(), right.into_primitive()))
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::matrix_product(left.into_primitive(), right.into_primitive()))
            }
        }
    }
}

#[cfg(feature = "flex")]
mod flex;
#[cfg(test)]
mod tests;
