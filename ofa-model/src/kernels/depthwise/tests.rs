use super::{depthwise_conv2d, general};
use crate::kernels::plain::{contiguous, numbers, tensor};
use crate::testing::Draw;
use burn::backend::Flex;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData, Tolerance};

/// (batch, channels, height, width, kernel size, stride): maps smaller than the kernel, odd sizes, one image.
const SHAPES: [(usize, usize, usize, usize, usize, usize); 12] = [
    (1, 1, 1, 1, 3, 1),
    (1, 3, 1, 1, 7, 1),
    (2, 3, 2, 3, 7, 1),
    (2, 5, 7, 7, 7, 1),
    (3, 2, 14, 14, 5, 1),
    (2, 4, 28, 17, 3, 1),
    (1, 2, 1, 1, 3, 2),
    (2, 3, 5, 7, 3, 2),
    (2, 3, 6, 8, 5, 2),
    (1, 2, 14, 13, 7, 2),
    (2, 2, 28, 28, 7, 2),
    (1, 2, 9, 9, 3, 3),
];

fn run(shape: (usize, usize, usize, usize, usize, usize), own: bool) -> [TensorData; 3] {
    let (n, c, h, w, k, stride) = shape;
    let mut draw = Draw::new(7);
    let (x, weight) = (draw.normal([n, c, h, w], 0.0, 1.0), draw.normal([c, 1, k, k], 0.0, 1.0));
    let direction = draw.normal([n, c, h.div_ceil(stride), w.div_ceil(stride)], 0.0, 1.0);
    let [x, weight] = [x, weight].map(|t| Tensor::from_inner(t).require_grad());
    let options = ConvOptions::new([stride; 2], [k / 2; 2], [1; 2], c);
    let y = match own {
        true => depthwise_conv2d(x.clone(), weight.clone(), stride),
        false => conv2d(x.clone(), weight.clone(), None, options),
    };
    let gradients = (y.clone() * Tensor::from_inner(direction)).sum().backward();
    [y.into_data(), x.grad(&gradients).unwrap().into_data(), weight.grad(&gradients).unwrap().into_data()]
}

#[test]
fn values_and_gradients_are_those_of_the_general_convolution() {
    for shape in SHAPES {
        for (found, expected) in run(shape, true).iter().zip(run(shape, false)) {
            // Sums of up to a few hundred products of order one, in another order.
            found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(2e-4));
        }
    }
}

#[test]
fn the_gradient_of_the_weight_is_one_convolution() {
    let mut draw = Draw::new(7);
    for (n, c, h, w, k, stride) in SHAPES {
        let input = tensor(draw.numbers(n * c * h * w), [n, c, h, w]);
        let weight = tensor(draw.numbers(c * k * k), [c, 1, k, k]);
        let (height, width) = (h.div_ceil(stride), w.div_ceil(stride));
        let gradient = tensor(draw.numbers(n * c * height * width), [n, c, height, width]);
        let [found, expected] =
            [general::weight_gradient_by_plane::<Flex>, general::weight_gradient::<Flex>].map(|of| -> Vec<f32> {
                numbers(&contiguous(of(input.clone(), weight.clone(), gradient.clone(), stride))).to_vec()
            });
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 2e-4, "{n} {c} {h} {w} {k} {stride}: {found} {expected}");
        }
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    for shape in [(4, 6, 14, 14, 7, 1), (4, 6, 13, 13, 5, 2)] {
        let in_pool = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(shape, true))
        };
        assert_eq!(in_pool(1), in_pool(2));
    }
}

#[test]
fn strided_inputs_are_read_right() {
    let mut draw = Draw::new(1);
    let x = draw.normal([2, 6, 5, 3], 0.0, 1.0).swap_dims(2, 3);
    let weight = draw.normal([6, 1, 3, 3], 0.0, 1.0);
    let part = weight.slice([0..4, 0..1]);
    let x = x.slice([0..2, 0..4]);
    let expected = conv2d(x.clone(), part.clone(), None, ConvOptions::new([1; 2], [1; 2], [1; 2], 4));
    let found = depthwise_conv2d(x, part, 1);
    found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
}
