//! [`AdditiveCost`]: a cost that is a sum over the units of a network, prepared for millions of look-ups.

use ofa_model::{Arch, BlockArch, ExpandRatio, SearchSpace, Unit, UnitLayers};
use std::collections::BTreeSet;

/// A cost of archs that is a sum over their units (latency by table, MACs, parameters).
///
/// Every unit's share is computed once for the whole space; the cost of an arch is then a few array reads, without
/// building units or text keys.
#[derive(Clone, Debug)]
pub struct AdditiveCost {
    resolutions: Vec<usize>,
    /// What units without choices add, by resolution.
    fixed: Vec<f64>,
    stages: Vec<StageCosts>,
}

#[derive(Clone, Debug)]
struct StageCosts {
    kernel_sizes: Vec<usize>,
    expand_ratios: Vec<ExpandRatio>,
    /// `[resolution, first or later block, kernel size, expand ratio]`, flattened.
    blocks: Vec<f64>,
}

impl AdditiveCost {
    /// A cost that adds up `cost` over the units of an arch.
    pub fn new(space: &SearchSpace, mut cost: impl FnMut(&Unit) -> f64) -> Self {
        let stages = space.stages.iter().map(|stage| {
            let choices = 2 * stage.kernel_sizes.len() * stage.expand_ratios.len();
            StageCosts {
                kernel_sizes: stage.kernel_sizes.clone(),
                expand_ratios: stage.expand_ratios.clone(),
                blocks: vec![0.0; space.resolutions.len() * choices],
            }
        });
        let mut sums = Self {
            resolutions: space.resolutions.clone(),
            fixed: vec![0.0; space.resolutions.len()],
            stages: stages.collect(),
        };
        for (r, &resolution) in space.resolutions.iter().enumerate() {
            for_each_unit(space, resolution, |place, unit| match place {
                Place::Fixed => sums.fixed[r] += cost(&unit),
                Place::Block { stage, later, block } => {
                    let stage = &mut sums.stages[stage];
                    let i = stage.index(r, later, &block).expect("the block is one of the stage's choices");
                    stage.blocks[i] = cost(&unit);
                }
            });
        }
        sums
    }

    /// Multiply-accumulate operations.
    pub fn macs(space: &SearchSpace) -> Self {
        Self::new(space, |unit| unit.cost().macs as f64)
    }

    /// Trainable numbers.
    pub fn parameters(space: &SearchSpace) -> Self {
        Self::new(space, |unit| unit.cost().parameters as f64)
    }

    /// The cost of `arch`.
    ///
    /// # Panics
    ///
    /// If `arch` has a resolution, a number of stages, a kernel size or an expand ratio that the space does not offer.
    pub fn of(&self, arch: &Arch) -> f64 {
        self.get(arch).unwrap_or_else(|| panic!("arch `{arch}` is outside the space of this cost"))
    }

    fn get(&self, arch: &Arch) -> Option<f64> {
        let r = self.resolutions.iter().position(|&r| r == arch.resolution)?;
        if arch.stages.len() != self.stages.len() {
            return None;
        }
        let mut sum = self.fixed[r];
        for (stage, costs) in arch.stages.iter().zip(&self.stages) {
            for (b, block) in stage.blocks.iter().enumerate() {
                sum += costs.blocks[costs.index(r, b > 0, block)?];
            }
        }
        Some(sum)
    }

    /// This cost times `slope`, plus `intercept` a network.
    pub(crate) fn scaled(mut self, slope: f64, intercept: f64) -> Self {
        self.fixed.iter_mut().for_each(|cost| *cost = *cost * slope + intercept);
        self.stages.iter_mut().flat_map(|stage| &mut stage.blocks).for_each(|cost| *cost *= slope);
        self
    }
}

impl StageCosts {
    fn index(&self, resolution: usize, later: bool, block: &BlockArch) -> Option<usize> {
        let kernel = self.kernel_sizes.iter().position(|&kernel| kernel == block.kernel_size)?;
        let ratio = self.expand_ratios.iter().position(|&ratio| ratio == block.expand_ratio)?;
        let row = (resolution * 2 + usize::from(later)) * self.kernel_sizes.len() + kernel;
        Some(row * self.expand_ratios.len() + ratio)
    }
}

/// All units that any arch of the space runs through at any resolution, each once.
pub fn distinct_units(space: &SearchSpace) -> Vec<Unit> {
    let mut units = BTreeSet::new();
    for &resolution in &space.resolutions {
        for_each_unit(space, resolution, |_, unit| {
            units.insert(unit);
        });
    }
    units.into_iter().collect()
}

/// Where in a network a unit stands.
enum Place {
    /// Every network of this resolution has it.
    Fixed,
    /// The first or a later block of a stage, with these choices. Later blocks of a stage are all alike.
    Block { stage: usize, later: bool, block: BlockArch },
}

/// Visits every unit that a network of this resolution can have, once a place.
fn for_each_unit(space: &SearchSpace, resolution: usize, mut visit: impl FnMut(Place, Unit)) {
    let stem = Unit { input_size: resolution, layers: UnitLayers::Stem(space.stem_shape()) };
    let first_block = Unit { input_size: stem.output_size(), layers: UnitLayers::Block(space.first_block_shape()) };
    let mut size = first_block.output_size();
    visit(Place::Fixed, stem);
    visit(Place::Fixed, first_block);
    for (s, stage) in space.stages.iter().enumerate() {
        let deepest = stage.depths.last().copied().expect("a valid space offers a depth");
        for later in [false, true].into_iter().take(deepest) {
            let input_size = size;
            for &kernel_size in &stage.kernel_sizes {
                for &expand_ratio in &stage.expand_ratios {
                    let shape = space.block_shape(s, usize::from(later), kernel_size, expand_ratio);
                    let unit = Unit { input_size, layers: UnitLayers::Block(shape) };
                    size = unit.output_size();
                    visit(Place::Block { stage: s, later, block: BlockArch { kernel_size, expand_ratio } }, unit);
                }
            }
        }
    }
    visit(Place::Fixed, Unit { input_size: size, layers: UnitLayers::Head(space.head_shape()) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tiny_space;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::collections::HashSet;

    #[test]
    fn sums_equal_the_costs_of_the_space() {
        for space in [tiny_space(), SearchSpace::small_mobilenet_v3(1, 10), SearchSpace::mobilenet_v3(1.0, 1000)] {
            let (macs, parameters) = (AdditiveCost::macs(&space), AdditiveCost::parameters(&space));
            let scaled = macs.clone().scaled(2.0, 5.0);
            let rng = &mut ChaCha8Rng::seed_from_u64(1);
            for _ in 0..200 {
                let arch = space.sample(rng);
                let cost = space.cost(&arch);
                assert_eq!(
                    (macs.of(&arch), parameters.of(&arch)),
                    (cost.macs as f64, cost.parameters as f64),
                    "{arch}"
                );
                assert_eq!(scaled.of(&arch), 2.0 * macs.of(&arch) + 5.0);
            }
        }
    }

    #[test]
    fn distinct_units_are_exactly_those_of_all_archs() {
        let space = tiny_space();
        let archs = crate::testing::all_archs(&space);
        assert_eq!(archs.len(), 40);
        let expected: HashSet<Unit> = archs.iter().flat_map(|arch| space.units(arch)).collect();
        let units = distinct_units(&space);
        assert_eq!(units.len(), expected.len());
        assert_eq!(units.into_iter().collect::<HashSet<_>>(), expected);
    }

    #[test]
    fn a_stage_of_single_blocks_has_no_later_block() {
        let mut space = tiny_space();
        space.stages[0].depths = vec![1];
        // Two sizes of stem, first block, four first blocks and head.
        assert_eq!(distinct_units(&space).len(), 2 * (1 + 1 + 4 + 1));
    }

    #[test]
    #[should_panic(expected = "arch `r10-k3e3` is outside the space")]
    fn archs_outside_the_space_are_a_bug() {
        AdditiveCost::macs(&tiny_space()).of(&"r10-k3e3".parse().unwrap());
    }
}
