//! Squeeze-and-excitation as one op, and the global average pooling it starts with.

use super::composed;
use super::matmul::{MatmulBackend, transposed};
use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension, tensor::FloatTensor};
use burn::tensor::{Shape, Tensor};

/// Mean over the pixels: `[batch, channels, height, width]` to `[batch, channels]`.
pub fn global_average_pool(input: Tensor<4>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::plane_means(input.into_dispatch()))
}

/// Scales each plane: `[batch, channels, height, width]` by `[batch, channels]`.
pub fn scale_planes(input: Tensor<4>, scale: Tensor<2>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::plane_scale(input.into_dispatch(), scale.into_dispatch()))
}

/// Weights of the two layers that turn channel means into gates.
pub struct GateWeights {
    /// `[squeezed, channels]`.
    pub reduce: Tensor<2>,
    /// `[squeezed]`.
    pub reduce_bias: Tensor<1>,
    /// `[channels, squeezed]`.
    pub expand: Tensor<2>,
    /// `[channels]`.
    pub expand_bias: Tensor<1>,
}

/// Scales each channel of each image of `[batch, channels, height, width]` by a gate:
/// `hard_sigmoid(expand * relu(reduce * means + reduce_bias) + expand_bias)`.
pub fn squeeze_excite(input: Tensor<4>, weights: GateWeights) -> Tensor<4> {
    let GateWeights { reduce, reduce_bias, expand, expand_bias } = weights;
    Tensor::from_dispatch(Dispatch::gated(
        input.into_dispatch(),
        reduce.into_dispatch(),
        reduce_bias.into_dispatch(),
        expand.into_dispatch(),
        expand_bias.into_dispatch(),
    ))
}

/// The primitive ops behind the two functions, with a default for every backend.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(feature = "gpu")
)]
pub trait PlaneBackend: Backend + MatmulBackend {
    /// Mean over the pixels, `[batch, channels]`.
    fn plane_means(input: FloatTensor<Self>) -> FloatTensor<Self> {
        general::means::<Self>(input)
    }

    /// Sum over the pixels of the product of two tensors, `[batch, channels]`.
    fn plane_dots(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
        general::dots::<Self>(a, b)
    }

    /// `input * scale`, with scale `[batch, channels]`.
    fn plane_scale(input: FloatTensor<Self>, scale: FloatTensor<Self>) -> FloatTensor<Self> {
        general::scale::<Self>(input, scale)
    }

    /// `input * scale + shift`, with scale and shift `[batch, channels]`.
    fn plane_affine(input: FloatTensor<Self>, scale: FloatTensor<Self>, shift: FloatTensor<Self>) -> FloatTensor<Self> {
        general::affine::<Self>(input, scale, shift)
    }

    /// The gated input, in the shape of the input.
    fn gated(
        input: FloatTensor<Self>,
        reduce: FloatTensor<Self>,
        reduce_bias: FloatTensor<Self>,
        expand: FloatTensor<Self>,
        expand_bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let gate = Gate::<Self>::of(input.clone(), &reduce, reduce_bias, &expand, expand_bias);
        Self::plane_scale(input, gate.value)
    }
}

#[cfg(feature = "tch")]
impl PlaneBackend for burn::backend::LibTorch {}
#[cfg(feature = "gpu")]
impl PlaneBackend for burn::backend::Cube {}

/// The ops in terms of burn's own.
mod general {
    use super::{Backend, FloatTensor, Shape, TensorMetadata, composed};

    pub(super) fn means<B: Backend>(input: FloatTensor<B>) -> FloatTensor<B> {
        let [batch, channels, height, width] = composed::sizes::<B>(&input);
        let rows = B::float_reshape(input, Shape::from([batch * channels, height * width]));
        B::float_reshape(B::float_mean_dim(rows, 1), Shape::from([batch, channels]))
    }

    pub(super) fn dots<B: Backend>(a: FloatTensor<B>, b: FloatTensor<B>) -> FloatTensor<B> {
        let [batch, channels, height, width] = composed::sizes::<B>(&a);
        let products = B::float_reshape(B::float_mul(a, b), Shape::from([batch * channels, height * width]));
        B::float_reshape(B::float_sum_dim(products, 1), Shape::from([batch, channels]))
    }

    pub(super) fn scale<B: Backend>(input: FloatTensor<B>, scale: FloatTensor<B>) -> FloatTensor<B> {
        B::float_mul(input, planes::<B>(scale))
    }

    pub(super) fn affine<B: Backend>(
        input: FloatTensor<B>,
        scale: FloatTensor<B>,
        shift: FloatTensor<B>,
    ) -> FloatTensor<B> {
        B::float_add(self::scale::<B>(input, scale), planes::<B>(shift))
    }

    /// `[batch, channels]` as `[batch, channels, 1, 1]`.
    pub(super) fn planes<B: Backend>(matrix: FloatTensor<B>) -> FloatTensor<B> {
        let [batch, channels] = [matrix.shape()[0], matrix.shape()[1]];
        B::float_reshape(matrix, Shape::from([batch, channels, 1, 1]))
    }
}

/// The gate and what its gradient needs, one row per image.
#[derive(Clone, Debug)]
struct Gate<B: Backend> {
    /// `[batch, channels]`.
    means: FloatTensor<B>,
    /// `[batch, squeezed]`, after the ReLU.
    squeezed: FloatTensor<B>,
    /// `[batch, channels]`, before the hard sigmoid.
    pre: FloatTensor<B>,
    /// `[batch, channels]`.
    value: FloatTensor<B>,
}

impl<B: PlaneBackend> Gate<B> {
    fn of(
        input: FloatTensor<B>,
        reduce: &FloatTensor<B>,
        reduce_bias: FloatTensor<B>,
        expand: &FloatTensor<B>,
        expand_bias: FloatTensor<B>,
    ) -> Self {
        let means = B::plane_means(input);
        let squeezed = B::relu(linear::<B>(means.clone(), reduce, reduce_bias));
        let pre = linear::<B>(squeezed.clone(), expand, expand_bias);
        Self { means, squeezed, value: composed::hard_sigmoid::<B>(pre.clone()), pre }
    }

    /// Gradients of the input, the two weights and their biases, in the order of [`PlaneBackend::gated`].
    fn backward(
        self,
        input: FloatTensor<B>,
        reduce: FloatTensor<B>,
        expand: FloatTensor<B>,
        output_gradient: FloatTensor<B>,
    ) -> [FloatTensor<B>; 5] {
        let [_, _, height, width] = composed::sizes::<B>(&input);
        let slope = B::float_mul_scalar(B::plane_dots(input, output_gradient.clone()), (1.0 / 6.0).into());
        let pre = composed::between::<B>(self.pre, -3.0, 3.0, slope);
        let expand_gradient = B::matrix_product(transposed::<B>(pre.clone()), self.squeezed.clone());
        let squeezed = B::relu_backward(self.squeezed, B::matrix_product(pre.clone(), expand));
        let reduce_gradient = B::matrix_product(transposed::<B>(squeezed.clone()), self.means);
        let means = B::matrix_product(squeezed.clone(), reduce);
        let shift = B::float_div_scalar(means, ((height * width) as f64).into());
        let input_gradient = B::plane_affine(output_gradient, self.value, shift);
        [input_gradient, reduce_gradient, column_sums::<B>(squeezed), expand_gradient, column_sums::<B>(pre)]
    }
}

/// `x * weight^T + bias`
fn linear<B: MatmulBackend>(x: FloatTensor<B>, weight: &FloatTensor<B>, bias: FloatTensor<B>) -> FloatTensor<B> {
    let bias_row = Shape::from([1, bias.shape()[0]]);
    B::float_add(B::matrix_product(x, transposed::<B>(weight.clone())), B::float_reshape(bias, bias_row))
}

/// Sums over the images, in order: burn's own order depends on the memory layout.
fn column_sums<B: MatmulBackend>(matrix: FloatTensor<B>) -> FloatTensor<B> {
    let (images, columns) = (matrix.shape()[0], matrix.shape()[1]);
    let ones = B::float_ones(Shape::from([1, images]), &matrix.device(), matrix.dtype().into());
    B::float_reshape(B::matrix_product(ones, matrix), Shape::from([columns]))
}

impl<B: PlaneBackend, C: CheckpointStrategy> PlaneBackend for Autodiff<B, C> {
    fn plane_means(input: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct MeansBackward;
        impl<B: PlaneBackend> Backward<B, 1> for MeansBackward {
            type State = [usize; 4];
            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let gradient = gradients.consume::<B>(&ops.node);
                let [_, _, height, width] = ops.state;
                if let [Some(node)] = ops.parents {
                    let share = B::float_div_scalar(gradient, ((height * width) as f64).into());
                    gradients
                        .register::<B>(node.id, B::float_expand(general::planes::<B>(share), Shape::from(ops.state)));
                }
            }
        }
        match MeansBackward.prepare::<C>([input.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let state = composed::sizes::<Self>(&input);
                prepared.finish(state, B::plane_means(input.into_primitive()))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::plane_means(input.into_primitive())),
        }
    }

    fn gated(
        input: FloatTensor<Self>,
        reduce: FloatTensor<Self>,
        reduce_bias: FloatTensor<Self>,
        expand: FloatTensor<Self>,
        expand_bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct GatedBackward;
        impl<B: PlaneBackend> Backward<B, 5> for GatedBackward {
            type State = ([NodeId; 3], Gate<B>);
            fn backward(self, ops: Ops<Self::State, 5>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
                let output_gradient = gradients.consume::<B>(&ops.node);
                let (saved, gate) = ops.state;
                let [input, reduce, expand] = saved.map(|node| checkpointer.retrieve_node_output(node));
                let found = gate.backward(input, reduce, expand, output_gradient);
                for (parent, gradient) in ops.parents.into_iter().zip(found) {
                    if let Some(node) = parent {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        let nodes = [&input, &reduce, &reduce_bias, &expand, &expand_bias].map(|tensor| tensor.node());
        match GatedBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let saved = [&input, &reduce, &expand].map(|tensor| prepared.checkpoint(tensor));
                let input = input.into_primitive();
                let gate = Gate::<B>::of(
                    input.clone(),
                    &reduce.into_primitive(),
                    reduce_bias.into_primitive(),
                    &expand.into_primitive(),
                    expand_bias.into_primitive(),
                );
                let output = B::plane_scale(input, gate.value.clone());
                prepared.finish((saved, gate), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::gated(
                input.into_primitive(),
                reduce.into_primitive(),
                reduce_bias.into_primitive(),
                expand.into_primitive(),
                expand_bias.into_primitive(),
            )),
        }
    }

    fn plane_scale(input: FloatTensor<Self>, scale: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct ScaleBackward;
        impl<B: PlaneBackend> Backward<B, 2> for ScaleBackward {
            type State = [NodeId; 2];
            fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
                let output_gradient = gradients.consume::<B>(&ops.node);
                let [input, scale]: [FloatTensor<B>; 2] = ops.state.map(|node| checkpointer.retrieve_node_output(node));
                let [input_node, scale_node] = ops.parents;
                if let Some(node) = scale_node {
                    gradients.register::<B>(node.id, B::plane_dots(input, output_gradient.clone()));
                }
                if let Some(node) = input_node {
                    gradients.register::<B>(node.id, B::plane_scale(output_gradient, scale));
                }
            }
        }
        match ScaleBackward.prepare::<C>([input.node(), scale.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let state = [&input, &scale].map(|tensor| prepared.checkpoint(tensor));
                prepared.finish(state, B::plane_scale(input.into_primitive(), scale.into_primitive()))
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::plane_scale(input.into_primitive(), scale.into_primitive()))
            }
        }
    }

    // The other ops need no nodes of their own: their default bodies consist of differentiable ops.
}

#[cfg(feature = "flex")]
mod flex;
#[cfg(test)]
mod tests;
