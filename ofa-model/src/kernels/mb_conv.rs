//! The inverted-bottleneck block in training, as one op.
//!
//! Op by op, every wide tensor would go through memory a dozen times. On the CPU everything between the two 1x1
//! convolutions is computed channel by channel, and only the outputs of convolutions are kept for the backward pass.

use super::{Activation, DepthwiseBackend, GateWeights, NormBackend, PlaneBackend, PointwiseBackend};
use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension, tensor::FloatTensor};
use burn::tensor::{Shape, Tensor};
use std::fmt::Debug;

/// The settings of a block besides its weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MbConvKind {
    /// Stride of the depthwise convolution, 1 or 2.
    pub stride: usize,
    /// Activation after the expansion and after the depthwise convolution.
    pub activation: Activation,
    /// Constant added to every variance.
    pub epsilon: f64,
    /// Whether the input is added to the output.
    pub residual: bool,
}

/// A convolution's weight, and the scale and shift of its batch norm, `[out]` each.
pub type ConvWeights = (Tensor<4>, Tensor<1>, Tensor<1>);

/// The weights of a block, with the shape of each convolution's weight.
pub struct MbConvWeights {
    /// Expansion, `[middle, in, 1, 1]`; `None` if absent.
    pub expand: Option<ConvWeights>,
    /// Depthwise convolution, `[middle, 1, k, k]`.
    pub depthwise: ConvWeights,
    /// Squeeze-and-excitation of the middle channels; `None` if absent.
    pub gate: Option<GateWeights>,
    /// Projection, `[out, middle, 1, 1]`.
    pub project: ConvWeights,
}

/// Output and batch statistics of a block in training.
pub struct MbConvTrain {
    /// `[batch, out, height / stride, width / stride]`, rounded up.
    pub output: Tensor<4>,
    /// Means (first row) and biased variances (second row) of each norm's input, concatenated over the norms,
    /// `[2, channels of all norms]`; without gradient.
    pub moments: Tensor<2>,
}

/// Expands `[batch, in, height, width]`, filters each channel, gates, projects, and adds the input. Batch norm by the
/// statistics of the batch follows every convolution, and an activation follows the first two.
pub fn mb_conv_train(input: Tensor<4>, weights: MbConvWeights, kind: MbConvKind) -> MbConvTrain {
    let form = Form { kind, expands: weights.expand.is_some(), is_gated: weights.gate.is_some() };
    let (project, project_gamma, project_beta) = weights.project;
    // Placeholders for absent layers: not every backend has empty tensors.
    let no_weight = project.clone().detach().set_require_grad(false);
    let no_vector = project_gamma.clone().detach().set_require_grad(false);
    let no_matrix: Tensor<2> = no_weight.clone().flatten(1, 3);
    let (expand, expand_gamma, expand_beta) =
        weights.expand.unwrap_or_else(|| (no_weight, no_vector.clone(), no_vector.clone()));
    let (depthwise, depthwise_gamma, depthwise_beta) = weights.depthwise;
    let gate = weights.gate.unwrap_or_else(|| GateWeights {
        reduce: no_matrix.clone(),
        reduce_bias: no_vector.clone(),
        expand: no_matrix,
        expand_bias: no_vector,
    });
    let (output, moments) = Dispatch::mb_conv(
        input.into_dispatch(),
        expand.into_dispatch(),
        expand_gamma.into_dispatch(),
        expand_beta.into_dispatch(),
        depthwise.into_dispatch(),
        depthwise_gamma.into_dispatch(),
        depthwise_beta.into_dispatch(),
        gate.reduce.into_dispatch(),
        gate.reduce_bias.into_dispatch(),
        gate.expand.into_dispatch(),
        gate.expand_bias.into_dispatch(),
        project.into_dispatch(),
        project_gamma.into_dispatch(),
        project_beta.into_dispatch(),
        form,
    );
    MbConvTrain { output: Tensor::from_dispatch(output), moments: Tensor::from_dispatch(moments) }
}

/// The settings of a block and which optional layers it has.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    kind: MbConvKind,
    expands: bool,
    is_gated: bool,
}

/// One value for each weight of a block.
#[derive(Clone, Debug)]
pub struct Layers<T> {
    /// Weight, scale and shift of the expansion.
    pub expand: Option<[T; 3]>,
    /// Weight, scale and shift of the depthwise convolution.
    pub depthwise: [T; 3],
    /// Weight and bias of the gate's reduction, then of its expansion.
    pub gate: Option<[T; 4]>,
    /// Weight, scale and shift of the projection.
    pub project: [T; 3],
}

impl<T> Layers<T> {
    fn map<'a, U>(&'a self, f: impl Fn(&'a T) -> U) -> Layers<U> {
        Layers {
            expand: self.expand.as_ref().map(|three| three.each_ref().map(&f)),
            depthwise: self.depthwise.each_ref().map(&f),
            gate: self.gate.as_ref().map(|four| four.each_ref().map(&f)),
            project: self.project.each_ref().map(&f),
        }
    }

    /// Groups the arguments of [`MbConvBackend::mb_conv`] after the input.
    fn from_arguments([a, b, c, d, e, f, g, h, i, j, k, l, m]: [T; 13], form: Form) -> Self {
        let expand = form.expands.then_some([a, b, c]);
        let gate = form.is_gated.then_some([g, h, i, j]);
        Self { expand, depthwise: [d, e, f], gate, project: [k, l, m] }
    }

    /// One value for each argument of [`MbConvBackend::mb_conv`] after the input; `None` for absent layers.
    fn into_arguments(self) -> [Option<T>; 13] {
        fn some<T, const N: usize>(layer: Option<[T; N]>) -> [Option<T>; N] {
            layer.map_or([const { None }; N], |layer| layer.map(Some))
        }
        let [a, b, c] = some(self.expand);
        let [d, e, f] = some(Some(self.depthwise));
        let [g, h, i, j] = some(self.gate);
        let [k, l, m] = some(Some(self.project));
        [a, b, c, d, e, f, g, h, i, j, k, l, m]
    }
}

/// Backends that can compute a whole block at once.
pub trait FusedMbConv: Backend {
    /// State that the backward pass needs.
    type Passed: Clone + Debug + Send + 'static;

    /// Whether the backend can compute this block.
    fn fuses(_input: &FloatTensor<Self>, _layers: &Layers<FloatTensor<Self>>, _kind: MbConvKind) -> bool {
        false
    }

    /// Output, moments and the state for the backward pass.
    fn fused(
        input: FloatTensor<Self>,
        layers: Layers<FloatTensor<Self>>,
        kind: MbConvKind,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, Self::Passed);

    /// Gradients of the input and of the layers.
    fn fused_backward(
        passed: Self::Passed,
        output_gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, Layers<FloatTensor<Self>>);
}

/// Implements [`FusedMbConv`] for a backend that never fuses.
macro_rules! never_fused {
    ($backend:ty $(, $($generics:tt)*)?) => {
        impl $(<$($generics)*>)? FusedMbConv for $backend {
            type Passed = ();

            fn fused(
                _: FloatTensor<Self>,
                _: Layers<FloatTensor<Self>>,
                _: MbConvKind,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, ()) {
                unreachable!("this backend never fuses a block")
            }

            fn fused_backward(_: (), _: FloatTensor<Self>) -> (FloatTensor<Self>, Layers<FloatTensor<Self>>) {
                unreachable!("this backend never fuses a block")
            }
        }
    };
}
never_fused!(Dispatch);
never_fused!(Autodiff<B, C>, B: MbConvBackend, C: CheckpointStrategy);
#[cfg(feature = "tch")]
never_fused!(burn::backend::LibTorch);
#[cfg(feature = "gpu")]
never_fused!(burn::backend::Cube);

/// The primitive op behind [`mb_conv_train`], with a default for every backend. Absent layers are passed as placeholder
/// tensors.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(feature = "gpu")
)]
pub trait MbConvBackend:
    Backend + FusedMbConv + PointwiseBackend + DepthwiseBackend + NormBackend + PlaneBackend
{
    /// Output and moments, as in [`MbConvTrain`].
    #[allow(clippy::too_many_arguments, reason = "burn dispatches only tensors passed as separate arguments")]
    fn mb_conv(
        input: FloatTensor<Self>,
        expand: FloatTensor<Self>,
        expand_gamma: FloatTensor<Self>,
        expand_beta: FloatTensor<Self>,
        depthwise: FloatTensor<Self>,
        depthwise_gamma: FloatTensor<Self>,
        depthwise_beta: FloatTensor<Self>,
        reduce: FloatTensor<Self>,
        reduce_bias: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        gate_bias: FloatTensor<Self>,
        project: FloatTensor<Self>,
        project_gamma: FloatTensor<Self>,
        project_beta: FloatTensor<Self>,
        form: Form,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let kind = form.kind;
        let arguments = [
            expand,
            expand_gamma,
            expand_beta,
            depthwise,
            depthwise_gamma,
            depthwise_beta,
            reduce,
            reduce_bias,
            gate,
            gate_bias,
            project,
            project_gamma,
            project_beta,
        ];
        let layers = Layers::from_arguments(arguments, form);
        if Self::fuses(&input, &layers, kind) {
            let (output, moments, _) = Self::fused(input, layers, kind);
            return (output, moments);
        }
        composed::<Self>(input, layers, kind)
    }
}

/// The block composed of its individual ops.
fn composed<B: MbConvBackend>(
    input: FloatTensor<B>,
    layers: Layers<FloatTensor<B>>,
    kind: MbConvKind,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let MbConvKind { stride, activation, epsilon, residual } = kind;
    let (mut means, mut variances) = (Vec::new(), Vec::new());
    let mut normalised = |x, gamma, beta, activation| {
        let (x, mean, variance) = B::norm_train(x, gamma, beta, epsilon, activation);
        means.push(mean);
        variances.push(variance);
        x
    };
    let mut x = input.clone();
    if let Some([weight, gamma, beta]) = layers.expand {
        x = normalised(B::pointwise(x, weight), gamma, beta, activation);
    }
    let [weight, gamma, beta] = layers.depthwise;
    x = normalised(B::depthwise(x, weight, stride), gamma, beta, activation);
    if let Some([reduce, reduce_bias, expand, expand_bias]) = layers.gate {
        x = B::gated(x, reduce, reduce_bias, expand, expand_bias);
    }
    let [weight, gamma, beta] = layers.project;
    x = normalised(B::pointwise(x, weight), gamma, beta, Activation::Identity);
    let x = if residual { B::float_add(x, input) } else { x };
    let row = |vectors| {
        let row = B::float_cat(vectors, 0);
        let channels = row.shape()[0];
        B::float_reshape(row, Shape::from([1, channels]))
    };
    (x, B::float_cat(vec![row(means), row(variances)], 0))
}

#[cfg(feature = "tch")]
impl MbConvBackend for burn::backend::LibTorch {}
#[cfg(feature = "gpu")]
impl MbConvBackend for burn::backend::Cube {}

impl<B: MbConvBackend, C: CheckpointStrategy> MbConvBackend for Autodiff<B, C> {
    fn mb_conv(
        input: FloatTensor<Self>,
        expand: FloatTensor<Self>,
        expand_gamma: FloatTensor<Self>,
        expand_beta: FloatTensor<Self>,
        depthwise: FloatTensor<Self>,
        depthwise_gamma: FloatTensor<Self>,
        depthwise_beta: FloatTensor<Self>,
        reduce: FloatTensor<Self>,
        reduce_bias: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        gate_bias: FloatTensor<Self>,
        project: FloatTensor<Self>,
        project_gamma: FloatTensor<Self>,
        project_beta: FloatTensor<Self>,
        form: Form,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        #[derive(Debug)]
        struct MbConvBackward;
        impl<B: MbConvBackend> Backward<B, 14> for MbConvBackward {
            type State = B::Passed;
            fn backward(self, ops: Ops<Self::State, 14>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let gradient = gradients.consume::<B>(&ops.node);
                let (input, layers) = B::fused_backward(ops.state, gradient);
                let found = [Some(input)].into_iter().chain(layers.into_arguments());
                for (parent, gradient) in ops.parents.into_iter().zip(found) {
                    if let (Some(node), Some(gradient)) = (parent, gradient) {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        let arguments = [
            expand,
            expand_gamma,
            expand_beta,
            depthwise,
            depthwise_gamma,
            depthwise_beta,
            reduce,
            reduce_bias,
            gate,
            gate_bias,
            project,
            project_gamma,
            project_beta,
        ];
        let kind = form.kind;
        let plain = Layers::from_arguments(arguments.each_ref().map(|tensor| tensor.primitive().clone()), form);
        if !B::fuses(input.primitive(), &plain, kind) {
            return composed::<Self>(input, Layers::from_arguments(arguments, form), kind);
        }
        let node = |i: usize| if i == 0 { input.node() } else { arguments[i - 1].node() };
        let (output, moments) = match MbConvBackward.prepare::<C>(std::array::from_fn(node)).compute_bound().stateful()
        {
            OpsKind::Tracked(prepared) => {
                let (output, moments, passed) = B::fused(input.into_primitive(), plain, kind);
                (prepared.finish(passed, output), moments)
            }
            OpsKind::UnTracked(prepared) => {
                let (output, moments, _) = B::fused(input.into_primitive(), plain, kind);
                (prepared.finish(output), moments)
            }
        };
        (output, <FloatTensor<Self>>::new(moments))
    }
}

#[cfg(feature = "flex")]
mod block;
#[cfg(feature = "flex")]
mod filter;
#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "flex")]
mod gate;
#[cfg(feature = "flex")]
mod gradient;
#[cfg(feature = "flex")]
mod laned;
#[cfg(feature = "flex")]
mod norm;
#[cfg(feature = "flex")]
mod rows;
#[cfg(test)]
mod tests;
