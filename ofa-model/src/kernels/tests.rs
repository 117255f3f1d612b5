//! The ops on float types the SIMD kernels do not support: the composed defaults, as on every other backend.

use super::*;
use crate::testing::Draw;
use burn::tensor::{FloatDType, Tensor, TensorData, Tolerance};

/// The output of an op and the gradients of its input and first weight, in the given float type.
fn run(
    op: impl Fn(Tensor<4>, Tensor<4>, &mut Typed) -> Tensor<4>,
    weight: [usize; 4],
    dtype: FloatDType,
) -> Vec<TensorData> {
    let mut draw = Typed(Draw::new(3), dtype);
    let (x, weight) = (draw.normal([3, 4, 6, 5]).require_grad(), draw.normal(weight).require_grad());
    let y = op(x.clone(), weight.clone(), &mut draw);
    let direction = draw.normal(y.dims());
    let gradients = (y.clone() * direction).sum().backward();
    let gradients = [x, weight].into_iter().filter_map(|tensor| tensor.grad(&gradients));
    let outputs = std::iter::once(y.inner()).chain(gradients);
    outputs.map(|tensor| tensor.cast(FloatDType::F32).into_data()).collect()
}

/// Draws tensors of one float type.
struct Typed(Draw, FloatDType);

impl Typed {
    fn normal<const D: usize>(&mut self, sizes: [usize; D]) -> Tensor<D> {
        Tensor::from_inner(self.0.normal(sizes, 0.3, 1.0).cast(self.1))
    }
}

fn both_types_agree(op: impl Fn(Tensor<4>, Tensor<4>, &mut Typed) -> Tensor<4>, weight: [usize; 4], tensors: usize) {
    let (single, double) = (run(&op, weight, FloatDType::F32), run(&op, weight, FloatDType::F64));
    assert_eq!((single.len(), double.len()), (tensors, tensors));
    for (single, double) in single.iter().zip(&double) {
        single.assert_approx_eq::<f32>(double, Tolerance::rel_abs(1e-4, 1e-4));
    }
}

#[test]
fn depthwise_convolutions_of_both_types_agree() {
    both_types_agree(|x, weight, _| depthwise_conv2d(x, weight, 2), [4, 1, 5, 5], 3);
}

#[test]
fn pointwise_convolutions_of_both_types_agree() {
    both_types_agree(|x, weight, _| pointwise_conv2d(x, weight), [7, 4, 1, 1], 3);
}

#[test]
fn batch_norms_of_both_types_agree() {
    for activation in [Activation::Identity, Activation::Relu, Activation::Relu6, Activation::HardSwish] {
        let train = |x: Tensor<4>, weight: Tensor<4>, draw: &mut Typed| {
            batch_norm_train(x, weight.reshape([4]), draw.normal([4]), 1e-5, activation).output
        };
        both_types_agree(train, [4, 1, 1, 1], 3);
        let inference = |x: Tensor<4>, weight: Tensor<4>, draw: &mut Typed| {
            let (beta, mean, variance) = (draw.normal([4]), draw.normal([4]), draw.normal([4]).abs());
            batch_norm_inference(x, weight.reshape([4]), beta, mean, variance, 1e-3, activation)
        };
        both_types_agree(inference, [4, 1, 1, 1], 3);
    }
}

#[test]
fn squeeze_and_excitation_of_both_types_agrees() {
    let gated = |x: Tensor<4>, weight: Tensor<4>, draw: &mut Typed| {
        let (reduce_bias, expand, expand_bias) = (draw.normal([6]), draw.normal([4, 6]), draw.normal([4]));
        squeeze_excite(x, GateWeights { reduce: weight.reshape([6, 4]), reduce_bias, expand, expand_bias })
    };
    both_types_agree(gated, [6, 4, 1, 1], 3);
    let pooled = |x: Tensor<4>, weight: Tensor<4>, _: &mut Typed| global_average_pool(x).reshape([3, 4, 1, 1]) * weight;
    both_types_agree(pooled, [1, 4, 1, 1], 3);
}
