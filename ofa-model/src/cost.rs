//! Exact costs of an arch, computed from shapes alone; no weights needed.

use crate::{Arch, BottleneckShape, ConvShape, HeadShape, MbConvShape, SearchSpace, Unit, UnitLayers};
use serde::{Deserialize, Serialize};

/// Cost of one forward pass on one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Multiply-accumulate operations of convolutions and linear layers (what the papers call "FLOPs").
    pub macs: u64,
    /// Number of trainable scalars of the extracted subnet.
    pub parameters: u64,
    /// Largest total size of the f32 activations alive at once, with activation functions applied in place.
    pub peak_activation_bytes: u64,
}

impl SearchSpace {
    /// Exact cost of `arch` on one image at its own resolution.
    ///
    /// # Panics
    ///
    /// If `arch` is outside the space.
    pub fn cost(&self, arch: &Arch) -> Cost {
        self.units(arch).iter().map(Unit::cost).fold(Cost::default(), |sum, unit| Cost {
            macs: sum.macs + unit.macs,
            parameters: sum.parameters + unit.parameters,
            peak_activation_bytes: sum.peak_activation_bytes.max(unit.peak_activation_bytes),
        })
    }
}

impl Unit {
    /// Exact cost of this unit alone on one image.
    pub fn cost(&self) -> Cost {
        let (input, output) = (square(self.input_size), square(self.output_size()));
        let (macs, parameters, peak) = match &self.layers {
            UnitLayers::Conv(conv) => conv.cost(input, output),
            UnitLayers::MaxPool { channels } => (0, 0, channels * (input + output)),
            UnitLayers::MbConv(block) => block.cost(input, output),
            UnitLayers::Bottleneck(block) => block.cost(input, output),
            UnitLayers::Head(head) => head.cost(input),
        };
        Cost {
            macs: macs as u64,
            parameters: parameters as u64,
            peak_activation_bytes: (peak * size_of::<f32>()) as u64,
        }
    }
}

fn square(size: usize) -> usize {
    size * size
}

impl ConvShape {
    fn cost(&self, input: usize, output: usize) -> (usize, usize, usize) {
        let weights = self.in_channels * self.out_channels * square(self.kernel_size);
        let norm = 2 * self.out_channels;
        let (entering, leaving) = (self.in_channels * input, self.out_channels * output);
        (weights * output, weights + norm, entering + leaving)
    }
}

impl MbConvShape {
    fn cost(&self, input: usize, output: usize) -> (usize, usize, usize) {
        let &Self { in_channels, mid_channels, out_channels, kernel_size, .. } = self;
        let expand = if self.expansion { in_channels * mid_channels } else { 0 };
        let depthwise = mid_channels * square(kernel_size);
        let project = mid_channels * out_channels;
        let squeeze = if self.squeeze_excite { 2 * mid_channels * self.squeeze_channels() } else { 0 };
        let squeeze_biases = if self.squeeze_excite { mid_channels + self.squeeze_channels() } else { 0 };
        let norms = 2 * (mid_channels + out_channels) + if self.expansion { 2 * mid_channels } else { 0 };

        let macs = expand * input + (depthwise + project) * output + squeeze;
        let parameters = expand + depthwise + project + squeeze + squeeze_biases + norms;
        (macs, parameters, self.peak_activations(input, output))
    }

    fn peak_activations(&self, input: usize, output: usize) -> usize {
        let entering = self.in_channels * input;
        let kept = if self.residual { entering } else { 0 };
        let expanded = if self.expansion { self.mid_channels * input } else { 0 };
        let filtered = self.mid_channels * output;
        let filtering = if self.expansion { kept + expanded + filtered } else { entering + filtered };
        let projecting = kept + filtered + self.out_channels * output;
        (entering + expanded).max(filtering).max(projecting)
    }
}

impl BottleneckShape {
    fn cost(&self, input: usize, output: usize) -> (usize, usize, usize) {
        let &Self { in_channels, mid_channels, out_channels, kernel_size, .. } = self;
        let reduce = in_channels * mid_channels;
        let filter = square(mid_channels) * square(kernel_size);
        let expand = mid_channels * out_channels;
        let shortcut = if self.downsample { in_channels * out_channels } else { 0 };
        let norms = 2 * (2 * mid_channels + out_channels) + if self.downsample { 2 * out_channels } else { 0 };

        let macs = reduce * input + (filter + expand + shortcut) * output;
        let parameters = reduce + filter + expand + shortcut + norms;
        (macs, parameters, self.peak_activations(input, output))
    }

    /// The input stays alive to the end: it is either added there or turned into the shortcut.
    fn peak_activations(&self, input: usize, output: usize) -> usize {
        let entering = self.in_channels * input;
        let (reduced, filtered) = (self.mid_channels * input, self.mid_channels * output);
        let expanded = self.out_channels * output;
        let averaged = if self.stride > 1 { self.in_channels * output } else { 0 };
        let shortcut = if self.downsample { averaged + expanded } else { 0 };
        entering + (reduced + filtered).max(filtered + expanded).max(expanded + shortcut)
    }
}

impl HeadShape {
    fn cost(&self, input: usize) -> (usize, usize, usize) {
        let expand = self.expand_channels.map_or(0, |channels| self.in_channels * channels);
        let norm = self.expand_channels.map_or(0, |channels| 2 * channels);
        let mix = self.mix_channels.map_or(0, |channels| self.pooled_channels() * channels);
        let classify = self.feature_channels() * self.classes;
        let macs = expand * input + mix + classify;
        let parameters = expand + norm + mix + classify + self.classes;
        (macs, parameters, (self.in_channels + self.expand_channels.unwrap_or(0)) * input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MACs and parameters at 224 px as printed by the original implementation.
    #[test]
    fn costs_of_the_published_spaces() {
        let cases = [
            (SearchSpace::mobilenet_v3(1.0, 1000), [121_278_672, 3_410_792, 566_170_656, 7_664_760]),
            (SearchSpace::mobilenet_v3(1.2, 1000), [193_078_200, 4_602_456, 843_101_040, 10_701_632]),
            (SearchSpace::proxyless_nas(1.3, 1000), [265_526_256, 3_718_832, 1_004_908_032, 7_942_056]),
            (SearchSpace::resnet50d(1000), [962_192_128, 6_539_280, 7_491_643_904, 48_105_992]),
        ];
        for (space, expected) in cases {
            let smallest = space.cost(&space.smallest().at_resolution(224));
            let largest = space.cost(&space.largest());
            let found = [smallest.macs, smallest.parameters, largest.macs, largest.parameters];
            assert_eq!(found, expected, "{}", space.name);
        }
    }

    #[test]
    fn peak_activations_of_a_residual_block_keep_the_input() {
        let shape = MbConvShape {
            in_channels: 2,
            mid_channels: 6,
            out_channels: 2,
            kernel_size: 3,
            stride: 1,
            activation: crate::Activation::Relu,
            expansion: true,
            squeeze_excite: false,
            residual: true,
        };
        let unit = Unit { input_size: 4, layers: UnitLayers::MbConv(shape) };
        // Input 2, expanded 6 and filtered 6 channels of 16 pixels are alive during the depthwise convolution.
        assert_eq!(unit.cost().peak_activation_bytes, (2 + 6 + 6) * 16 * 4);
    }
}
