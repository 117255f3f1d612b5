//! The layers of a single unit, for timing it alone.

use crate::elastic::{Block, Head, Statistics};
use crate::{Unit, UnitLayers, init::Initializer};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// One unit as a standalone network with random weights: what a latency table measures.
#[derive(Module, Debug)]
pub struct UnitNetwork {
    block: Option<Block>,
    head: Option<Head>,
}

impl Unit {
    /// Builds the layers of this unit with random weights and freshly initialised batch-norm statistics.
    pub fn network(&self, device: &Device) -> UnitNetwork {
        const EPSILON: f64 = 1e-5;
        let init = &mut Initializer::new(0, device);
        let block = Block::init(&self.layers, EPSILON, init);
        let head = match &self.layers {
            UnitLayers::Head(shape) => Some(Head::init(shape, EPSILON, init)),
            _ => None,
        };
        UnitNetwork { block, head }
    }

    /// An input of ones for this unit, `[batch, channels, size, size]`.
    pub fn input(&self, batch: usize, device: &Device) -> Tensor<4> {
        Tensor::ones([batch, self.in_channels(), self.input_size, self.input_size], device)
    }
}

impl UnitNetwork {
    /// Runs inference on `[batch, channels, size, size]`; the output is flattened to `[batch, numbers]`.
    pub fn infer(&self, input: Tensor<4>) -> Tensor<2> {
        let statistics = &mut Statistics::Running;
        match (&self.block, &self.head) {
            (Some(block), _) => block.forward(input, statistics).flatten(1, 3),
            (None, Some(head)) => head.forward(input, statistics),
            (None, None) => unreachable!("a unit has layers"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SearchSpace;

    #[test]
    fn every_unit_runs_at_its_size() {
        let device = Device::flex();
        let (small, deep) = (SearchSpace::small_mobilenet_v3(1, 10), SearchSpace::resnet50d(10));
        let units = [small.units(&small.largest()), deep.units(&deep.smallest())].concat();
        for unit in units {
            let [batch, numbers] = unit.network(&device).infer(unit.input(2, &device)).dims();
            assert_eq!(batch, 2);
            assert_eq!(numbers % (unit.output_size() * unit.output_size()), 0);
        }
    }
}
