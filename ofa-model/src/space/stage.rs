//! [`StageSpace`]: what may vary in one stage.

use super::{LARGEST_KERNEL, MOST_BLOCKS, MOST_CHANNELS, not_ascending};
use crate::{Activation, Ratio, make_divisible};
use num_bigint::BigUint;
use serde::{Deserialize, Serialize};

/// A sequence of blocks of one kind with the same output channels: their layers and what may vary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageSpace {
    /// Kind of the blocks.
    pub block: BlockKind,
    /// Output channels of each block at width 1.
    pub channels: usize,
    /// Stride of the first block.
    pub stride: usize,
    /// Activation inside the blocks.
    pub activation: Activation,
    /// Whether blocks have squeeze-and-excitation (only [`BlockKind::MbConv`] can).
    #[serde(default)]
    pub squeeze_excite: bool,
    /// Whether a 3x3 max pooling with stride 2 precedes the first block.
    #[serde(default)]
    pub max_pool: bool,
    /// Widths as multiples of `channels`, ascending.
    #[serde(default = "full_width")]
    pub widths: Vec<Ratio>,
    /// Number of blocks, ascending.
    pub depths: Vec<usize>,
    /// Kernel sizes, odd and ascending.
    pub kernel_sizes: Vec<usize>,
    /// Expand ratios, ascending; see [`BlockKind`] for what they multiply.
    pub expand_ratios: Vec<Ratio>,
}

/// The kind of a block. Batch norm follows every convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// One dense convolution with activation. Blocks that keep the shape add their input after the activation.
    Conv,
    /// The inverted bottleneck of MobileNetV2 and V3: 1x1 expansion of the *input* channels by the expand ratio
    /// (omitted at ratio 1), depthwise convolution, optional squeeze-and-excitation, 1x1 projection. Blocks that keep
    /// the shape add their input.
    MbConv,
    /// The bottleneck of ResNet-D: 1x1 convolution to the *output* channels times the expand ratio, dense convolution,
    /// 1x1 convolution, shortcut added, activation. Where the shape changes, the shortcut averages the input over the
    /// stride and applies a 1x1 convolution.
    Bottleneck,
}

fn full_width() -> Vec<Ratio> {
    vec![Ratio::ONE]
}

impl StageSpace {
    /// Output channels at a width, rounded to a multiple of 8 unless the width is 1.
    pub fn channels_at(&self, width: Ratio) -> usize {
        if width.is_one() { self.channels } else { make_divisible(self.channels as f64 * width.value(), 8) }
    }

    /// Output channels at every width.
    pub fn channel_choices(&self) -> Vec<usize> {
        self.widths.iter().map(|&width| self.channels_at(width)).collect()
    }

    /// Number of blocks of the deepest stage.
    ///
    /// # Panics
    ///
    /// If no depth is offered; [`SearchSpace::validate`](crate::SearchSpace::validate) refuses such a space.
    pub fn greatest_depth(&self) -> usize {
        *self.depths.last().expect("a valid stage offers a depth")
    }

    /// Whether all networks have the same blocks here.
    pub(super) fn is_fixed(&self) -> bool {
        [self.widths.len(), self.depths.len(), self.kernel_sizes.len(), self.expand_ratios.len()] == [1; 4]
    }

    /// Number of distinct stages: widths times the sum over depths of (kernel sizes x expand ratios) ^ depth.
    pub(super) fn len(&self) -> BigUint {
        let block = BigUint::from(self.kernel_sizes.len() * self.expand_ratios.len());
        self.depths.iter().map(|&depth| block.pow(depth as u32)).sum::<BigUint>() * self.widths.len()
    }

    pub(super) fn first_contradiction(&self) -> Option<String> {
        if self.channels == 0 || self.stride == 0 {
            return Some(format!("channels {} and stride {} must be positive", self.channels, self.stride));
        }
        let limits = [
            ("channels", Some(&self.channels), MOST_CHANNELS),
            ("depth", self.depths.iter().max(), MOST_BLOCKS),
            ("kernel size", self.kernel_sizes.iter().max(), LARGEST_KERNEL),
        ];
        if let Some((name, value, most)) = limits.iter().find(|(_, value, most)| *value > Some(most)) {
            return Some(format!("{name} {} is more than {most}", value.unwrap_or(&0)));
        }
        if let Some(even) = self.kernel_sizes.iter().find(|k| *k % 2 == 0) {
            return Some(format!("kernel size {even} is even"));
        }
        let values = |ratios: &[Ratio]| ratios.iter().map(|ratio| ratio.value()).collect::<Vec<_>>();
        not_ascending("widths", &values(&self.widths))
            .or_else(|| not_ascending("depths", &self.depths))
            .or_else(|| not_ascending("kernel_sizes", &self.kernel_sizes))
            .or_else(|| not_ascending("expand_ratios", &values(&self.expand_ratios)))
            .or_else(|| self.contradiction_of_kind())
    }

    fn contradiction_of_kind(&self) -> Option<String> {
        let expands = self.expand_ratios != [Ratio::ONE];
        match self.block {
            // The original keeps the expansion layer in the supernet but drops it in the extracted net, whose outputs
            // then differ. So a network with ratio 1 is not a slice of one with another ratio.
            BlockKind::MbConv if expands && self.expand_ratios.contains(&Ratio::ONE) => {
                Some("expand ratio 1 drops the expansion layer and cannot be offered with other ratios".into())
            }
            BlockKind::MbConv => None,
            BlockKind::Conv | BlockKind::Bottleneck if self.squeeze_excite => {
                Some("only mb_conv blocks have squeeze-and-excitation".into())
            }
            BlockKind::Conv | BlockKind::Bottleneck if self.kernel_sizes.len() > 1 => {
                Some("only mb_conv blocks have an elastic kernel size".into())
            }
            BlockKind::Conv if expands => Some("conv blocks have no middle: expand_ratios must be [1]".into()),
            BlockKind::Conv | BlockKind::Bottleneck => None,
        }
    }
}
