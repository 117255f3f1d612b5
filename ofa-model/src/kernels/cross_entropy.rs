//! Softmax and cross-entropy.

use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension, tensor::FloatTensor};
use burn::tensor::{Shape, Tensor};

/// Probabilities of logits, both `[batch, classes]`. No gradient flows through.
pub fn softmax(logits: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::probabilities(logits.into_dispatch()))
}

/// Mean cross-entropy over the batch, `[1]`, of logits against target probabilities, both `[batch, classes]`. The
/// targets get no gradient.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::mean_cross_entropy(logits.into_dispatch(), targets.into_dispatch()))
}

/// The primitive ops behind the two functions, with a default for every backend.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(feature = "gpu")
)]
pub trait CrossEntropyBackend: Backend {
    /// Probabilities of logits, both `[batch, classes]`.
    fn probabilities(logits: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::softmax(logits, 1)
    }

    /// Mean cross-entropy, `[1]`, of logits against targets, both `[batch, classes]`.
    fn mean_cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self> {
        general::mean::<Self>(logits, targets)
    }

    /// Gradient of the logits, given the gradient of the mean, `[1]`.
    fn cross_entropy_gradient(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        mean_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        general::gradient::<Self>(logits, targets, mean_gradient)
    }
}

/// The ops in terms of burn's own.
mod general {
    use super::{Backend, FloatTensor, Shape, TensorMetadata};

    pub(super) fn mean<B: Backend>(logits: FloatTensor<B>, targets: FloatTensor<B>) -> FloatTensor<B> {
        let rows = B::float_sum_dim(B::float_mul(B::log_softmax(logits, 1), targets), 1);
        B::float_neg(B::float_mean(rows))
    }

    /// `(softmax(logits) * sum(targets) - targets) * mean_gradient / batch`
    pub(super) fn gradient<B: Backend>(
        logits: FloatTensor<B>,
        targets: FloatTensor<B>,
        mean_gradient: FloatTensor<B>,
    ) -> FloatTensor<B> {
        let batch = logits.shape()[0] as f64;
        let expected = B::float_mul(B::softmax(logits, 1), B::float_sum_dim(targets.clone(), 1));
        let share = B::float_div_scalar(B::float_reshape(mean_gradient, Shape::from([1, 1])), batch.into());
        B::float_mul(B::float_sub(expected, targets), share)
    }
}

#[cfg(feature = "tch")]
impl CrossEntropyBackend for burn::backend::LibTorch {}
#[cfg(feature = "gpu")]
impl CrossEntropyBackend for burn::backend::Cube {}

impl<B: CrossEntropyBackend, C: CheckpointStrategy> CrossEntropyBackend for Autodiff<B, C> {
    fn probabilities(logits: FloatTensor<Self>) -> FloatTensor<Self> {
        <FloatTensor<Self>>::new(B::probabilities(logits.into_primitive()))
    }

    fn mean_cross_entropy(logits: FloatTensor<Self>, targets: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct CrossEntropyBackward;
        impl<B: CrossEntropyBackend> Backward<B, 1> for CrossEntropyBackward {
            type State = (NodeId, FloatTensor<B>);
            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
                let gradient = gradients.consume::<B>(&ops.node);
                let (saved, targets) = ops.state;
                let logits: FloatTensor<B> = checkpointer.retrieve_node_output(saved);
                if let [Some(node)] = ops.parents {
                    gradients.register::<B>(node.id, B::cross_entropy_gradient(logits, targets, gradient));
                }
            }
        }
        let targets = targets.into_primitive();
        match CrossEntropyBackward.prepare::<C>([logits.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let saved = prepared.checkpoint(&logits);
                let mean = B::mean_cross_entropy(logits.into_primitive(), targets.clone());
                prepared.finish((saved, targets), mean)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::mean_cross_entropy(logits.into_primitive(), targets)),
        }
    }
}

#[cfg(feature = "flex")]
mod flex;
#[cfg(test)]
mod tests;
