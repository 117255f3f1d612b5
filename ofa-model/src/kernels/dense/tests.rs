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

/// Burn sums over the taps of few channels one by one, as here; records that go on with a later revision depend on it.
#[test]
fn images_have_the_values_and_gradients_of_burn_to_the_last_bit() {
    let shapes: [Shape; 6] = [
        (1, 1, 1, 1, 1, 3, 1),
        (2, 3, 16, 28, 28, 3, 2),
        (3, 1, 8, 13, 9, 3, 1),
        (1, 2, 5, 3, 2, 7, 2),
        (1, 3, 16, 64, 63, 3, 2),
        (17, 4, 3, 6, 7, 5, 2),
    ];
    for shape in shapes {
        assert_eq!(run(shape, true), run(shape, false), "{shape:?}");
    }
}

#[test]
fn many_outputs_agree_but_for_rounding() {
    for (found, expected) in run((2, 3, 40, 21, 20, 3, 2), true).iter().zip(run((2, 3, 40, 21, 20, 3, 2), false)) {
        found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(2e-4));
    }
}

#[test]
fn many_channels_other_strides_and_other_float_types_are_those_of_burn() {
    for shape in [(2, 5, 7, 9, 8, 3, 2), (1, 3, 4, 10, 11, 3, 3)] {
        assert_eq!(run(shape, true), run(shape, false), "{shape:?}");
    }
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
        pool.install(|| run((1, 3, 16, 40, 40, 3, 2), true))
    };
    assert_eq!(in_pool(1), in_pool(3));
}
