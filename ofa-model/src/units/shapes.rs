//! Shapes of the layers of a unit.

use crate::Activation;
use serde::{Deserialize, Serialize};

/// A dense convolution with batch norm and activation; padding is half the kernel size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConvShape {
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Kernel size.
    pub kernel_size: usize,
    /// Stride of the convolution.
    pub stride: usize,
    /// Activation after the batch norm.
    pub activation: Activation,
    /// Whether the input is added after the activation.
    pub residual: bool,
}

/// An inverted-bottleneck block: 1x1 expansion, depthwise convolution, squeeze-and-excitation, 1x1 projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MbConvShape {
    /// Input channels.
    pub in_channels: usize,
    /// Channels of the depthwise convolution.
    pub mid_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Kernel size of the depthwise convolution.
    pub kernel_size: usize,
    /// Stride of the depthwise convolution.
    pub stride: usize,
    /// Activation after the expansion and the depthwise convolution.
    pub activation: Activation,
    /// Whether there is a 1x1 expansion; if not, `mid_channels == in_channels`.
    pub expansion: bool,
    /// Whether the block has squeeze-and-excitation.
    pub squeeze_excite: bool,
    /// Whether the input is added to the output.
    pub residual: bool,
}

/// A ResNet bottleneck block: 1x1 convolution, dense convolution, 1x1 convolution, addition, activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BottleneckShape {
    /// Input channels.
    pub in_channels: usize,
    /// Channels of the dense convolution.
    pub mid_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Kernel size of the dense convolution.
    pub kernel_size: usize,
    /// Stride of the dense convolution.
    pub stride: usize,
    /// Activation after the first two convolutions and after the addition.
    pub activation: Activation,
    /// Whether the shortcut is average pooling over the stride and a 1x1 convolution instead of the input itself.
    pub downsample: bool,
}

/// Optional 1x1 expansion, global average pooling, optional 1x1 feature mixing, classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeadShape {
    /// Input channels.
    pub in_channels: usize,
    /// Channels of the 1x1 expansion before pooling; `None` if the input is pooled directly.
    pub expand_channels: Option<usize>,
    /// Channels of the feature mixing; `None` if absent.
    pub mix_channels: Option<usize>,
    /// Number of classes.
    pub classes: usize,
    /// Activation after the expansion and the mixing.
    pub activation: Activation,
}

impl MbConvShape {
    /// Channels of the squeeze-and-excitation bottleneck: a quarter of the middle channels, made divisible by 8.
    pub fn squeeze_channels(&self) -> usize {
        make_divisible((self.mid_channels / 4) as f64, 8)
    }
}

impl HeadShape {
    /// Channels that enter the pooling.
    pub fn pooled_channels(&self) -> usize {
        self.expand_channels.unwrap_or(self.in_channels)
    }

    /// Input channels of the classifier.
    pub fn feature_channels(&self) -> usize {
        self.mix_channels.unwrap_or(self.pooled_channels())
    }
}

/// Rounds a channel count to a multiple of `divisor`: at least `divisor`, and never below 90 % of `value`.
///
/// Source: MobileNet's channel rounding, as in the original.
pub fn make_divisible(value: f64, divisor: usize) -> usize {
    let rounded = divisor.max((value + divisor as f64 / 2.0) as usize / divisor * divisor);
    if (rounded as f64) < 0.9 * value { rounded + divisor } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn make_divisible_as_the_original() {
        let cases = [(1.0, 8), (11.0, 16), (12.0, 16), (18.0, 24), (24.0, 24), (36.0, 40), (84.0, 88), (1152.0, 1152)];
        for (value, expected) in cases {
            assert_eq!(make_divisible(value, 8), expected, "{value}");
        }
    }
}
