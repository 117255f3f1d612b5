//! [`Unit`]: the sequential pieces of a network, each with everything that its layers and its cost depend on.

use crate::{Activation, Arch, ExpandRatio, SearchSpace};
use serde::{Deserialize, Serialize};

/// A piece of a network at the size it runs at. Equal units have equal shapes and therefore equal costs, so a unit is
/// the key of a latency table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unit {
    /// Height and width of the input in pixels.
    pub input_size: usize,
    /// What the unit consists of.
    pub layers: UnitLayers,
}

/// What a unit consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitLayers {
    /// The first convolution.
    Stem(ConvShape),
    /// An inverted-bottleneck block.
    Block(BlockShape),
    /// Everything after the last block.
    Head(HeadShape),
}

/// A dense convolution with batch norm and activation; padding is half the kernel size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConvShape {
    /// Input channels.
    pub in_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Side of the kernel.
    pub kernel_size: usize,
    /// Stride.
    pub stride: usize,
    /// Activation.
    pub activation: Activation,
}

/// An inverted-bottleneck block: 1x1 expansion, depthwise convolution, squeeze-and-excitation, 1x1 projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlockShape {
    /// Input channels.
    pub in_channels: usize,
    /// Channels of the depthwise convolution.
    pub mid_channels: usize,
    /// Output channels.
    pub out_channels: usize,
    /// Side of the depthwise kernel.
    pub kernel_size: usize,
    /// Stride of the depthwise convolution.
    pub stride: usize,
    /// Activation after the expansion and the depthwise convolution.
    pub activation: Activation,
    /// Whether there is a 1x1 expansion; without it `mid_channels == in_channels`.
    pub expansion: bool,
    /// Whether there is squeeze-and-excitation.
    pub squeeze_excite: bool,
}

/// 1x1 expansion, global average pooling, optional 1x1 feature mixing, classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HeadShape {
    /// Input channels.
    pub in_channels: usize,
    /// Channels that are pooled.
    pub expand_channels: usize,
    /// Channels of the feature mixing, if there is one.
    pub mix_channels: Option<usize>,
    /// Number of classes.
    pub classes: usize,
    /// Activation after the expansion and the mixing.
    pub activation: Activation,
}

impl Unit {
    /// Height and width of the output in pixels (1 for the head).
    pub fn output_size(&self) -> usize {
        let stride = match self.layers {
            UnitLayers::Stem(conv) => conv.stride,
            UnitLayers::Block(block) => block.stride,
            UnitLayers::Head(_) => return 1,
        };
        self.input_size.div_ceil(stride)
    }

    /// Channels of the input.
    pub fn in_channels(&self) -> usize {
        match self.layers {
            UnitLayers::Stem(conv) => conv.in_channels,
            UnitLayers::Block(block) => block.in_channels,
            UnitLayers::Head(head) => head.in_channels,
        }
    }
}

impl BlockShape {
    /// Whether the input is added to the output.
    pub fn has_residual(&self) -> bool {
        self.stride == 1 && self.in_channels == self.out_channels
    }

    /// Channels of the bottleneck inside squeeze-and-excitation: a quarter, made divisible by 8.
    pub fn squeeze_channels(&self) -> usize {
        make_divisible((self.mid_channels / 4) as f64, 8)
    }
}

impl HeadShape {
    /// Inputs of the classifier.
    pub fn feature_channels(&self) -> usize {
        self.mix_channels.unwrap_or(self.expand_channels)
    }
}

impl SearchSpace {
    /// The units that `arch` runs through, input to output.
    ///
    /// # Panics
    ///
    /// If `arch` is outside the space.
    pub fn units(&self, arch: &Arch) -> Vec<Unit> {
        if let Err(error) = self.check(arch) {
            panic!("{error}");
        }
        let mut units = Vec::with_capacity(3 + arch.depths().iter().sum::<usize>());
        let mut size = arch.resolution;
        let mut push = |layers| {
            let unit = Unit { input_size: size, layers };
            size = unit.output_size();
            units.push(unit);
        };
        push(UnitLayers::Stem(self.stem_shape()));
        push(UnitLayers::Block(self.first_block_shape()));
        for (s, stage) in arch.stages.iter().enumerate() {
            for (b, block) in stage.blocks.iter().enumerate() {
                push(UnitLayers::Block(self.block_shape(s, b, block.kernel_size, block.expand_ratio)));
            }
        }
        push(UnitLayers::Head(self.head_shape()));
        units
    }

    /// Shape of the stem convolution.
    pub fn stem_shape(&self) -> ConvShape {
        ConvShape {
            in_channels: self.image_channels,
            out_channels: self.stem.channels,
            kernel_size: 3,
            stride: self.stem.stride,
            activation: self.stem.activation,
        }
    }

    /// Shape of the first, fixed block.
    pub fn first_block_shape(&self) -> BlockShape {
        BlockShape {
            in_channels: self.stem.channels,
            mid_channels: self.stem.channels,
            out_channels: self.stem.block_channels,
            kernel_size: 3,
            stride: 1,
            activation: self.stem.block_activation,
            expansion: false,
            squeeze_excite: false,
        }
    }

    /// Shape of block `block` (from 0) of stage `stage` (from 0) with the given choices.
    pub fn block_shape(&self, stage: usize, block: usize, kernel_size: usize, expand_ratio: ExpandRatio) -> BlockShape {
        let space = &self.stages[stage];
        let in_channels = match (stage, block) {
            (0, 0) => self.stem.block_channels,
            (_, 0) => self.stages[stage - 1].channels,
            _ => space.channels,
        };
        let expansion = expand_ratio != ExpandRatio::from(1);
        let mid = (in_channels as f64 * expand_ratio.value()).round_ties_even();
        BlockShape {
            in_channels,
            mid_channels: if expansion { make_divisible(mid, 8) } else { in_channels },
            out_channels: space.channels,
            kernel_size,
            stride: if block == 0 { space.stride } else { 1 },
            activation: space.activation,
            expansion,
            squeeze_excite: space.squeeze_excite,
        }
    }

    /// Shape of the head.
    pub fn head_shape(&self) -> HeadShape {
        HeadShape {
            in_channels: self.stages.last().expect("a valid space has a stage").channels,
            expand_channels: self.head.expand_channels,
            mix_channels: self.head.mix_channels,
            classes: self.classes,
            activation: self.head.activation,
        }
    }
}

/// Rounds a number of channels to a multiple of `divisor`, at least `divisor` and never below 90 % of `value`.
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

    #[test]
    fn units_follow_the_strides() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let sizes: Vec<_> = space.units(&space.smallest().at_resolution(28)).iter().map(|u| u.input_size).collect();
        assert_eq!(sizes, [28, 28, 28, 14, 14, 7, 7, 7, 7]);
        let units = space.units(&space.largest());
        assert_eq!(units.len(), 1 + 1 + 12 + 1);
        assert_eq!(units.last().unwrap().in_channels(), 32);
    }

    #[test]
    fn only_blocks_that_keep_the_shape_are_residual() {
        let space = SearchSpace::mobilenet_v3(1.0, 1000);
        let residual: Vec<bool> = space
            .units(&space.smallest())
            .iter()
            .filter_map(|unit| match unit.layers {
                UnitLayers::Block(block) => Some(block.has_residual()),
                _ => None,
            })
            .collect();
        assert_eq!(residual, [true, false, true, false, true, false, true, false, true, false, true]);
    }
}
