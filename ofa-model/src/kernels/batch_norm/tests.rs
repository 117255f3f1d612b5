use super::{Activation, batch_norm_inference, batch_norm_train};
use crate::testing::Draw;
use burn::tensor::{Tensor, TensorData, Tolerance};

const ACTIVATIONS: [Activation; 4] = [Activation::Identity, Activation::Relu, Activation::Relu6, Activation::HardSwish];

/// Output, mean, variance, and gradients of input, gamma and beta; composed of elementary ops unless `own`.
fn run(sizes: [usize; 4], activation: Activation, own: bool) -> [TensorData; 6] {
    let c = sizes[1];
    let mut draw = Draw::new(3);
    // With a mean far from zero, unshifted sums of squares would cancel.
    let x = draw.normal(sizes, 20.0, 3.0);
    let (gamma, beta) = (draw.normal([c], 1.0, 0.5), draw.normal([c], 0.5, 2.0));
    let direction = draw.normal(sizes, 0.0, 1.0);
    let x = Tensor::from_inner(x).require_grad();
    let [gamma, beta] = [gamma, beta].map(|t| Tensor::from_inner(t).require_grad());
    let (y, mean, variance) = if own {
        let r = batch_norm_train(x.clone(), gamma.clone(), beta.clone(), 1e-5, activation);
        (r.output, r.mean, r.variance)
    } else {
        composed(x.clone(), gamma.clone(), beta.clone(), activation)
    };
    let gradients = (y.clone() * Tensor::from_inner(direction)).sum().backward();
    let [gamma, beta] = [gamma, beta].map(|t| t.grad(&gradients).unwrap().into_data());
    [y.into_data(), mean.into_data(), variance.into_data(), x.grad(&gradients).unwrap().into_data(), gamma, beta]
}

fn composed(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    activation: Activation,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let [_, c, _, _] = x.dims();
    let mean = |t: Tensor<4>| t.mean_dim(0).mean_dim(2).mean_dim(3);
    let centre = mean(x.clone());
    let centred = x - centre.clone();
    let variance = mean(centred.clone() * centred.clone());
    let wide = |t: Tensor<1>| t.reshape([1, c, 1, 1]);
    let y = centred / (variance.clone() + 1e-5).sqrt() * wide(gamma) + wide(beta);
    (activation.apply(y), centre.reshape([c]), variance.reshape([c]))
}

#[test]
fn values_and_gradients_are_those_of_elementary_ops() {
    for sizes in [[2, 1, 1, 1], [1, 3, 2, 3], [5, 4, 7, 7], [3, 2, 14, 13]] {
        for activation in ACTIVATIONS {
            let found = run(sizes, activation, true);
            for (found, expected) in found.iter().zip(run(sizes, activation, false)) {
                // Single precision around a mean of 20 leaves an error of about 1e-6 * 20 in the centred values.
                found.assert_approx_eq::<f32>(&expected, Tolerance::rel_abs(1e-3, 5e-4));
            }
        }
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run([9, 5, 7, 7], Activation::HardSwish, true))
    };
    assert_eq!(in_pool(1), in_pool(2));
}

#[test]
fn inference_uses_the_given_statistics() {
    let mut draw = Draw::new(8);
    let x = draw.normal([2, 3, 4, 5], 0.0, 2.0);
    let [gamma, beta, mean] = [1.0, 0.0, 0.5].map(|centre| draw.normal([3], centre, 1.0));
    let variance = draw.normal([3], 1.0, 0.2).abs();
    for activation in ACTIVATIONS {
        let wide = |t: &Tensor<1>| t.clone().reshape([1, 3, 1, 1]);
        let normalised = (x.clone() - wide(&mean)) / (wide(&variance) + 1e-3).sqrt();
        let expected = activation.apply(normalised * wide(&gamma) + wide(&beta)).into_data();
        let run = |x, gamma| {
            let [beta, mean, variance] = [&beta, &mean, &variance].map(Clone::clone);
            batch_norm_inference(x, gamma, beta, mean, variance, 1e-3, activation).into_data()
        };
        run(x.clone(), gamma.clone()).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
    }
}
