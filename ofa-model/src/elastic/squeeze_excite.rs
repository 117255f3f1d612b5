//! Squeeze-and-excitation over leading channels.

use super::{leading, reordered};
use crate::init::Initializer;
use crate::kernels::{GateWeights, squeeze_excite};
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

/// Scales each channel by a gate computed from the means of all channels: pool, reduce, ReLU, expand, hard sigmoid.
///
/// Source: arXiv:1709.01507, section 3; MobileNetV3 (arXiv:1905.02244, section 5.2) for the hard sigmoid.
#[derive(Module, Debug)]
pub struct SqueezeExcite {
    /// `[squeezed, channels]`.
    pub reduce_weight: Param<Tensor<2>>,
    /// `[squeezed]`.
    pub reduce_bias: Param<Tensor<1>>,
    /// `[channels, squeezed]`.
    pub expand_weight: Param<Tensor<2>>,
    /// `[channels]`.
    pub expand_bias: Param<Tensor<1>>,
}

impl SqueezeExcite {
    /// Builds a gate for `channels` channels with a bottleneck of `squeezed`.
    pub(crate) fn init(channels: usize, squeezed: usize, init: &mut Initializer) -> Self {
        Self {
            reduce_weight: init.he_fan_out([squeezed, channels], squeezed),
            reduce_bias: init.constant([squeezed], 0.0),
            expand_weight: init.he_fan_out([channels, squeezed], channels),
            expand_bias: init.constant([channels], 0.0),
        }
    }

    /// Scales each channel of `[batch, channels, height, width]`.
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        squeeze_excite(input, self.weights())
    }

    /// The weights and biases of the two layers.
    pub(super) fn weights(&self) -> GateWeights {
        GateWeights {
            reduce: self.reduce_weight.val(),
            reduce_bias: self.reduce_bias.val(),
            expand: self.expand_weight.val(),
            expand_bias: self.expand_bias.val(),
        }
    }

    /// The gate for the first `channels` channels with the first `squeezed` of its bottleneck.
    pub(super) fn leading(&self, channels: usize, squeezed: usize) -> Self {
        Self {
            reduce_weight: leading(&self.reduce_weight, &[squeezed, channels]),
            reduce_bias: leading(&self.reduce_bias, &[squeezed]),
            expand_weight: leading(&self.expand_weight, &[channels, squeezed]),
            expand_bias: leading(&self.expand_bias, &[channels]),
        }
    }

    /// Reorders the gated channels.
    pub(super) fn reordered_channels(self, order: &Tensor<1, Int>) -> Self {
        Self {
            reduce_weight: reordered(self.reduce_weight, 1, order),
            expand_weight: reordered(self.expand_weight, 0, order),
            expand_bias: reordered(self.expand_bias, 0, order),
            ..self
        }
    }

    /// Reorders the bottleneck channels.
    pub(super) fn reordered_bottleneck(self, order: &Tensor<1, Int>) -> Self {
        Self {
            reduce_weight: reordered(self.reduce_weight, 0, order),
            reduce_bias: reordered(self.reduce_bias, 0, order),
            expand_weight: reordered(self.expand_weight, 1, order),
            ..self
        }
    }
}
