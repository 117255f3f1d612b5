//! [`AdditiveCost`]: a cost that is a sum over the units of a network, precomputed for millions of look-ups.

mod pair_ranks;
mod stage_costs;

use crate::{Predictor, SearchError};
use ofa_model::{Arch, BlockArch, Ratio, SearchSpace, StageSpace, Unit, UnitLayers};
use stage_costs::StageCosts;
use std::collections::BTreeSet;

/// A cost that is a sum over the units of an arch (latency by table, MACs, parameters), or a score that is a sum over
/// its blocks.
///
/// Every term is computed once for the whole space. Evaluating an arch then takes a few array reads and builds no units
/// or text keys.
#[derive(Clone, Debug)]
pub struct AdditiveCost {
    resolutions: Vec<usize>,
    /// Cost of the stem, by resolution.
    stem: Vec<f64>,
    stages: Vec<StageCosts>,
    /// Cost of the head, `[resolution, width of the last stage]`, flattened.
    heads: Vec<f64>,
}

impl AdditiveCost {
    /// The sum of `cost` over the units of an arch.
    pub fn new(space: &SearchSpace, mut cost: impl FnMut(&Unit) -> f64) -> Self {
        Self::by_resolution(space, |_, unit| cost(unit))
    }

    /// The sum of `cost` over the units of an arch, where `cost` also receives the resolution of the arch.
    pub(crate) fn by_resolution(space: &SearchSpace, mut cost: impl FnMut(usize, &Unit) -> f64) -> Self {
        let mut sums = Self::zero(space);
        for (r, &resolution) in space.resolutions.iter().enumerate() {
            for_each_unit(space, resolution, |place, unit| match place {
                Place::Stem => sums.stem[r] += cost(resolution, &unit),
                Place::Block { stage, input, width, block } => {
                    let stage = &mut sums.stages[stage];
                    let places = input.map_or(stage.later_places(), |input| input..input + 1);
                    stage.add(r, places, width, &block, cost(resolution, &unit));
                }
                Place::Head { input } => {
                    let i = sums.head(r, input);
                    sums.heads[i] += cost(resolution, &unit);
                }
            });
        }
        sums
    }

    /// The sum of `block` over the blocks of an arch, plus `network` of its resolution.
    pub fn by_block(
        space: &SearchSpace,
        network: impl FnMut(usize) -> f64,
        mut block: impl FnMut(&PlacedBlock) -> f64,
    ) -> Self {
        let mut sums = Self::zero(space);
        sums.stem = space.resolutions.iter().copied().map(network).collect();
        for (r, &resolution) in space.resolutions.iter().enumerate() {
            for (stage, (sums, offered)) in sums.stages.iter_mut().zip(&space.stages).enumerate() {
                for b in 0..offered.greatest_depth() {
                    let places = if b == 0 { sums.first_places() } else { sums.place(0, b)..sums.place(0, b) + 1 };
                    for (width, choices) in choices(offered) {
                        let share = block(&PlacedBlock { resolution, stage, block: b, width, choices });
                        sums.add(r, places.clone(), width, &choices, share);
                    }
                }
            }
        }
        sums
    }

    fn zero(space: &SearchSpace) -> Self {
        let resolutions = space.resolutions.len();
        let stages = space.stages.iter().enumerate();
        let stages = stages.map(|(s, stage)| StageCosts::zero(stage, space.stage_inputs(s).len(), resolutions));
        Self {
            resolutions: space.resolutions.clone(),
            stem: vec![0.0; resolutions],
            stages: stages.collect(),
            heads: vec![0.0; resolutions * space.stage_inputs(space.stages.len()).len()],
        }
    }

    /// Multiply-accumulate operations.
    pub fn macs(space: &SearchSpace) -> Self {
        Self::new(space, |unit| unit.cost().macs as f64)
    }

    /// Number of trainable parameters.
    pub fn parameters(space: &SearchSpace) -> Self {
        Self::new(space, |unit| unit.cost().parameters as f64)
    }

    /// The cost of `arch`.
    ///
    /// # Panics
    ///
    /// If `arch` has a resolution, number of stages, depth, width, kernel size or expand ratio that the space does not
    /// offer.
    pub fn of(&self, arch: &Arch) -> f64 {
        self.get(arch).unwrap_or_else(|| panic!("arch `{arch}` is outside the space of this cost"))
    }

    /// The cost at fraction `share` of the way from the smallest arch of `space` to the largest.
    ///
    /// # Panics
    ///
    /// Those of [`Self::of`].
    pub fn at_share(&self, space: &SearchSpace, share: f64) -> f64 {
        let [low, high] = [space.smallest(), space.largest()].map(|arch| self.of(&arch));
        low + share * (high - low)
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
                sum += costs.of(r, costs.place(before, b), width, block)?;
            }
            before = width;
        }
        Some(sum + self.heads[self.head(r, before)])
    }

    /// The cost of everything before the first block, at this resolution.
    ///
    /// # Panics
    ///
    /// Panics, like the methods below, if the space of this cost does not offer a choice.
    pub(crate) fn before_blocks(&self, resolution: usize) -> f64 {
        self.stem[self.resolution(resolution)]
    }

    /// The cost of a block whose stage follows a stage of width `input` (`None` in the first stage).
    pub(crate) fn of_block(&self, block: &PlacedBlock, input: Option<Ratio>) -> f64 {
        let stage = &self.stages[block.stage];
        let input = input.map_or(0, |input| self.last_width(block.stage, input));
        let width = stage.width(block.width).expect("the width is one of the stage's choices");
        let place = stage.place(input, block.block);
        let share = stage.of(self.resolution(block.resolution), place, width, &block.choices);
        share.expect("the block is one of the stage's choices")
    }

    /// The cost of everything after the last block, at this resolution and width of the last stage.
    pub(crate) fn after_blocks(&self, resolution: usize, width: Ratio) -> f64 {
        self.heads[self.head(self.resolution(resolution), self.last_width(self.stages.len(), width))]
    }

    fn resolution(&self, resolution: usize) -> usize {
        let place = self.resolutions.iter().position(|&other| other == resolution);
        place.unwrap_or_else(|| panic!("resolution {resolution} is outside the space of this cost"))
    }

    /// Index of a width among those of the stage before `stage`.
    fn last_width(&self, stage: usize, width: Ratio) -> usize {
        self.stages[stage - 1].width(width).expect("the width is one of the stage's choices")
    }

    /// Index in `heads` of a resolution and a width of the last stage.
    fn head(&self, resolution: usize, width: usize) -> usize {
        resolution * (self.heads.len() / self.resolutions.len()) + width
    }

    /// This cost times `slope`, plus `intercept` once per network.
    pub(crate) fn scaled(mut self, slope: f64, intercept: f64) -> Self {
        self.stages.iter_mut().for_each(|stage| stage.scale(slope));
        self.heads.iter_mut().for_each(|cost| *cost *= slope);
        self.stem.iter_mut().for_each(|cost| *cost = *cost * slope + intercept);
        self
    }
}

/// Scores archs by the sum.
impl Predictor for AdditiveCost {
    /// # Panics
    ///
    /// As [`AdditiveCost::of`].
    fn predict(&self, archs: &[Arch]) -> Result<Vec<f64>, SearchError> {
        Ok(archs.iter().map(|arch| self.of(arch)).collect())
    }
}

/// A block of an arch and its position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlacedBlock {
    /// Input resolution of the arch, in pixels.
    pub resolution: usize,
    /// Index of its stage, from 0.
    pub stage: usize,
    /// Index within the stage, from 0.
    pub block: usize,
    /// Width of the stage, a multiple of its base width.
    pub width: Ratio,
    /// Kernel size and expand ratio.
    pub choices: BlockArch,
}

/// All units used by any arch of the space at any resolution, without duplicates.
pub fn distinct_units(space: &SearchSpace) -> Vec<Unit> {
    let mut units = BTreeSet::new();
    for &resolution in &space.resolutions {
        for_each_unit(space, resolution, |_, unit| {
            units.insert(unit);
        });
    }
    units.into_iter().collect()
}

/// Position of a unit in a network.
enum Place {
    /// In the stem, which all networks of one resolution share.
    Stem,
    /// A block with these choices in a stage of this width, or the pooling in front of it. `input` is the index of the
    /// previous stage's width for the first block of a stage and `None` for later blocks, which are all alike.
    Block { stage: usize, input: Option<usize>, width: Ratio, block: BlockArch },
    /// The head, where `input` is the index of the last stage's width.
    Head { input: usize },
}

/// Visits every unit that a network of this resolution can have, once per position.
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

/// Every combination of width, kernel size and expand ratio that a stage offers.
pub(crate) fn choices(stage: &StageSpace) -> impl Iterator<Item = (Ratio, BlockArch)> {
    stage.widths.iter().flat_map(|&width| pairs(stage).map(move |pair| (width, pair)))
}

/// Every combination of kernel size and expand ratio that a stage offers.
fn pairs(stage: &StageSpace) -> impl Iterator<Item = BlockArch> {
    let of_kernel = |&kernel_size: &usize| {
        stage.expand_ratios.iter().map(move |&expand_ratio| BlockArch { kernel_size, expand_ratio })
    };
    stage.kernel_sizes.iter().flat_map(of_kernel)
}

#[cfg(test)]
mod tests;
