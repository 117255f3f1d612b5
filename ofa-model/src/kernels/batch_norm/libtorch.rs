//! Batch norm in libtorch: its own forward pass, and a backward pass with few passes over memory.
//!
//! burn composes both from a dozen passes, several over transposed copies. libtorch's own backward pass has no binding.

use super::{Activation, NormBackend, general};
use crate::kernels::composed::sizes;
use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use tch::{Kind, Tensor};

impl NormBackend for LibTorch {
    fn norm_train(
        input: TchTensor,
        gamma: TchTensor,
        beta: TchTensor,
        epsilon: f64,
        activation: Activation,
    ) -> (TchTensor, TchTensor, TchTensor) {
        if input.tensor.kind() != Kind::Float {
            return general::norm_train::<Self>(input, gamma, beta, epsilon, activation);
        }
        let parameters = [Some(&gamma.tensor), Some(&beta.tensor), None, None];
        let [gamma, beta, no_mean, no_variance] = parameters;
        let (output, mean, inverse_deviation) =
            input.tensor.native_batch_norm(gamma, beta, no_mean, no_variance, true, 0.0, epsilon);
        let variance = (inverse_deviation.pow_tensor_scalar(-2) - epsilon).clamp_min(0.0);
        (TchTensor::new(activate(output, activation)), TchTensor::new(mean), TchTensor::new(variance))
    }

    fn norm_train_backward(
        input: TchTensor,
        gamma: TchTensor,
        beta: TchTensor,
        mean: TchTensor,
        variance: TchTensor,
        output_gradient: TchTensor,
        epsilon: f64,
        activation: Activation,
    ) -> (TchTensor, TchTensor, TchTensor) {
        if input.tensor.kind() != Kind::Float {
            let (g, e, a) = (output_gradient, epsilon, activation);
            return general::norm_train_backward::<Self>(input, gamma, beta, mean, variance, g, e, a);
        }
        let [batch, _, height, width] = sizes::<Self>(&input);
        let count = (batch * height * width) as f64;
        let inverse_deviation = (variance.tensor + epsilon).rsqrt();
        let origin = -mean.tensor * &inverse_deviation;
        let normalised = affine(&input.tensor, &inverse_deviation, &origin);
        let pre = affine(&normalised, &gamma.tensor, &beta.tensor);
        let gradient = before_activation(output_gradient.tensor, &pre, activation);
        let (gamma_gradient, beta_gradient) = (channel_sums(&(&normalised * &gradient)), channel_sums(&gradient));
        // gamma / deviation * (gradient - its mean - normalised * mean of their product)
        let scale = gamma.tensor * inverse_deviation;
        let constant = -&scale * &beta_gradient / count;
        let slope = -&scale * &gamma_gradient / count;
        let mut input_gradient = affine(&normalised, &slope, &constant);
        _ = input_gradient.addcmul_(&gradient, &by_channel(&scale));
        (TchTensor::new(input_gradient), TchTensor::new(gamma_gradient), TchTensor::new(beta_gradient))
    }

    fn affine(input: TchTensor, scale: TchTensor, shift: TchTensor, activation: Activation) -> TchTensor {
        TchTensor::new(activate(affine(&input.tensor, &scale.tensor, &shift.tensor), activation))
    }
}

/// `x * scale + shift` per channel, in one pass.
fn affine(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Tensor {
    by_channel(shift).addcmul(x, &by_channel(scale))
}

/// `[channels]` as `[1, channels, 1, 1]`.
fn by_channel(vector: &Tensor) -> Tensor {
    vector.reshape([1, -1, 1, 1])
}

/// Sums `[batch, channels, height, width]` to `[channels]`. Going image by image reads contiguous memory: it takes a
/// third of the time and has smaller rounding errors.
fn channel_sums(x: &Tensor) -> Tensor {
    let none: Option<Kind> = None;
    x.sum_dim_intlist([2i64, 3].as_slice(), false, none).sum_dim_intlist([0i64].as_slice(), false, none)
}

/// Applies the activation in place.
fn activate(mut x: Tensor, activation: Activation) -> Tensor {
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.relu_(),
        Activation::Relu6 => x.clamp_(0.0, 6.0),
        Activation::HardSwish => x.hardswish_(),
    }
}

fn before_activation(gradient: Tensor, pre: &Tensor, activation: Activation) -> Tensor {
    match activation {
        Activation::Identity => gradient,
        Activation::Relu => pre.threshold_backward(&gradient, 0.0),
        Activation::Relu6 => pre.hardtanh_backward(&gradient, 0.0, 6.0),
        Activation::HardSwish => pre.hardswish_backward(&gradient),
    }
}
