//! [`AdditiveCost`]: a cost that is a sum over the units of a network, prepared for millions of look-ups.

use ofa_model::{Arch, BlockArch, Ratio, SearchSpace, StageSpace, Unit, UnitLayers};
use std::collections::BTreeSet;

/// A cost of archs that is a sum over their units (latency by table, MACs, parameters).
///
/// Every unit's share is computed once for the whole space; the cost of an arch is then a few array reads, without
/// building units or text keys.
#[derive(Clone, Debug)]
pub struct AdditiveCost {
    resolutions: Vec<usize>,
    /// What the stem adds, by resolution.
    stem: Vec<f64>,
    stages: Vec<StageCosts>,
    /// What the head adds, `[resolution, width of the last stage]`, flattened.
    heads: Vec<f64>,
}

#[derive(Clone, Debug)]
struct StageCosts {
    /// Widths that the stage before can have.
    inputs: usize,
    widths: Vec<Ratio>,
    kernel_sizes: Vec<usize>,
    expand_ratios: Vec<Ratio>,
    /// `[resolution, first block by width of the stage before and later block, width, kernel size, expand ratio]`,
    /// flattened.
    blocks: Vec<f64>,
}

impl AdditiveCost {
    /// A cost that adds up `cost` over the units of an arch.
    pub fn new(space: &SearchSpace, mut cost: impl FnMut(&Unit) -> f64) -> Self {
        Self::by_resolution(space, |_, unit| cost(unit))
    }

    /// A cost that adds up `cost` of the arch's resolution and a unit over the units of an arch.
    pub(crate) fn by_resolution(space: &SearchSpace, mut cost: impl FnMut(usize, &Unit) -> f64) -> Self {
        let resolutions = space.resolutions.len();
        let stages = space.stages.iter().enumerate().map(|(s, stage)| {
            let inputs = space.stage_inputs(s).len();
            let choices = stage.widths.len() * stage.kernel_sizes.len() * stage.expand_ratios.len();
            StageCosts {
                inputs,
                widths: stage.widths.clone(),
                kernel_sizes: stage.kernel_sizes.clone(),
                expand_ratios: stage.expand_ratios.clone(),
                blocks: vec![0.0; resolutions * (inputs + 1) * choices],
            }
        });
        let mut sums = Self {
            resolutions: space.resolutions.clone(),
            stem: vec![0.0; resolutions],
            stages: stages.collect(),
            heads: vec![0.0; resolutions * space.stage_inputs(space.stages.len()).len()],
        };
        for (r, &resolution) in space.resolutions.iter().enumerate() {
            for_each_unit(space, resolution, |place, unit| match place {
                Place::Stem => sums.stem[r] += cost(resolution, &unit),
                Place::Block { stage, input, width, block } => {
                    let stage = &mut sums.stages[stage];
                    let width = stage.width(width).expect("the width is one of the stage's choices");
                    let i = stage.index(r, input, width, &block).expect("the block is one of the stage's choices");
                    stage.blocks[i] += cost(resolution, &unit);
                }
                Place::Head { input } => {
                    let i = sums.head(r, input);
                    sums.heads[i] += cost(resolution, &unit);
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
    /// If `arch` has a resolution, a number of stages, a width, a kernel size or an expand ratio that the space does not
    /// offer.
    pub fn of(&self, arch: &Arch) -> f64 {
        self.get(arch).unwrap_or_else(|| panic!("arch `{arch}` is outside the space of this cost"))
    }

    fn get(&self, arch: &Arch) -> Option<f64> {
        let r = self.resolutions.iter().position(|&r| r == arch.resolution)?;
        if arch.stages.len() != self.stages.len() {
            return None;
        }
        let mut sum = self.stem[r];
        let mut before = 0;
        for (stage, costs) in arch.stages.iter().zip(&self.stages) {
            let width = costs.width(stage.width)?;
            for (b, block) in stage.blocks.iter().enumerate() {
                let input = (b == 0).then_some(before);
                sum += costs.blocks[costs.index(r, input, width, block)?];
            }
            before = width;
        }
        Some(sum + self.heads[self.head(r, before)])
    }

    /// Place in `heads` of a resolution and a width of the last stage.
    fn head(&self, resolution: usize, width: usize) -> usize {
        resolution * (self.heads.len() / self.resolutions.len()) + width
    }

    /// This cost times `slope`, plus `intercept` a network.
    pub(crate) fn scaled(mut self, slope: f64, intercept: f64) -> Self {
        let blocks = self.stages.iter_mut().flat_map(|stage| &mut stage.blocks);
        blocks.chain(&mut self.heads).for_each(|cost| *cost *= slope);
        self.stem.iter_mut().for_each(|cost| *cost = *cost * slope + intercept);
        self
    }
}

impl StageCosts {
    fn width(&self, width: Ratio) -> Option<usize> {
        self.widths.iter().position(|&other| other == width)
    }

    /// Place in `blocks` of a first block behind a stage of width `input`, or of a later block.
    fn index(&self, resolution: usize, input: Option<usize>, width: usize, block: &BlockArch) -> Option<usize> {
        let kernel = self.kernel_sizes.iter().position(|&kernel| kernel == block.kernel_size)?;
        let ratio = self.expand_ratios.iter().position(|&ratio| ratio == block.expand_ratio)?;
        let row = resolution * (self.inputs + 1) + input.unwrap_or(self.inputs);
        let row = (row * self.widths.len() + width) * self.kernel_sizes.len() + kernel;
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
    /// In the stem: every network of this resolution has it.
    Stem,
    /// In or, if it is a pooling, before a block of a stage of this width, with these choices: the first block behind a
    /// stage with the `input`th of its widths, or a later block. Later blocks of a stage are all alike.
    Block { stage: usize, input: Option<usize>, width: Ratio, block: BlockArch },
    /// Behind a last stage with the `input`th of its widths.
    Head { input: usize },
}

/// Visits every unit that a network of this resolution can have, once a place.
fn for_each_unit(space: &SearchSpace, resolution: usize, mut visit: impl FnMut(Place, Unit)) {
    let mut size = resolution;
    for unit in space.stem_units(resolution) {
        size = unit.output_size();
        visit(Place::Stem, unit);
    }
    for (s, stage) in space.stages.iter().enumerate() {
        let entry = size;
        let choices: Vec<(Ratio, BlockArch)> = choices(stage).collect();
        for (input, &in_channels) in space.stage_inputs(s).iter().enumerate() {
            for &(width, block) in &choices {
                let pool = stage.max_pool.then_some(UnitLayers::MaxPool { channels: in_channels });
                size = entry;
                for layers in pool.into_iter().chain([space.block_layers(s, 0, in_channels, width, block)]) {
                    let unit = Unit { input_size: size, layers };
                    size = unit.output_size();
                    visit(Place::Block { stage: s, input: Some(input), width, block }, unit);
                }
            }
        }
        if stage.depths.last().is_some_and(|&deepest| deepest > 1) {
            for &(width, block) in &choices {
                let layers = space.block_layers(s, 1, stage.channels_at(width), width, block);
                visit(Place::Block { stage: s, input: None, width, block }, Unit { input_size: size, layers });
            }
        }
    }
    for (input, &channels) in space.stage_inputs(space.stages.len()).iter().enumerate() {
        let layers = UnitLayers::Head(space.head_shape(channels));
        visit(Place::Head { input }, Unit { input_size: size, layers });
    }
}

/// Every width and every pair of kernel size and expand ratio that a stage offers.
fn choices(stage: &StageSpace) -> impl Iterator<Item = (Ratio, BlockArch)> {
    let of_width = move |&width: &Ratio| {
        let of_kernel = move |&kernel_size: &usize| {
            let block = move |&expand_ratio: &Ratio| (width, BlockArch { kernel_size, expand_ratio });
            stage.expand_ratios.iter().map(block)
        };
        stage.kernel_sizes.iter().flat_map(of_kernel)
    };
    stage.widths.iter().flat_map(of_width)
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
        for space in [
            tiny_space(),
            SearchSpace::small_mobilenet_v3(1, 10),
            SearchSpace::mobilenet_v3(1.0, 1000),
            SearchSpace::proxyless_nas(1.3, 1000),
            SearchSpace::resnet50d(1000),
        ] {
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
        let mut wide = tiny_space();
        wide.stages.push(wide.stages[0].clone());
        wide.stages.iter_mut().for_each(|stage| stage.widths = vec![1.into(), 2.into()]);
        wide.stages[1].max_pool = true;
        for (space, count) in [(tiny_space(), 40), (wide, 2 * 40 * 40)] {
            let archs = crate::testing::all_archs(&space);
            assert_eq!(archs.len(), count);
            let expected: HashSet<Unit> = archs.iter().flat_map(|arch| space.units(arch)).collect();
            let units = distinct_units(&space);
            assert_eq!(units.len(), expected.len());
            assert_eq!(units.into_iter().collect::<HashSet<_>>(), expected);
        }
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
