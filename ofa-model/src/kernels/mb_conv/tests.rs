use super::{Activation, ConvWeights, MbConvKind, MbConvTrain, MbConvWeights, mb_conv_train};
use crate::kernels::{GateWeights, batch_norm_train, depthwise_conv2d, pointwise_conv2d, squeeze_excite};
use crate::testing::Draw;
use burn::tensor::{Tensor, TensorData};

/// A block to test.
#[derive(Clone, Copy, Debug)]
struct Case {
    batch: usize,
    /// Input, middle, squeezed and output channels; 0 for absent layers.
    channels: [usize; 4],
    size: [usize; 2],
    kernel_size: usize,
    stride: usize,
    activation: Activation,
}

const CASES: [Case; 8] = {
    use Activation::{HardSwish, Identity, Relu, Relu6};
    const fn case(
        batch: usize,
        channels: [usize; 4],
        size: [usize; 2],
        filter: [usize; 2],
        activation: Activation,
    ) -> Case {
        Case { batch, channels, size, kernel_size: filter[0], stride: filter[1], activation }
    }
    [
        case(1, [1, 0, 0, 1], [1, 1], [3, 1], Identity),
        case(2, [3, 5, 0, 3], [2, 3], [3, 1], Relu),
        case(17, [4, 7, 2, 4], [5, 4], [5, 1], HardSwish),
        case(33, [2, 9, 3, 6], [7, 7], [7, 2], HardSwish),
        case(16, [5, 0, 0, 5], [6, 6], [3, 2], Relu6),
        case(5, [6, 13, 0, 6], [14, 13], [7, 1], Relu6),
        case(3, [4, 8, 4, 4], [1, 1], [7, 1], HardSwish),
        case(20, [3, 6, 0, 2], [9, 20], [5, 2], Relu),
    ]
};

/// The block composed of its individual ops.
fn op_by_op(input: Tensor<4>, weights: MbConvWeights, kind: MbConvKind) -> MbConvTrain {
    let mut moments = Vec::new();
    let mut normalised = |x: Tensor<4>, (_, gamma, beta): ConvWeights, activation| {
        let passed = batch_norm_train(x, gamma, beta, kind.epsilon, activation);
        moments.push(Tensor::stack::<2>(vec![passed.mean, passed.variance], 0));
        passed.output
    };
    let mut x = input.clone();
    if let Some(layer) = weights.expand {
        x = normalised(pointwise_conv2d(x, layer.0.clone()), layer, kind.activation);
    }
    let layer = weights.depthwise;
    x = normalised(depthwise_conv2d(x, layer.0.clone(), kind.stride), layer, kind.activation);
    if let Some(gate) = weights.gate {
        x = squeeze_excite(x, gate);
    }
    let layer = weights.project;
    x = normalised(pointwise_conv2d(x, layer.0.clone()), layer, Activation::Identity);
    let output = if kind.residual { x + input } else { x };
    MbConvTrain { output, moments: Tensor::cat(moments, 1) }
}

/// Output, moments and the gradients of input and weights.
fn run(case: Case, block: impl Fn(Tensor<4>, MbConvWeights, MbConvKind) -> MbConvTrain) -> Vec<TensorData> {
    let Case { batch, channels: [input, expanded, squeezed, output], size: [height, width], kernel_size, .. } = case;
    let middle = if expanded > 0 { expanded } else { input };
    let mut draw = Draw::new(11);
    let mut leaves: Vec<Tensor<1>> = Vec::new();
    let mut leaf = |length: usize, mean: f32| {
        leaves.push(Tensor::from_inner(draw.normal([length], mean, 1.0)).require_grad());
        leaves.last().unwrap().clone()
    };
    let mut layer = |sizes: [usize; 4]| {
        (leaf(sizes.iter().product(), 0.0).reshape(sizes), leaf(sizes[0], 1.0), leaf(sizes[0], 0.5))
    };
    let weights = MbConvWeights {
        expand: (expanded > 0).then(|| layer([middle, input, 1, 1])),
        depthwise: layer([middle, 1, kernel_size, kernel_size]),
        project: layer([output, middle, 1, 1]),
        gate: (squeezed > 0).then(|| GateWeights {
            reduce: leaf(squeezed * middle, 0.0).reshape([squeezed, middle]),
            reduce_bias: leaf(squeezed, 0.0),
            expand: leaf(middle * squeezed, 0.0).reshape([middle, squeezed]),
            expand_bias: leaf(middle, 0.5),
        }),
    };
    let images = leaf(batch * input * height * width, 3.0).reshape([batch, input, height, width]);
    let residual = case.stride == 1 && input == output;
    let kind = MbConvKind { stride: case.stride, activation: case.activation, epsilon: 1e-3, residual };
    let MbConvTrain { output, moments } = block(images, weights, kind);
    let direction = Tensor::from_inner(draw.normal(output.dims(), 0.0, 1.0));
    let gradients = (output.clone() * direction).sum().backward();
    let mut found = vec![output.into_data(), moments.into_data()];
    found.extend(leaves.iter().map(|leaf| leaf.grad(&gradients).unwrap().into_data()));
    found
}

#[test]
fn values_and_gradients_are_those_of_the_ops_that_it_is_made_of() {
    for case in CASES {
        let (found, expected) = (run(case, mb_conv_train), run(case, op_by_op));
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let greatest = expected.iter::<f32>().fold(1.0f32, |most, x| most.max(x.abs()));
            let far = found.iter::<f32>().zip(expected.iter::<f32>()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far <= 2e-4 * greatest, "{case:?}, {i}: {far:e} of {greatest:e}");
        }
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| CASES.map(|case| run(case, mb_conv_train)))
    };
    assert_eq!(in_pool(1), in_pool(3));
}

/// Vectors of eight and of sixteen lanes.
#[cfg(target_arch = "x86_64")]
mod widths {
    use super::super::filter::{Filter, Shape, TapSums};
    use super::super::laned::{Dots, LANES, Product};
    use crate::kernels::lanes::testing::{Width, assert_every_width_gives};
    use crate::testing::Draw;
    use pulp::Arch;

    fn numbers(seed: u64, length: usize) -> Vec<f32> {
        Draw::new(seed).normal([length], 0.0, 1.0).into_data().try_to_vec().unwrap()
    }

    #[test]
    fn products_have_the_bits_of_sums_in_order() {
        let (depth, columns) = (5, 7 * LANES);
        let input = numbers(1, depth * columns);
        for rows in 1..=4 {
            let weights = numbers(2, depth * rows);
            let sum = |row: usize, column: usize| {
                (0..depth).fold(0.0f32, |sum, k| weights[k * rows + row].mul_add(input[k * columns + column], sum))
            };
            let expected: Vec<f32> = (0..rows * columns).map(|i| sum(i / columns, i % columns)).collect();
            assert_every_width_gives(&expected, |width| {
                let mut out = vec![0.0; rows * columns];
                let (weights, input, input_stride, out_stride) = (&weights[..], &input[..], columns, columns);
                width.run(Product { weights, rows, input, input_stride, columns, out: &mut out, out_stride });
                out
            });
        }
    }

    #[test]
    fn dots_have_the_bits_of_sums_lane_by_lane() {
        let length = 3 * LANES;
        for (left_rows, right_rows) in [(4, 4), (4, 3), (5, 7), (2, 2)] {
            let (left, right) = (numbers(3, left_rows * length), numbers(4, right_rows * length));
            let lane = |a: usize, b: usize, lane: usize| {
                let at = |i: usize| i * LANES + lane;
                (0..3).fold(0.0f32, |sum, i| left[a * length + at(i)].mul_add(right[b * length + at(i)], sum))
            };
            let place = |i: usize| (i / LANES / right_rows, i / LANES % right_rows, i % LANES);
            let count = left_rows * right_rows * LANES;
            let expected: Vec<f32> = (0..count).map(place).map(|(a, b, l)| lane(a, b, l)).collect();
            assert_every_width_gives(&expected, |width| {
                let mut sums = vec![0.0; count];
                let (left, left_stride, right, right_stride) = (&left[..], length, &right[..], length);
                let sums_of = &mut sums;
                width.run(Dots {
                    left,
                    left_stride,
                    left_rows,
                    right,
                    right_stride,
                    right_rows,
                    length,
                    sums: sums_of,
                });
                sums
            });
        }
    }

    #[test]
    fn filters_have_the_same_bits() {
        for (kernel_size, stride) in [(3, 1), (7, 1), (5, 2)] {
            let shape = Shape { kernel_size, stride, height: 6, width: 9 };
            let (plan, back) = (shape.forward(), shape.backward());
            let (source, gradient) = (numbers(5, shape.padded_input()), numbers(6, shape.padded_output()));
            let weights = numbers(7, kernel_size * kernel_size);
            let outputs = shape.out_height() * shape.out_width() * LANES;
            let (source, gradient, weights) = (&source[..], &gradient[..], &weights[..]);

            let mut expected = vec![0.0; outputs];
            Arch::Scalar.dispatch(Filter { plan: &plan, source, weights, out: &mut expected });
            let close = |found: &[f32]| found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4);
            same_in_all(|width| {
                let mut out = vec![0.0; outputs];
                width.run(Filter { plan: &plan, source, weights, out: &mut out });
                assert!(close(&out), "a scalar filter gives almost the same sums");
                out
            });
            same_in_all(|width| {
                let mut out = vec![0.0; 6 * 9 * LANES];
                width.run(Filter { plan: &back, source: gradient, weights, out: &mut out });
                out
            });
            same_in_all(|width| {
                let mut sums = vec![0.0; kernel_size * kernel_size * LANES];
                width.run(TapSums { plan: &plan, source, gradient, shape, sums: &mut sums });
                sums
            });
        }
    }

    fn same_in_all(run: impl Fn(Width) -> Vec<f32>) {
        if let Some(first) = Width::all().first() {
            assert_every_width_gives(&run(*first), run);
        }
    }
}
