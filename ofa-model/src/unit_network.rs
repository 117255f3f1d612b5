//! The layers of a single unit, to be timed on their own.

use crate::elastic::{Block, ConvNorm, Head, Statistics};
use crate::{Unit, UnitLayers, init::Initializer};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// One unit as a network of its own, with random weights: what a latency table measures.
#[derive(Module, Debug)]
pub struct UnitNetwork {
    stem: Option<ConvNorm>,
    block: Option<Block>,
    head: Option<Head>,
}

impl Unit {
    /// The layers of this unit with random weights and the statistics of a fresh batch norm.
    pub fn network(&self, device: &Device) -> UnitNetwork {
        const EPSILON: f64 = 1e-5;
        let init = &mut Initializer::new(0, device);
        let mut network = UnitNetwork { stem: None, block: None, head: None };
        match &self.layers {
            UnitLayers::Stem(shape) => network.stem = Some(ConvNorm::dense(shape, EPSILON, init)),
            UnitLayers::Block(shape) => network.block = Some(Block::init(shape, EPSILON, init)),
            UnitLayers::Head(shape) => network.head = Some(Head::init(shape, EPSILON, init)),
        }
        network
    }

    /// An input of this unit, `[batch, channels, size, size]`.
    pub fn input(&self, batch: usize, device: &Device) -> Tensor<4> {
        Tensor::ones([batch, self.in_channels(), self.input_size, self.input_size], device)
    }
}

impl UnitNetwork {
    /// Inference on `[batch, channels, size, size]`; the output is flattened to `[batch, numbers]`.
    pub fn infer(&self, input: Tensor<4>) -> Tensor<2> {
        let statistics = &mut Statistics::Running;
        if let Some(head) = &self.head {
            return head.forward(input, statistics);
        }
        let stem = self.stem.as_ref().map(|stem| stem.forward(input.clone(), statistics));
        let block = self.block.as_ref().map(|block| block.forward(input, statistics));
        stem.or(block).expect("a unit has layers").flatten(1, 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SearchSpace;

    #[test]
    fn every_unit_runs_at_its_size() {
        let device = Device::flex();
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        for unit in space.units(&space.largest()) {
            let [batch, numbers] = unit.network(&device).infer(unit.input(2, &device)).dims();
            assert_eq!(batch, 2);
            assert_eq!(numbers % (unit.output_size() * unit.output_size()), 0);
        }
    }
}
