//! [`SandwichSampler`]: the sandwich rule.

use super::{ArchSampler, StepKey, UniformSampler};
use ofa_model::{Arch, SearchSpace};

/// The largest and the smallest subnet in every step, with random ones in between (the sandwich rule of US-Net and
/// BigNAS).
///
/// The largest comes first, as it is the teacher in in-place distillation. With one subnet per step, only the largest
/// is trained.
#[derive(Clone, Copy, Debug)]
pub struct SandwichSampler {
    /// Seed of the draws.
    pub seed: u64,
}

impl ArchSampler for SandwichSampler {
    fn sample(&self, space: &SearchSpace, key: StepKey, count: usize) -> Vec<Arch> {
        let random = UniformSampler { seed: self.seed }.sample(space, key, count.saturating_sub(2));
        let mut archs = vec![space.largest()];
        archs.extend(random);
        archs.push(space.smallest());
        archs.truncate(count);
        archs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandwich_has_its_crusts() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let sampler = SandwichSampler { seed: 3 };
        for count in 1..=4 {
            let archs = sampler.sample(&space, StepKey { phase: 0, step: 5 }, count);
            assert_eq!(archs.len(), count);
            assert_eq!(archs[0], space.largest());
            assert!(count == 1 || archs[count - 1] == space.smallest());
        }
    }
}
