//! Batch norm fused with the activation behind it.

#![allow(clippy::too_many_arguments, reason = "the backward pass needs all of the forward pass's")]

use super::Activation;
use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

/// What batch norm in training yields.
pub struct BatchNormTrain {
    /// The normalised, scaled, shifted and activated input, `[batch, channels, height, width]`.
    pub output: Tensor<4>,
    /// Mean of the input, `[channels]`; without gradient.
    pub mean: Tensor<1>,
    /// Biased variance of the input, `[channels]`; without gradient.
    pub variance: Tensor<1>,
}

/// Normalises `[batch, channels, height, width]` by the statistics of the batch, then scales, shifts and activates.
///
/// Only the input and the statistics are kept for the backward pass, which computes the pre-activation again.
pub fn batch_norm_train(
    input: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    activation: Activation,
) -> BatchNormTrain {
    let (input, gamma, beta) = (input.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch());
    let (output, mean, variance) = Dispatch::norm_train(input, gamma, beta, epsilon, activation);
    BatchNormTrain {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

/// Normalises `[batch, channels, height, width]` by given statistics, then scales, shifts and activates.
pub fn batch_norm_inference(
    input: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    epsilon: f64,
    activation: Activation,
) -> Tensor<4> {
    let scale = gamma / (variance + epsilon).sqrt();
    let shift = beta - mean * scale.clone();
    let (input, scale, shift) = (input.into_dispatch(), scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(Dispatch::affine(input, scale, shift, activation))
}

type Triple<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

/// The primitive ops behind the two functions, with a default for every backend.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait NormBackend: Backend {
    /// Output, mean and biased variance.
    fn norm_train(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let r = Self::batch_norm_train(input, gamma, beta, epsilon);
        (composed::activate::<Self>(r.output, activation), r.mean, r.variance)
    }

    /// Gradients of input, gamma and beta.
    fn norm_train_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let pre = Self::batch_norm_train(input.clone(), gamma.clone(), beta, epsilon).output;
        let gradient = composed::activation_gradient::<Self>(pre, output_gradient, activation);
        let r = Self::batch_norm_train_backward(input, gamma, mean, variance, epsilon, gradient);
        (r.x_grad, r.gamma_grad, r.beta_grad)
    }

    /// `activation(input * scale + shift)`, scale and shift by channel.
    fn affine(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let scaled = Self::float_mul(input, composed::by_channel::<Self>(scale));
        composed::activate::<Self>(Self::float_add(scaled, composed::by_channel::<Self>(shift)), activation)
    }
}

#[cfg(feature = "tch")]
impl NormBackend for burn::backend::LibTorch {}
#[cfg(any(feature = "wgpu", feature = "cuda"))]
impl NormBackend for burn::backend::Cube {}

/// The ops in terms of burn's own.
mod composed {
    use super::{Activation, Backend, FloatTensor};
    use burn::backend::TensorMetadata;
    use burn::tensor::Shape;

    pub(super) fn by_channel<B: Backend>(vector: FloatTensor<B>) -> FloatTensor<B> {
        let channels = vector.shape()[0];
        B::float_reshape(vector, Shape::from([1, channels, 1, 1]))
    }

    pub(super) fn activate<B: Backend>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
        match activation {
            Activation::Identity => x,
            Activation::Relu => B::relu(x),
            Activation::Relu6 => B::float_clamp(x, 0.0.into(), 6.0.into()),
            Activation::HardSwish => B::float_mul(x.clone(), gate::<B>(x)),
        }
    }

    /// `relu6(x + 3) / 6`
    fn gate<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
        B::hard_sigmoid(x, (1.0 / 6.0).into(), 0.5.into())
    }

    pub(super) fn activation_gradient<B: Backend>(
        pre: FloatTensor<B>,
        gradient: FloatTensor<B>,
        activation: Activation,
    ) -> FloatTensor<B> {
        match activation {
            Activation::Identity => gradient,
            Activation::Relu => B::relu_backward(B::relu(pre), gradient),
            Activation::Relu6 => between::<B>(pre, 0.0, 6.0, gradient),
            Activation::HardSwish => {
                // d(x g(x)) = g(x) + x g'(x); g' is 1/6 where g is strictly between 0 and 1.
                let slope = between::<B>(pre.clone(), -3.0, 3.0, gradient.clone());
                let slope = B::float_mul_scalar(B::float_mul(pre.clone(), slope), (1.0 / 6.0).into());
                B::float_add(B::float_mul(gradient, gate::<B>(pre)), slope)
            }
        }
    }

    /// `gradient` where `low < x < high`, 0 elsewhere.
    fn between<B: Backend>(x: FloatTensor<B>, low: f64, high: f64, gradient: FloatTensor<B>) -> FloatTensor<B> {
        let above = B::relu(B::float_add_scalar(x.clone(), (-low).into()));
        let below = B::relu(B::float_add_scalar(B::float_neg(x), high.into()));
        B::relu_backward(above, B::relu_backward(below, gradient))
    }
}

impl<B: NormBackend, C: CheckpointStrategy> NormBackend for Autodiff<B, C> {
    fn norm_train(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        type State<B> = ([NodeId; 3], FloatTensor<B>, FloatTensor<B>, f64, Activation);
        #[derive(Debug)]
        struct NormBackward;
        impl<B: NormBackend> Backward<B, 3> for NormBackward {
            type State = State<B>;
            fn backward(self, ops: Ops<State<B>, 3>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
                let output_gradient = gradients.consume::<B>(&ops.node);
                let (saved, mean, variance, epsilon, activation) = ops.state;
                let [input, gamma, beta] = saved.map(|node| checkpointer.retrieve_node_output(node));
                let (x, g, b) =
                    B::norm_train_backward(input, gamma, beta, mean, variance, output_gradient, epsilon, activation);
                for (parent, gradient) in ops.parents.into_iter().zip([x, g, b]) {
                    if let Some(node) = parent {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        let nodes = [input.node(), gamma.node(), beta.node()];
        let forward = |input, gamma, beta| -> Triple<B> { B::norm_train(input, gamma, beta, epsilon, activation) };
        let (output, mean, variance) = match NormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let saved = [&input, &gamma, &beta].map(|tensor| prepared.checkpoint(tensor));
                let (output, mean, variance) =
                    forward(input.into_primitive(), gamma.into_primitive(), beta.into_primitive());
                let state = (saved, mean.clone(), variance.clone(), epsilon, activation);
                (prepared.finish(state, output), mean, variance)
            }
            OpsKind::UnTracked(prepared) => {
                let (output, mean, variance) =
                    forward(input.into_primitive(), gamma.into_primitive(), beta.into_primitive());
                (prepared.finish(output), mean, variance)
            }
        };
        (output, <FloatTensor<Self>>::new(mean), <FloatTensor<Self>>::new(variance))
    }

    // `affine` needs no node of its own: its default body is made of differentiable ops.
}

#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "flex")]
mod planes;
#[cfg(test)]
mod tests;
