//! Activations built from sums, products and ReLU only, which every exchange format has.

use crate::Activation;
use burn::tensor::{Tensor, activation::relu};

/// Applies the activation elementwise.
pub(super) fn plain<const D: usize>(activation: Activation, x: Tensor<D>) -> Tensor<D> {
    match activation {
        Activation::Identity => x,
        Activation::Relu => relu(x),
        Activation::Relu6 => clamped(x, 6.0),
        Activation::HardSwish => x.clone() * hard_sigmoid(x),
    }
}

/// `relu6(x + 3) / 6`
pub(super) fn hard_sigmoid<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    clamped(x, 3.0).mul_scalar(1.0 / 6.0)
}

/// `relu6(x + 6 - top)`: 0 below `top - 6`, 6 above `top`; exact at both ends.
fn clamped<const D: usize>(x: Tensor<D>, top: f64) -> Tensor<D> {
    relu(relu(x.neg().add_scalar(top)).neg().add_scalar(6.0))
}
