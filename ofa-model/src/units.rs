//! [`Unit`]: one sequential piece of a network, with everything its layers and its cost depend on.

mod shapes;

pub use shapes::{BottleneckShape, ConvShape, HeadShape, MbConvShape, make_divisible};

use crate::{Arch, BlockArch, BlockKind, Ratio, SearchSpace, StageArch, StageSpace};
use serde::{Deserialize, Serialize};

/// A piece of a network at the input size it runs at. Equal units have equal shapes and therefore equal costs, so a
/// unit is the key of a latency table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unit {
    /// Height and width of the input in pixels.
    pub input_size: usize,
    /// The layers and their shapes.
    pub layers: UnitLayers,
}

/// The layers of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitLayers {
    /// A dense convolution.
    Conv(ConvShape),
    /// 3x3 max pooling with stride 2.
    MaxPool {
        /// Channels of both input and output.
        channels: usize,
    },
    /// An inverted-bottleneck block.
    MbConv(MbConvShape),
    /// A ResNet bottleneck block.
    Bottleneck(BottleneckShape),
    /// Everything after the last block.
    Head(HeadShape),
}

impl Unit {
    /// Height and width of the output in pixels (1 for the head).
    pub fn output_size(&self) -> usize {
        let stride = match self.layers {
            UnitLayers::Conv(conv) => conv.stride,
            UnitLayers::MaxPool { .. } => 2,
            UnitLayers::MbConv(block) => block.stride,
            UnitLayers::Bottleneck(block) => block.stride,
            UnitLayers::Head(_) => return 1,
        };
        self.input_size.div_ceil(stride)
    }

    /// Channels of the output (classes for the head).
    pub fn out_channels(&self) -> usize {
        match self.layers {
            UnitLayers::Conv(conv) => conv.out_channels,
            UnitLayers::MaxPool { channels } => channels,
            UnitLayers::MbConv(block) => block.out_channels,
            UnitLayers::Bottleneck(block) => block.out_channels,
            UnitLayers::Head(head) => head.classes,
        }
    }

    /// Size of the unit's one spatial kernel; 1 if all kernels are 1x1.
    pub fn kernel_size(&self) -> usize {
        match self.layers {
            UnitLayers::Conv(conv) => conv.kernel_size,
            UnitLayers::MaxPool { .. } => 3,
            UnitLayers::MbConv(block) => block.kernel_size,
            UnitLayers::Bottleneck(block) => block.kernel_size,
            UnitLayers::Head(_) => 1,
        }
    }

    /// Channels of the input.
    pub fn in_channels(&self) -> usize {
        match self.layers {
            UnitLayers::Conv(conv) => conv.in_channels,
            UnitLayers::MaxPool { channels } => channels,
            UnitLayers::MbConv(block) => block.in_channels,
            UnitLayers::Bottleneck(block) => block.in_channels,
            UnitLayers::Head(head) => head.in_channels,
        }
    }
}

impl SearchSpace {
    /// The units that `arch` runs through, from input to output.
    ///
    /// # Panics
    ///
    /// If `arch` is outside the space.
    pub fn units(&self, arch: &Arch) -> Vec<Unit> {
        if let Err(error) = self.check(arch) {
            panic!("{error}");
        }
        let mut chain = self.stem_chain(arch.resolution);
        for (s, (arch, space)) in arch.stages.iter().zip(&self.stages).enumerate() {
            chain.push_stage(space, self.before(s), arch);
        }
        chain.push(UnitLayers::Head(self.head_shape(chain.channels)));
        chain.units
    }

    /// The units of the stem at a resolution; every network begins with them.
    pub fn stem_units(&self, resolution: usize) -> Vec<Unit> {
        self.stem_chain(resolution).units
    }

    fn stem_chain(&self, resolution: usize) -> Chain {
        let mut chain = Chain { units: Vec::new(), size: resolution, channels: self.image_channels };
        for (s, space) in self.stem.iter().enumerate() {
            let before = s.checked_sub(1).map(|before| &self.stem[before]);
            chain.push_stage(space, before, &space.smallest());
        }
        chain
    }

    /// Possible input channels of stage `stage` (from 0; the index after the last stage is the head): one entry per
    /// width of the stage before.
    pub fn stage_inputs(&self, stage: usize) -> Vec<usize> {
        self.before(stage).map_or(vec![self.image_channels], StageSpace::channel_choices)
    }

    /// Layers of block `block` of stage `stage` (both from 0) for the given choices.
    pub fn block_layers(
        &self,
        stage: usize,
        block: usize,
        in_channels: usize,
        width: Ratio,
        choices: BlockArch,
    ) -> UnitLayers {
        let space = &self.stages[stage];
        let place = space.place(block, self.before(stage));
        space.layers(place, [in_channels, space.channels_at(width)], choices)
    }

    /// Layers of a block with the largest value of every choice.
    pub(crate) fn largest_layers(&self, stage: usize, block: usize) -> UnitLayers {
        let space = &self.stages[stage];
        let (width, expand_ratio) = (last(&space.widths), last(&space.expand_ratios));
        let in_channels = if block == 0 { last(&self.stage_inputs(stage)) } else { space.channels_at(width) };
        let choices = BlockArch { kernel_size: last(&space.kernel_sizes), expand_ratio };
        self.block_layers(stage, block, in_channels, width, choices)
    }

    /// Channels after the last stage at its largest width.
    pub(crate) fn largest_channels(&self) -> usize {
        last(&self.stage_inputs(self.stages.len()))
    }

    /// The stage before elastic stage `stage`; `None` if the network starts there.
    fn before(&self, stage: usize) -> Option<&StageSpace> {
        stage.checked_sub(1).map_or(self.stem.last(), |before| self.stages.get(before))
    }

    /// Shape of the head for `in_channels` input channels.
    pub fn head_shape(&self, in_channels: usize) -> HeadShape {
        HeadShape {
            in_channels,
            expand_channels: self.head.expand_channels,
            mix_channels: self.head.mix_channels,
            classes: self.classes,
            activation: self.head.activation,
        }
    }
}

/// A growing sequence of units.
struct Chain {
    units: Vec<Unit>,
    /// Height and width after the last unit.
    size: usize,
    /// Channels after the last unit.
    channels: usize,
}

impl Chain {
    fn push(&mut self, layers: UnitLayers) {
        let unit = Unit { input_size: self.size, layers };
        self.size = unit.output_size();
        self.units.push(unit);
    }

    fn push_stage(&mut self, space: &StageSpace, before: Option<&StageSpace>, arch: &StageArch) {
        if space.max_pool {
            self.push(UnitLayers::MaxPool { channels: self.channels });
        }
        let out_channels = space.channels_at(arch.width);
        for (b, block) in arch.blocks.iter().enumerate() {
            self.push(space.layers(space.place(b, before), [self.channels, out_channels], *block));
            self.channels = out_channels;
        }
    }
}

fn last<T: Copy>(choices: &[T]) -> T {
    *choices.last().expect("a valid space offers at least one choice")
}

/// What a block's position in its stage determines.
#[derive(Clone, Copy)]
struct Place {
    stride: usize,
    /// Whether input and output have the same shape in every network, so the input can be added to the output.
    keeps_shape: bool,
}

impl StageSpace {
    /// The position of block `block` (from 0) in a stage that follows `before`.
    fn place(&self, block: usize, before: Option<&Self>) -> Place {
        if block > 0 {
            return Place { stride: 1, keeps_shape: true };
        }
        let (stride, ours) = (self.stride, self.channel_choices());
        let same_channels = ours.len() == 1 && before.is_some_and(|before| before.channel_choices() == ours);
        Place { stride, keeps_shape: stride == 1 && !self.max_pool && same_channels }
    }

    /// Layers of a block with the given input and output channels.
    fn layers(&self, place: Place, [in_channels, out_channels]: [usize; 2], block: BlockArch) -> UnitLayers {
        let Place { stride, keeps_shape } = place;
        let (activation, BlockArch { kernel_size, expand_ratio }) = (self.activation, block);
        let middle = |channels: usize| {
            let exact = channels as f64 * expand_ratio.value();
            make_divisible(exact.round_ties_even(), 8)
        };
        match self.block {
            BlockKind::Conv => {
                let residual = keeps_shape;
                UnitLayers::Conv(ConvShape { in_channels, out_channels, kernel_size, stride, activation, residual })
            }
            BlockKind::MbConv => UnitLayers::MbConv(MbConvShape {
                in_channels,
                mid_channels: if expand_ratio.is_one() { in_channels } else { middle(in_channels) },
                out_channels,
                kernel_size,
                stride,
                activation,
                expansion: !expand_ratio.is_one(),
                squeeze_excite: self.squeeze_excite,
                residual: keeps_shape,
            }),
            BlockKind::Bottleneck => UnitLayers::Bottleneck(BottleneckShape {
                in_channels,
                mid_channels: middle(out_channels),
                out_channels,
                kernel_size,
                stride,
                activation,
                downsample: !keeps_shape,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn channels_follow_the_widths() {
        let space = SearchSpace::resnet50d(1000);
        let arch = "r224-w0_65:k3e1.k3e1-k3e1-w0_8:k3e0_25.k3e0_2-w0_65:k3e0_2.k3e0_2-k3e0_2.k3e0_2.k3e0_2.k3e0_35-\
                    k3e0_35.k3e0_35";
        let units = space.units(&arch.parse().unwrap());
        let found: Vec<_> = units.iter().map(|unit| (unit.input_size, unit.in_channels())).collect();
        let stem = [(224, 3), (112, 24), (112, 24), (112, 64)];
        let stages = [(56, 64), (56, 208), (56, 208), (28, 336), (28, 336), (14, 1024), (14, 1024), (14, 1024)];
        let last = [(14, 1024), (7, 2048), (7, 2048)];
        assert_eq!(found, [stem.as_slice(), &stages, &last].concat());
        assert_eq!(units[3].layers, UnitLayers::MaxPool { channels: 64 });
        let UnitLayers::Bottleneck(first) = units[4].layers else { panic!("{:?}", units[4]) };
        // 208 x 0.25 = 52, rounded to a multiple of 8.
        assert_eq!((first.mid_channels, first.downsample), (56, true));
    }

    #[test]
    fn only_blocks_that_keep_the_shape_are_residual() {
        let space = SearchSpace::mobilenet_v3(1.0, 1000);
        let residual: Vec<bool> = space
            .units(&space.smallest())
            .iter()
            .filter_map(|unit| match unit.layers {
                UnitLayers::MbConv(block) => Some(block.residual),
                _ => None,
            })
            .collect();
        assert_eq!(residual, [true, false, true, false, true, false, true, false, true, false, true]);
    }

    #[test]
    fn a_first_block_is_residual_in_all_networks_or_in_none() {
        let mut space = SearchSpace::small_mobilenet_v3(1, 10);
        space.stages[0].stride = 1;
        let residual = |space: &SearchSpace| match space.units(&space.largest())[2].layers {
            UnitLayers::MbConv(block) => block.residual,
            other => panic!("{other:?}"),
        };
        assert!(residual(&space));
        space.stages[0].widths = vec![Ratio::try_from(0.5).unwrap(), Ratio::ONE];
        assert!(!residual(&space), "a narrower network could not add its input");
    }
}
