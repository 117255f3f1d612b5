//! The sums of an integer network, brought to the integers of its next tensor. Integers are stored as floats.

use super::composed::by_channel;
use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

/// Limits of the integers of a tensor, counted from its zero point.
pub type Levels = [f32; 2];

/// A curve between two quantised tensors, computed on real numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve {
    /// Whether it is the hard swish; the hard sigmoid otherwise.
    pub swish: bool,
    /// Real size of a step of its input.
    pub step: f32,
    /// Real size of a step of its output.
    pub output_step: f32,
    /// Limits of its output.
    pub output_levels: Levels,
}

/// `(sums + shift) * multiplier`, rounded (half to even) and limited to `levels`; then the `curve`, rounded likewise.
///
/// # Shapes
///
/// - sums, output: `[batch, channels, height, width]`
/// - shift, multiplier: `[channels]`
pub fn requantize(
    sums: Tensor<4>,
    shift: Tensor<1>,
    multiplier: Tensor<1>,
    levels: Levels,
    curve: Option<Curve>,
) -> Tensor<4> {
    let (sums, shift, multiplier) = (sums.into_dispatch(), shift.into_dispatch(), multiplier.into_dispatch());
    Tensor::from_dispatch(Dispatch::requantized(sums, shift, multiplier, levels, curve))
}

/// The primitive op, with a default for every backend.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda"))
)]
pub trait RequantizeBackend: Backend {
    /// See [`requantize`].
    fn requantized(
        sums: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        multiplier: FloatTensor<Self>,
        levels: Levels,
        curve: Option<Curve>,
    ) -> FloatTensor<Self> {
        general::<Self>(sums, shift, multiplier, levels, curve)
    }
}

#[cfg(feature = "tch")]
impl RequantizeBackend for burn::backend::LibTorch {}
#[cfg(any(feature = "wgpu", feature = "cuda"))]
impl RequantizeBackend for burn::backend::Cube {}

// Rounding has no gradient.
impl<B: RequantizeBackend, C: CheckpointStrategy> RequantizeBackend for Autodiff<B, C> {}

fn general<B: Backend>(
    sums: FloatTensor<B>,
    shift: FloatTensor<B>,
    multiplier: FloatTensor<B>,
    levels: Levels,
    curve: Option<Curve>,
) -> FloatTensor<B> {
    let shifted = B::float_add(sums, by_channel::<B>(shift));
    let integers = rounded::<B>(B::float_mul(shifted, by_channel::<B>(multiplier)), levels);
    let Some(Curve { swish, step, output_step, output_levels }) = curve else { return integers };
    let x = B::float_mul_scalar(integers, step.into());
    let scaled = B::float_add_scalar(B::float_mul_scalar(x.clone(), SLOPE.into()), 0.5.into());
    let gate = B::float_clamp(scaled, 0.0.into(), 1.0.into());
    let y = if swish { B::float_mul(x, gate) } else { gate };
    rounded::<B>(B::float_div_scalar(y, output_step.into()), output_levels)
}

/// Slope of the hard sigmoid.
const SLOPE: f32 = 1.0 / 6.0;

fn rounded<B: Backend>(x: FloatTensor<B>, [low, high]: Levels) -> FloatTensor<B> {
    B::float_clamp(B::float_round(x), low.into(), high.into())
}

#[cfg(feature = "flex")]
mod flex;
#[cfg(test)]
mod tests;
