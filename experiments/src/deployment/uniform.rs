//! Uniformly scaled networks: the baseline without a search.

use ofa_model::{Arch, BlockArch, SearchSpace, StageArch, StageSpace};
use std::collections::BTreeSet;

/// All networks with the same depth, width, kernel size and expand ratio in every stage, at every resolution. Where
/// stages offer different choices, the same index into their lists is used, or the last one.
pub fn uniform_archs(space: &SearchSpace) -> Vec<Arch> {
    let most = |choices: fn(&StageSpace) -> usize| 0..space.stages.iter().map(choices).max().unwrap_or(1);
    let mut archs = BTreeSet::new();
    for &resolution in &space.resolutions {
        for depth in most(|stage| stage.depths.len()) {
            for width in most(|stage| stage.widths.len()) {
                for kernel in most(|stage| stage.kernel_sizes.len()) {
                    for ratio in most(|stage| stage.expand_ratios.len()) {
                        let stages = space.stages.iter().map(|stage| uniform(stage, [depth, width, kernel, ratio]));
                        archs.insert(Arch { resolution, stages: stages.collect() });
                    }
                }
            }
        }
    }
    archs.into_iter().collect()
}

fn uniform(stage: &StageSpace, [depth, width, kernel, ratio]: [usize; 4]) -> StageArch {
    let block =
        BlockArch { kernel_size: pick(&stage.kernel_sizes, kernel), expand_ratio: pick(&stage.expand_ratios, ratio) };
    StageArch { width: pick(&stage.widths, width), blocks: vec![block; pick(&stage.depths, depth)] }
}

fn pick<T: Copy>(choices: &[T], place: usize) -> T {
    choices[place.min(choices.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_is_there_once() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let archs = uniform_archs(&space);
        assert_eq!(archs.len(), 3 * 3 * 3 * 3);
        assert!(archs.contains(&space.smallest()) && archs.contains(&space.largest()));
        // Stages of ResNet50D offer different depths, but every arch must be in the space.
        let space = SearchSpace::resnet50d(10);
        let archs = uniform_archs(&space);
        assert!(archs.iter().all(|arch| space.check(arch).is_ok()));
        assert!(archs.contains(&space.largest()));
    }
}
