//! Batch norm fused with the activation after it.

#![allow(clippy::too_many_arguments, reason = "the backward pass needs all tensors of the forward pass")]

use super::{Activation, composed};
use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

/// Output and batch statistics of batch norm in training.
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
/// Only the input and the statistics are kept for the backward pass, which recomputes the pre-activation. A 16-bit
/// float input gives an output of the same type; intermediate values, scale, shift and statistics are `f32`.
///
/// # Shapes
///
/// - input, output: `[batch, channels, height, width]`
/// - gamma, beta: `[channels]`
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

/// Normalises `[batch, channels, height, width]` by the given statistics, then scales, shifts and activates.
///
/// # Shapes
///
/// - input, output: `[batch, channels, height, width]`
/// - gamma, beta, mean, variance: `[channels]`
pub fn batch_norm_inference(
    input: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    epsilon: f64,
    activation: Activation,
) -> Tensor<4> {
    let (scale, shift) = scale_and_shift(gamma, beta, mean, variance, epsilon);
    let (input, scale, shift) = (input.into_dispatch(), scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(Dispatch::affine(input, scale, shift, activation))
}

/// Scale and shift of batch norm with the given statistics. All inputs and outputs are `[channels]`.
pub fn scale_and_shift(
    gamma: Tensor<1>,
    beta: Tensor<1>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    epsilon: f64,
) -> (Tensor<1>, Tensor<1>) {
    let scale = gamma / (variance + epsilon).sqrt();
    let shift = beta - mean * scale.clone();
    (scale, shift)
}

type Triple<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

/// The primitive ops behind the two batch norms, with a default for every backend.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(feature = "gpu"),
    Fusion: cfg(feature = "gpu")
)]
pub trait NormBackend: Backend {
    /// Output `[batch, channels, height, width]`, mean and biased variance `[channels]`.
    #[fusion(meta = cube::output_specs)]
    fn norm_train(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        activation: Activation,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        general::norm_train::<Self>(input, gamma, beta, epsilon, activation)
    }

    /// Gradients of input, gamma and beta, in the shapes of these.
    #[fusion(meta = |input, gamma, beta, _, _, _, _, _| (input.clone(), gamma.clone(), beta.clone()))]
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
        general::norm_train_backward::<Self>(input, gamma, beta, mean, variance, output_gradient, epsilon, activation)
    }

    /// `activation(input * scale + shift)`, with scale and shift per channel, `[channels]`.
    #[fusion(default)]
    fn affine(
        input: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        general::affine::<Self>(input, scale, shift, activation)
    }
}

/// The ops in terms of burn's own. 16-bit floats are normalised in `f32` but stored in their own format.
mod general {
    use super::composed::{activate, activation_gradient, by_channel, in_format, widened};
    use super::{Activation, Backend, FloatTensor, TensorMetadata, Triple};

    pub(super) fn norm_train<B: Backend>(
        input: FloatTensor<B>,
        gamma: FloatTensor<B>,
        beta: FloatTensor<B>,
        epsilon: f64,
        activation: Activation,
    ) -> Triple<B> {
        let format = input.dtype();
        let [input, gamma, beta] = [input, gamma, beta].map(widened::<B>);
        let r = B::batch_norm_train(input, gamma, beta, epsilon);
        (in_format::<B>(activate::<B>(r.output, activation), format), r.mean, r.variance)
    }

    pub(super) fn norm_train_backward<B: Backend>(
        input: FloatTensor<B>,
        gamma: FloatTensor<B>,
        beta: FloatTensor<B>,
        mean: FloatTensor<B>,
        variance: FloatTensor<B>,
        output_gradient: FloatTensor<B>,
        epsilon: f64,
        activation: Activation,
    ) -> Triple<B> {
        let formats = [&input, &gamma, &beta].map(|tensor| tensor.dtype());
        let [input, gamma, beta, gradient] = [input, gamma, beta, output_gradient].map(widened::<B>);
        let pre = B::batch_norm(input.clone(), gamma.clone(), beta, mean.clone(), variance.clone(), epsilon);
        let gradient = activation_gradient::<B>(pre, gradient, activation);
        let r = B::batch_norm_train_backward(input, gamma, mean, variance, epsilon, gradient);
        let [x, g, b] = formats;
        (in_format::<B>(r.x_grad, x), in_format::<B>(r.gamma_grad, g), in_format::<B>(r.beta_grad, b))
    }

    pub(super) fn affine<B: Backend>(
        input: FloatTensor<B>,
        scale: FloatTensor<B>,
        shift: FloatTensor<B>,
        activation: Activation,
    ) -> FloatTensor<B> {
        let scaled = B::float_mul(input, by_channel::<B>(scale));
        activate::<B>(B::float_add(scaled, by_channel::<B>(shift)), activation)
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

    // `affine` needs no node of its own: its default body consists of differentiable ops.
}

#[cfg(feature = "gpu")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "tch")]
mod libtorch;
#[cfg(feature = "flex")]
pub(super) mod planes;
#[cfg(test)]
mod tests;
