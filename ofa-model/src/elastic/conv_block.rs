//! The block of a single dense convolution, in ordinary and elastic form.

use super::{ConvNorm, Statistics};
use crate::{ConvShape, init::Initializer};
use burn::module::Module;
use burn::tensor::Tensor;

/// A dense convolution that adds its input where the network's structure allows it.
///
/// In the ResNet50D space these blocks form the elastic stem: the second convolution of its first stage is optional.
#[derive(Module, Debug)]
pub struct ConvBlock {
    /// The convolution.
    pub conv: ConvNorm,
    residual: bool,
}

impl ConvBlock {
    /// Builds a block of the given shape.
    pub(crate) fn init(shape: &ConvShape, epsilon: f64, init: &mut Initializer) -> Self {
        Self { conv: ConvNorm::dense(shape, epsilon, init), residual: shape.residual }
    }

    /// Maps `[batch, in, height, width]` to `[batch, out, height / stride, width / stride]`, rounded up.
    pub fn forward(&self, input: Tensor<4>, statistics: &mut Statistics) -> Tensor<4> {
        let kept = self.residual.then(|| input.clone());
        let output = self.conv.forward(input, statistics);
        match kept {
            Some(kept) => output + kept,
            None => output,
        }
    }

    /// Whether the input is added.
    pub(crate) fn has_residual(&self) -> bool {
        self.residual
    }

    /// The block sliced to the leading input and output channels of `shape`.
    pub fn at(&self, shape: &ConvShape) -> Self {
        Self { conv: self.conv.leading(shape.out_channels, shape.in_channels), residual: shape.residual }
    }
}
