//! [`ChoiceGroups`]: the choices of a space as independent groups.

use crate::{Arch, BlockArch, ModelError, Ratio, SearchSpace, StageArch};
use std::ops::Range;

/// The choices of a space at one resolution as independent groups, of which a network takes one choice each: for every
/// stage its depth, then the candidate (kernel size and expand ratio) of each of its blocks at the greatest depth.
///
/// Methods that learn one number per choice keep a `Vec<f64>` per group, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct ChoiceGroups {
    resolution: usize,
    stages: Vec<StageGroups>,
}

/// The groups of one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageGroups {
    /// Index of the group of depths; those of the blocks follow it.
    pub first: usize,
    /// Depths to choose from, ascending.
    pub depths: Vec<usize>,
    /// Candidates of every block, by kernel size, then by expand ratio.
    pub candidates: Vec<BlockArch>,
    width: Ratio,
}

impl StageGroups {
    /// Indices of the groups of the blocks, first to last.
    pub fn blocks(&self) -> Range<usize> {
        self.first + 1..self.end()
    }

    fn end(&self) -> usize {
        self.first + 1 + self.depths.last().copied().unwrap_or_default()
    }
}

impl ChoiceGroups {
    /// The groups of `space` at `resolution`.
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidSpace`] if the space contradicts itself, lacks the resolution, offers several widths (all
    /// candidates of a block must have the same output) or has only one network at this resolution.
    pub fn new(space: &SearchSpace, resolution: usize) -> Result<Self, ModelError> {
        space.validate()?;
        let refuse = |problem: String| Err(ModelError::InvalidSpace { space: space.name.clone(), problem });
        if !space.resolutions.contains(&resolution) {
            return refuse(format!("it has no resolution {resolution}, only {:?}", space.resolutions));
        }
        if let Some(s) = space.stages.iter().position(|stage| stage.widths.len() > 1) {
            let widths = space.stages[s].widths.len();
            return refuse(format!(
                "stage {} offers {widths} widths, but candidates of a block must have the same output: keep one",
                s + 1
            ));
        }
        let mut first = 0;
        let mut stages = Vec::with_capacity(space.stages.len());
        for stage in &space.stages {
            let of_kernel = |&kernel_size: &usize| {
                stage.expand_ratios.iter().map(move |&expand_ratio| BlockArch { kernel_size, expand_ratio })
            };
            let candidates = stage.kernel_sizes.iter().flat_map(of_kernel).collect();
            let groups = StageGroups { first, depths: stage.depths.clone(), candidates, width: stage.widths[0] };
            first = groups.end();
            stages.push(groups);
        }
        let groups = Self { resolution, stages };
        if groups.sizes().iter().all(|&size| size == 1) {
            return refuse(format!("it has only one network at resolution {resolution}: there is nothing to search"));
        }
        Ok(groups)
    }

    /// The resolution of every network, in pixels.
    pub fn resolution(&self) -> usize {
        self.resolution
    }

    /// The stages, first to last.
    pub fn stages(&self) -> &[StageGroups] {
        &self.stages
    }

    /// Number of choices of each group.
    pub fn sizes(&self) -> Vec<usize> {
        let of_stage = |stage: &StageGroups| {
            let blocks = stage.blocks().map(|_| stage.candidates.len());
            [stage.depths.len()].into_iter().chain(blocks).collect::<Vec<_>>()
        };
        self.stages.iter().flat_map(of_stage).collect()
    }

    /// The same number for every choice of every group.
    pub fn filled(&self, value: f64) -> Vec<Vec<f64>> {
        self.sizes().into_iter().map(|size| vec![value; size]).collect()
    }

    /// The network with these choices, an index per group; those of blocks beyond a stage's depth do not matter.
    ///
    /// # Panics
    ///
    /// If there are fewer indices than groups, or one is out of range.
    pub fn arch(&self, choices: &[usize]) -> Arch {
        let stage = |stage: &StageGroups| {
            let depth = stage.depths[choices[stage.first]];
            let blocks = stage.blocks().take(depth).map(|block| stage.candidates[choices[block]]);
            StageArch { width: stage.width, blocks: blocks.collect() }
        };
        Arch { resolution: self.resolution, stages: self.stages.iter().map(stage).collect() }
    }

    /// The choices of `arch`; 0 for blocks beyond a stage's depth. `None` if it is not a network of these groups.
    pub fn choices(&self, arch: &Arch) -> Option<Vec<usize>> {
        if arch.resolution != self.resolution || arch.stages.len() != self.stages.len() {
            return None;
        }
        let mut choices = Vec::new();
        for (groups, made) in self.stages.iter().zip(&arch.stages) {
            if made.width != groups.width {
                return None;
            }
            choices.push(groups.depths.iter().position(|&depth| depth == made.blocks.len())?);
            for block in 0..groups.blocks().len() {
                let of = |made| groups.candidates.iter().position(|candidate| candidate == made);
                choices.push(made.blocks.get(block).map_or(Some(0), of)?);
            }
        }
        Some(choices)
    }

    /// For each group, whether the network with these choices contains it: blocks beyond a stage's depth are not.
    pub fn in_use(&self, choices: &[usize]) -> Vec<bool> {
        let of_stage = |stage: &StageGroups| {
            let depth = stage.depths[choices[stage.first]];
            let blocks = (0..stage.blocks().len()).map(move |block| block < depth);
            [true].into_iter().chain(blocks).collect::<Vec<_>>()
        };
        self.stages.iter().flat_map(of_stage).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn archs_and_choices_are_the_same_thing() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let groups = ChoiceGroups::new(&space, 24).unwrap();
        assert_eq!(groups.sizes(), [3, 9, 9, 9, 9, 3, 9, 9, 9, 9, 3, 9, 9, 9, 9]);
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            let arch = space.sample(rng).at_resolution(24);
            let choices = groups.choices(&arch).unwrap();
            assert_eq!(groups.arch(&choices), arch);
            let used = groups.in_use(&choices).into_iter().filter(|used| *used).count();
            assert_eq!(used, 3 + arch.depths().iter().sum::<usize>());
        }
        let other = space.largest();
        assert_eq!((other.resolution, groups.choices(&other)), (28, None));
    }

    #[test]
    fn spaces_without_a_choice_or_with_several_widths_are_refused() {
        let small = SearchSpace::small_mobilenet_v3(1, 10);
        let message = |space: &SearchSpace, side| ChoiceGroups::new(space, side).unwrap_err().to_string();
        assert!(message(&small, 26).contains("no resolution 26, only [20, 24, 28]"), "{}", message(&small, 26));
        let mut one = small.clone();
        for stage in &mut one.stages {
            (stage.depths, stage.kernel_sizes) = (vec![2], vec![3]);
            stage.expand_ratios.truncate(1);
        }
        assert!(message(&one, 28).contains("only one network at resolution 28"), "{}", message(&one, 28));
        let wide = SearchSpace::resnet50d(10);
        assert!(message(&wide, 224).contains("stage 1 offers 3 widths"), "{}", message(&wide, 224));
    }
}
