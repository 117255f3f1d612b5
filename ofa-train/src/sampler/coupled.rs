//! [`CoupledSampler`]: depth and expand ratio coupled.

use super::{ArchSampler, StepKey};
use ofa_data::random::Purpose;
use ofa_model::{Arch, SearchSpace};
use rand::RngExt;

/// The coupling of CompOFA (Sahni et al., ICLR 2021, "simple heuristic"): in a stage with the i-th depth, all blocks
/// have the i-th expand ratio, so deep stages are wide. Kernel sizes and widths are uniform and independent.
///
/// If a stage has different numbers of ratios and depths, the ratio at the nearest relative position is used. Only
/// coupled networks are trained, so search only among those.
#[derive(Clone, Copy, Debug)]
pub struct CoupledSampler {
    /// Seed of the draws.
    pub seed: u64,
}

impl ArchSampler for CoupledSampler {
    fn sample(&self, space: &SearchSpace, key: StepKey, count: usize) -> Vec<Arch> {
        let mut rng = key.stream(self.seed, Purpose::Archs);
        let draw = |_| {
            let mut coupled = space.clone();
            for stage in &mut coupled.stages {
                let depth = rng.random_range(0..stage.depths.len());
                let ratio = partner(depth, stage.depths.len(), stage.expand_ratios.len());
                stage.depths = vec![stage.depths[depth]];
                stage.expand_ratios = vec![stage.expand_ratios[ratio]];
            }
            coupled.sample(&mut rng)
        };
        (0..count).map(draw).collect()
    }
}

/// Index into `others` choices at the same relative position as `index` among `all` choices.
fn partner(index: usize, all: usize, others: usize) -> usize {
    let share = if all > 1 { index as f64 / (all - 1) as f64 } else { 1.0 };
    (share * (others - 1) as f64).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn deep_stages_are_wide() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let mut kernels = HashSet::new();
        for step in 0..50 {
            for arch in (CoupledSampler { seed: 1 }).sample(&space, StepKey { phase: 0, step }, 2) {
                for stage in &arch.stages {
                    let expected = match stage.blocks.len() {
                        2 => 3,
                        3 => 4,
                        _ => 6,
                    };
                    assert!(stage.blocks.iter().all(|block| block.expand_ratio == expected.into()), "{arch}");
                    kernels.extend(stage.blocks.iter().map(|block| block.kernel_size));
                }
            }
        }
        assert_eq!(kernels.len(), 3);
    }

    #[test]
    fn lists_of_different_lengths_are_coupled_by_share() {
        let partners = |all, others| (0..all).map(|i| partner(i, all, others)).collect::<Vec<_>>();
        assert_eq!(partners(3, 3), [0, 1, 2]);
        assert_eq!(partners(3, 2), [0, 1, 1]);
        assert_eq!(partners(2, 3), [0, 2]);
        assert_eq!(partners(1, 3), [2]);
    }
}
