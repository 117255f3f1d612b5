use super::{dense_conv2d_affine, depthwise_conv2d_affine, pointwise_conv2d_affine};
use crate::Activation;
use crate::kernels::{batch_norm_inference, dense_conv2d, depthwise_conv2d, pointwise_conv2d};
use crate::testing::Draw;
use burn::tensor::{FloatDType, Tensor, Tolerance};

const ACTIVATIONS: [Activation; 4] = [Activation::Identity, Activation::Relu, Activation::Relu6, Activation::HardSwish];

/// `activation(x * scale + shift)`, computed by a batch norm with mean 0 and variance 1.
fn affine(x: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>, activation: Activation) -> Tensor<4> {
    let (mean, variance) = (scale.zeros_like(), scale.ones_like());
    batch_norm_inference(x, scale, shift, mean, variance, 0.0, activation)
}

/// Checks that the fused op equals the plain op followed by [`affine`], for every activation.
fn has_the_bits_of_two_ops(
    what: &str,
    [input, weight]: [[usize; 4]; 2],
    fused: impl Fn(Tensor<4>, Tensor<4>, Tensor<1>, Tensor<1>, Activation) -> Tensor<4>,
    op: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<4>,
) {
    let (mut draw, [out, ..]) = (Draw::new(2), weight);
    let (x, kernel) = (draw.normal(input, 0.0, 1.0), draw.normal(weight, 0.0, 1.0));
    let (scale, shift) = (draw.normal([out], 1.0, 0.5), draw.normal([out], 0.0, 3.0));
    for activation in ACTIVATIONS {
        let (scale, shift) = (scale.clone(), shift.clone());
        let expected = affine(op(x.clone(), kernel.clone()), scale.clone(), shift.clone(), activation);
        let found = fused(x.clone(), kernel.clone(), scale, shift, activation);
        assert_eq!(found.into_data(), expected.into_data(), "{what} of {input:?} by {weight:?}, {activation}");
    }
}

/// Channels, outputs and pixels that fill no block of the kernels; batches too small to give every thread an image.
#[test]
fn pointwise_convolutions_are_those_of_two_ops_to_the_last_bit() {
    for (n, input, out, h, w) in [(1, 1, 1, 1, 1), (1, 96, 50, 17, 16), (3, 5, 7, 5, 5), (17, 16, 24, 7, 7)] {
        let sizes = [[n, input, h, w], [out, input, 1, 1]];
        has_the_bits_of_two_ops("1x1 convolution", sizes, pointwise_conv2d_affine, pointwise_conv2d);
    }
}

#[test]
fn depthwise_convolutions_are_those_of_two_ops_to_the_last_bit() {
    // The kernels do not support the stride of the last one.
    for (n, c, h, w, k, stride) in [(1, 1, 1, 1, 3, 1), (2, 3, 9, 7, 5, 1), (1, 4, 14, 13, 7, 2), (1, 2, 9, 8, 3, 3)] {
        has_the_bits_of_two_ops(
            &format!("depthwise convolution, stride {stride},"),
            [[n, c, h, w], [c, 1, k, k]],
            |x, weight, scale, shift, activation| depthwise_conv2d_affine(x, weight, stride, scale, shift, activation),
            |x, weight| depthwise_conv2d(x, weight, stride),
        );
    }
}

#[test]
fn dense_convolutions_are_those_of_two_ops_to_the_last_bit() {
    // The last one has more channels than the image kernel accepts.
    for (n, c, h, w, k, stride) in [(1, 1, 1, 1, 3, 1), (2, 3, 9, 7, 5, 1), (1, 3, 34, 33, 3, 2), (1, 5, 9, 8, 3, 2)] {
        has_the_bits_of_two_ops(
            &format!("dense convolution, stride {stride},"),
            [[n, c, h, w], [9, c, k, k]],
            |x, weight, scale, shift, activation| dense_conv2d_affine(x, weight, stride, scale, shift, activation),
            |x, weight| dense_conv2d(x, weight, stride),
        );
    }
}

#[test]
fn other_float_types_and_gradients_take_the_composed_op() {
    let mut draw = Draw::new(3);
    let mut draw = |sizes: [usize; 4]| Tensor::from_inner(draw.normal(sizes, 0.3, 1.0).cast(FloatDType::F64));
    let (x, weight) = (draw([2, 4, 5, 5]).require_grad(), draw([6, 4, 1, 1]).require_grad());
    let [scale, shift] = [draw([6, 1, 1, 1]), draw([6, 1, 1, 1])].map(|vector: Tensor<4>| vector.flatten::<1>(0, 3));
    let gradients = |y: Tensor<4>| {
        let gradients = y.sum().backward();
        [&x, &weight].map(|tensor| tensor.grad(&gradients).unwrap().into_data())
    };
    let (activation, two_ops) = (Activation::HardSwish, pointwise_conv2d(x.clone(), weight.clone()));
    let expected = gradients(affine(two_ops, scale.clone(), shift.clone(), activation));
    let found = gradients(pointwise_conv2d_affine(x.clone(), weight.clone(), scale, shift, activation));
    for (found, expected) in found.iter().zip(&expected) {
        found.assert_approx_eq::<f64>(expected, Tolerance::absolute(1e-12));
    }
}
