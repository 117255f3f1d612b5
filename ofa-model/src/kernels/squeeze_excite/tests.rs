use super::{GateWeights, global_average_pool, scale_planes, squeeze_excite};
use crate::kernels::hard_sigmoid;
use crate::testing::Draw;
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData, Tolerance};

/// Batch, channels, height, width: planes that fill no vector, one pixel, one image, more images than a chunk.
const SHAPES: [[usize; 4]; 4] = [[1, 3, 1, 1], [1, 4, 2, 3], [9, 5, 7, 7], [3, 8, 14, 13]];

fn weights(channels: usize) -> [Tensor<2>; 2] {
    let mut draw = Draw::new(4);
    // Wide enough for gates at 0, at 1 and in between.
    [draw.normal([6, channels], 0.0, 3.0), draw.normal([channels, 6], 0.0, 3.0)]
}

fn composed(x: Tensor<4>, weights: GateWeights) -> Tensor<4> {
    let [batch, channels, _, _] = x.dims();
    let linear = |x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>| x.matmul(weight.transpose()) + bias.unsqueeze();
    let means = x.clone().mean_dim(3).mean_dim(2).reshape([batch, channels]);
    let squeezed = relu(linear(means, weights.reduce, weights.reduce_bias));
    let gate = hard_sigmoid(linear(squeezed, weights.expand, weights.expand_bias));
    x * gate.reshape([batch, channels, 1, 1])
}

/// The output, and the gradients of the input and of all weights.
fn run(shape: [usize; 4], op: impl Fn(Tensor<4>, GateWeights) -> Tensor<4>) -> Vec<TensorData> {
    let mut draw = Draw::new(5);
    let x = Tensor::from_inner(draw.normal(shape, 0.5, 1.0)).require_grad();
    let direction = Tensor::from_inner(draw.normal(shape, 0.0, 1.0));
    let [reduce, expand] = weights(shape[1]).map(|weight| Tensor::from_inner(weight).require_grad());
    let [reduce_bias, expand_bias] =
        [6, shape[1]].map(|n| Tensor::from_inner(draw.normal([n], 0.0, 1.0)).require_grad());
    let weights = GateWeights {
        reduce: reduce.clone(),
        reduce_bias: reduce_bias.clone(),
        expand: expand.clone(),
        expand_bias: expand_bias.clone(),
    };
    let y = op(x.clone(), weights);
    let gradients = (y.clone() * direction).sum().backward();
    let matrices = [reduce, expand].map(|weight| weight.grad(&gradients).unwrap().into_data());
    let vectors = [reduce_bias, expand_bias].map(|bias| bias.grad(&gradients).unwrap().into_data());
    [y.into_data(), x.grad(&gradients).unwrap().into_data()].into_iter().chain(matrices).chain(vectors).collect()
}

#[test]
fn values_and_gradients_are_those_of_elementary_ops() {
    for shape in SHAPES {
        for (found, expected) in run(shape, squeeze_excite).iter().zip(run(shape, composed)) {
            found.assert_approx_eq::<f32>(&expected, Tolerance::rel_abs(1e-4, 1e-4));
        }
    }
}

#[test]
fn gradients_of_scaled_planes_are_those_of_elementary_ops() {
    for shape in SHAPES {
        let run = |op: fn(Tensor<4>, Tensor<2>) -> Tensor<4>| {
            let mut draw = Draw::new(6);
            let [x, direction] = [0.5, 0.0].map(|mean| Tensor::from_inner(draw.normal(shape, mean, 1.0)));
            let scale = Tensor::from_inner(draw.normal([shape[0], shape[1]], 0.0, 1.0)).require_grad();
            let x = x.require_grad();
            let y = op(x.clone(), scale.clone());
            let gradients = (y.clone() * direction).sum().backward();
            [y.into_data(), x.grad(&gradients).unwrap().into_data(), scale.grad(&gradients).unwrap().into_data()]
        };
        let expected = run(|x, scale| x * scale.unsqueeze_dims(&[-1, -1]));
        for (found, expected) in run(scale_planes).iter().zip(expected) {
            found.assert_approx_eq::<f32>(&expected, Tolerance::rel_abs(1e-4, 1e-4));
        }
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run([33, 8, 7, 7], squeeze_excite))
    };
    assert_eq!(in_pool(1), in_pool(2));
}

#[test]
fn pooling_is_the_mean_and_spreads_its_gradient() {
    for shape in SHAPES {
        let x = Tensor::from_inner(Draw::new(6).normal(shape, 0.5, 1.0)).require_grad();
        let [batch, channels, height, width] = shape;
        let pooled = global_average_pool(x.clone());
        let expected = x.clone().mean_dim(3).mean_dim(2).reshape([batch, channels]);
        pooled.to_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
        let gradient = x.grad(&(pooled * 2.0).sum().backward()).unwrap();
        let share = gradient.ones_like() * (2.0 / (height * width) as f32);
        gradient.into_data().assert_approx_eq::<f32>(&share.into_data(), Tolerance::absolute(1e-6));
    }
}

#[test]
fn an_input_held_elsewhere_is_not_changed() {
    let x = Draw::new(7).normal([2, 4, 3, 3], 0.0, 1.0);
    let before = x.to_data();
    let [reduce, expand] = weights(4);
    let [reduce_bias, expand_bias] = [6, 4].map(|n| Draw::new(8).normal([n], 0.0, 1.0));
    let gated = squeeze_excite(x.clone(), GateWeights { reduce, reduce_bias, expand, expand_bias });
    assert_ne!(gated.into_data(), before);
    x.into_data().assert_eq(&before, true);
}
