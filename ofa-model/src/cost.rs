//! Exact costs of an arch, computed from shapes alone: no weights needed.

use crate::{Arch, BlockShape, ConvShape, HeadShape, SearchSpace, Unit, UnitLayers};
use serde::{Deserialize, Serialize};

/// What one forward pass of one image costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Multiply-accumulate operations of convolutions and linear layers (the papers' "FLOPs").
    pub macs: u64,
    /// Trainable numbers of the extracted subnet.
    pub parameters: u64,
    /// The largest sum of activations that are alive at once, in f32, when activations work in place.
    pub peak_activation_bytes: u64,
}

impl SearchSpace {
    /// Costs of `arch`.
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
    /// Costs of this unit alone.
    pub fn cost(&self) -> Cost {
        let (input, output) = (square(self.input_size), square(self.output_size()));
        let (macs, parameters, peak) = match &self.layers {
            UnitLayers::Stem(conv) => conv.cost(input, output),
            UnitLayers::Block(block) => block.cost(input, output),
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
        (weights * output, weights + norm, self.in_channels * input + self.out_channels * output)
    }
}

impl BlockShape {
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
        let kept = if self.has_residual() { entering } else { 0 };
        let expanded = if self.expansion { self.mid_channels * input } else { 0 };
        let filtered = self.mid_channels * output;
        let filtering = if self.expansion { kept + expanded + filtered } else { entering + filtered };
        let projecting = kept + filtered + self.out_channels * output;
        (entering + expanded).max(filtering).max(projecting)
    }
}

impl HeadShape {
    fn cost(&self, input: usize) -> (usize, usize, usize) {
        let expand = self.in_channels * self.expand_channels;
        let mix = self.mix_channels.map_or(0, |channels| self.expand_channels * channels);
        let classify = self.feature_channels() * self.classes;
        let macs = expand * input + mix + classify;
        let parameters = expand + 2 * self.expand_channels + mix + classify + self.classes;
        (macs, parameters, (self.in_channels + self.expand_channels) * input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MACs and parameters at 224 px printed by the original implementation.
    #[test]
    fn published_mobilenet_v3_costs() {
        let cases = [
            (1.0, 121_278_672, 3_410_792, 566_170_656, 7_664_760),
            (1.2, 193_078_200, 4_602_456, 843_101_040, 10_701_632),
        ];
        for (width, min_macs, min_parameters, max_macs, max_parameters) in cases {
            let space = SearchSpace::mobilenet_v3(width, 1000);
            let smallest = space.cost(&space.smallest().at_resolution(224));
            let largest = space.cost(&space.largest());
            assert_eq!((smallest.macs, smallest.parameters), (min_macs, min_parameters), "width {width}");
            assert_eq!((largest.macs, largest.parameters), (max_macs, max_parameters), "width {width}");
        }
    }

    #[test]
    fn peak_activations_of_a_residual_block_keep_the_input() {
        let shape = BlockShape {
            in_channels: 2,
            mid_channels: 6,
            out_channels: 2,
            kernel_size: 3,
            stride: 1,
            activation: crate::Activation::Relu,
            expansion: true,
            squeeze_excite: false,
        };
        let unit = Unit { input_size: 4, layers: UnitLayers::Block(shape) };
        // Input 2, expanded 6 and filtered 6 channels of 16 pixels are alive during the depthwise convolution.
        assert_eq!(unit.cost().peak_activation_bytes, (2 + 6 + 6) * 16 * 4);
    }
}
