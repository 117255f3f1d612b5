use super::dense_conv2d;
use crate::testing::Draw;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{FloatDType, Tensor, TensorData, Tolerance};

/// Sizes of a convolution: (batch, in, out, height, width, k, stride).
type Shape = (usize, usize, usize, usize, usize, usize, usize);

/// Output, and gradients of input and weight.
fn run((n, ci, co, h, w, k, stride): Shape, own: bool) -> [TensorData; 3] {
    let mut draw = Draw::new(4);
    let mut draw = |sizes: [usize; 4]| Tensor::from_inner(draw.normal(sizes, 0.0, 1.0));
    let (x, weight) = (draw([n, ci, h, w]).require_grad(), draw([co, ci, k, k]).require_grad());
    let y = match own {
        true => dense_conv2d(x.clone(), weight.clone(), stride),
        false => conv2d(x.clone(), weight.clone(), None, ConvOptions::new([stride; 2], [k / 2; 2], [1; 2], 1)),
    };
    let gradients = (y.clone() * draw(y.dims())).sum().backward();
    [y.into_data(), x.grad(&gradients).unwrap().into_data(), weight.grad(&gradients).unwrap().into_data()]
}

/// Batches, channels and sizes that fill no block, more images than one partial sum takes, and more rows of pixels than
/// a matrix of windows has.
const SHAPES: [Shape; 12] = [
    (1, 1, 1, 1, 1, 3, 1),
    (2, 3, 16, 28, 28, 3, 2),
    (3, 1, 8, 13, 9, 3, 1),
    (1, 2, 5, 3, 2, 7, 2),
    (1, 3, 16, 64, 63, 3, 2),
    (17, 4, 3, 6, 7, 5, 2),
    (2, 5, 7, 9, 8, 3, 2),
    (1, 3, 4, 10, 11, 3, 3),
    (9, 12, 10, 7, 7, 3, 1),
    (2, 6, 33, 30, 29, 3, 1),
    (1, 5, 3, 1, 1, 5, 2),
    (1, 7, 6, 12, 300, 3, 1),
];

#[test]
fn values_and_gradients_are_those_of_burn() {
    for shape in SHAPES {
        for (found, expected) in run(shape, true).iter().zip(run(shape, false)) {
            // Sums of up to 3,600 products of order one, in another order.
            found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(5e-4));
        }
    }
}

/// With few channels, burn sums over the taps one by one, as we do.
#[test]
fn few_channels_have_the_values_of_burn_to_the_last_bit() {
    for shape in &SHAPES[..6] {
        assert_eq!(run(*shape, true)[0], run(*shape, false)[0], "{shape:?}");
    }
}

#[test]
fn many_outputs_agree_but_for_rounding() {
    for (found, expected) in run((2, 3, 40, 21, 20, 3, 2), true).iter().zip(run((2, 3, 40, 21, 20, 3, 2), false)) {
        found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(2e-4));
    }
}

#[test]
fn other_float_types_are_those_of_burn() {
    let mut draw = Draw::new(5);
    let (x, weight) = (draw.normal([1, 3, 6, 5], 0.0, 1.0), draw.normal([4, 3, 3, 3], 0.0, 1.0));
    let double = dense_conv2d(x.clone().cast(FloatDType::F64), weight.clone().cast(FloatDType::F64), 2);
    let single = dense_conv2d(x, weight, 2).into_data();
    double.cast(FloatDType::F32).into_data().assert_approx_eq::<f32>(&single, Tolerance::absolute(1e-5));
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| [(1, 3, 16, 40, 40, 3, 2), (9, 8, 30, 20, 20, 3, 1)].map(|shape| run(shape, true)))
    };
    assert_eq!(in_pool(1), in_pool(3));
}
