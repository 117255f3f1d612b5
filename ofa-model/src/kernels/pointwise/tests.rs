use super::pointwise_conv2d;
use crate::testing::Draw;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{FloatDType, Tensor, TensorData, Tolerance};

/// (batch, in, out, height, width): channels and pixels that fill no vector, one image, more images than a partial sum.
const SHAPES: [(usize, usize, usize, usize, usize); 6] =
    [(1, 1, 1, 1, 1), (2, 3, 5, 2, 3), (1, 8, 24, 7, 7), (9, 7, 9, 5, 5), (17, 16, 8, 10, 10), (3, 12, 18, 14, 14)];

fn run((n, ci, co, h, w): (usize, usize, usize, usize, usize), own: bool) -> [TensorData; 3] {
    let mut draw = Draw::new(5);
    let mut draw = |sizes: [usize; 4]| draw.normal(sizes, 0.0, 1.0);
    let [x, weight] = [draw([n, ci, h, w]), draw([co, ci, 1, 1])].map(|t| Tensor::from_inner(t).require_grad());
    let direction = Tensor::from_inner(draw([n, co, h, w]));
    let y = match own {
        true => pointwise_conv2d(x.clone(), weight.clone()),
        false => conv2d(x.clone(), weight.clone(), None, ConvOptions::new([1; 2], [0; 2], [1; 2], 1)),
    };
    let gradients = (y.clone() * direction).sum().backward();
    [y.into_data(), x.grad(&gradients).unwrap().into_data(), weight.grad(&gradients).unwrap().into_data()]
}

#[test]
fn values_and_gradients_are_those_of_the_general_convolution() {
    for shape in SHAPES {
        for (found, expected) in run(shape, true).iter().zip(run(shape, false)) {
            // Sums of up to 1,700 products of order one, in another order.
            found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(5e-4));
        }
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run((33, 8, 24, 7, 7), true))
    };
    assert_eq!(in_pool(1), in_pool(2));
}

#[test]
fn strided_inputs_are_read_right() {
    let mut draw = Draw::new(1);
    let x = draw.normal([2, 6, 5, 3], 0.0, 1.0).swap_dims(2, 3);
    let weight = draw.normal([7, 8, 1, 1], 0.0, 1.0).slice([0..5, 0..6]);
    let expected = conv2d(x.clone(), weight.clone(), None, ConvOptions::new([1; 2], [0; 2], [1; 2], 1));
    pointwise_conv2d(x, weight).into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
}

/// Float types the SIMD kernels do not support use the composed op, which computes the weight gradient in one of two
/// ways.
#[test]
fn few_and_many_pixels_have_the_weight_gradient_of_the_general_convolution() {
    let mut draw = Draw::new(6);
    for (channels, out, side) in [(40, 30, 2), (5, 6, 7)] {
        let mut draw = |sizes: [usize; 4]| Tensor::from_inner(draw.normal(sizes, 0.0, 1.0).cast(FloatDType::F64));
        let (x, direction) = (draw([3, channels, side, side]), draw([3, out, side, side]));
        let weight = draw([out, channels, 1, 1]).require_grad();
        let gradient = |y: Tensor<4>| weight.grad(&(y * direction.clone()).sum().backward()).unwrap().into_data();
        let options = ConvOptions::new([1; 2], [0; 2], [1; 2], 1);
        let expected = gradient(conv2d(x.clone(), weight.clone(), None, options));
        let found = gradient(pointwise_conv2d(x.clone(), weight.clone()));
        found.assert_approx_eq::<f64>(&expected, Tolerance::absolute(1e-9));
    }
}
