//! Steps of the ops in terms of burn's own, for any backend.

use super::Activation;
use burn::backend::{Backend, DType, TensorMetadata, tensor::FloatTensor};
use burn::tensor::{Shape, ops::ConvOptions};

/// Sizes of `[batch, channels, height, width]`.
pub(super) fn sizes<B: Backend>(tensor: &FloatTensor<B>) -> [usize; 4] {
    let shape = tensor.shape();
    std::array::from_fn(|dim| shape[dim])
}

/// Options of a convolution with a kernel `[out, in / groups, k, k]`, padded by half the kernel size.
pub(super) fn convolution<B: Backend>(weight: &FloatTensor<B>, stride: usize, groups: usize) -> ConvOptions<2> {
    ConvOptions::new([stride; 2], [weight.shape()[2] / 2; 2], [1; 2], groups)
}

/// Converts 16-bit floats to `f32`, so sums over many pixels keep their precision; leaves other types as they are.
pub(super) fn widened<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    let is_half = matches!(tensor.dtype(), DType::F16 | DType::BF16);
    if is_half { in_format::<B>(tensor, DType::F32) } else { tensor }
}

/// Converts a float tensor to another float format.
pub(super) fn in_format<B: Backend>(tensor: FloatTensor<B>, format: DType) -> FloatTensor<B> {
    if tensor.dtype() == format { tensor } else { B::float_cast(tensor, format.into()) }
}

/// `[channels]` as `[1, channels, 1, 1]`.
pub(super) fn by_channel<B: Backend>(vector: FloatTensor<B>) -> FloatTensor<B> {
    let channels = vector.shape()[0];
    B::float_reshape(vector, Shape::from([1, channels, 1, 1]))
}

pub(super) fn activate<B: Backend>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    match activation {
        Activation::Identity => x,
        Activation::Relu => B::relu(x),
        Activation::Relu6 => B::float_clamp(x, 0.0.into(), 6.0.into()),
        Activation::HardSwish => B::float_mul(x.clone(), hard_sigmoid::<B>(x)),
    }
}

/// `relu6(x + 3) / 6`
pub(super) fn hard_sigmoid<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
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
            B::float_add(B::float_mul(gradient, hard_sigmoid::<B>(pre)), slope)
        }
    }
}

/// `gradient` where `low < x < high`, 0 elsewhere.
pub(super) fn between<B: Backend>(x: FloatTensor<B>, low: f64, high: f64, gradient: FloatTensor<B>) -> FloatTensor<B> {
    let above = B::relu(B::float_add_scalar(x.clone(), (-low).into()));
    let below = B::relu(B::float_add_scalar(B::float_neg(x), high.into()));
    B::relu_backward(above, B::relu_backward(below, gradient))
}
