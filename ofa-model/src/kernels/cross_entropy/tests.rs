use super::{cross_entropy, softmax};
use crate::testing::Draw;
use burn::tensor::activation;
use burn::tensor::{Device, FloatDType, Tensor, TensorData, Tolerance};

/// Logits and non-negative targets, whose sum need not be one.
fn draw(sizes: [usize; 2], dtype: FloatDType) -> [Tensor<2>; 2] {
    let mut draw = Draw::new(4);
    let (logits, targets) = (draw.normal(sizes, 0.0, 3.0), draw.normal(sizes, 0.2, 0.1).abs());
    [logits, targets].map(|tensor| Tensor::from_inner(tensor.cast(dtype)))
}

/// The loss, and twice the gradient of the logits.
fn run(
    sizes: [usize; 2],
    dtype: FloatDType,
    loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>,
) -> (TensorData, TensorData) {
    let [logits, targets] = draw(sizes, dtype);
    let logits = logits.require_grad();
    let loss = loss(logits.clone(), targets);
    let gradients = (loss.clone() * 2.0).backward();
    let data = |tensor: Tensor<2>| tensor.cast(FloatDType::F32).into_data();
    (loss.cast(FloatDType::F32).into_data(), data(logits.grad(&gradients).unwrap()))
}

#[test]
fn values_and_gradients_are_those_of_elementary_ops() {
    let composed =
        |logits: Tensor<2>, targets: Tensor<2>| (activation::log_softmax(logits, 1) * targets).sum_dim(1).mean().neg();
    for sizes in [[1, 1], [3, 10], [70, 100]] {
        let expected = run(sizes, FloatDType::F64, composed);
        for dtype in [FloatDType::F32, FloatDType::F64] {
            let found = run(sizes, dtype, cross_entropy);
            found.0.assert_approx_eq::<f32>(&expected.0, Tolerance::rel_abs(1e-6, 1e-6));
            found.1.assert_approx_eq::<f32>(&expected.1, Tolerance::absolute(1e-7));
        }
    }
}

#[test]
fn probabilities_are_those_of_burn() {
    for dtype in [FloatDType::F32, FloatDType::F64] {
        let [logits, _] = draw([5, 30], dtype);
        let data = |tensor: Tensor<2>| tensor.cast(FloatDType::F32).into_data();
        let expected = data(activation::softmax(logits.clone(), 1));
        data(softmax(logits)).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }
}

#[test]
fn great_logits_do_not_overflow_and_ones_that_are_no_numbers_show() {
    let loss = |logits: [f32; 2]| {
        let device = Device::flex();
        let targets = Tensor::<2>::from_floats([[0.0, 1.0]], &device);
        cross_entropy(Tensor::from_floats([logits], &device), targets).into_scalar::<f32>()
    };
    assert_eq!(loss([1e4, 0.0]), 1e4);
    assert!(loss([f32::NAN, 0.0]).is_nan() && loss([f32::INFINITY, 0.0]).is_nan());
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run([70, 100], FloatDType::F32, cross_entropy))
    };
    assert_eq!(in_pool(1), in_pool(3));
}
