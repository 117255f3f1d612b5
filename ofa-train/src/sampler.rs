//! Which subnets a step trains.

use crate::random::{Purpose, stream};
use ofa_model::{Arch, SearchSpace};

/// A step of a stage, counted over all epochs of the stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepKey {
    /// Index of the stage.
    pub stage: usize,
    /// Step of the stage, from 0.
    pub step: u64,
}

/// Chooses the subnets of a step.
pub trait ArchSampler {
    /// `count` archs of `space` for step `key`, a pure function of its arguments and the sampler's own seed.
    ///
    /// Their resolution does not matter: a batch has one resolution, and the learner sets it.
    fn sample(&self, space: &SearchSpace, key: StepKey, count: usize) -> Vec<Arch>;
}

/// Every choice uniform and independent, as in the paper.
#[derive(Clone, Copy, Debug)]
pub struct UniformSampler {
    /// Seed of the draws.
    pub seed: u64,
}

impl ArchSampler for UniformSampler {
    fn sample(&self, space: &SearchSpace, key: StepKey, count: usize) -> Vec<Arch> {
        let mut rng = stream(self.seed, Purpose::Archs, key.stage, key.step);
        (0..count).map(|_| space.sample(&mut rng)).collect()
    }
}

/// The largest and the smallest subnet in every step, random ones between (the sandwich rule of US-Net and BigNAS).
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
    fn samples_depend_on_the_key_alone() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let sampler = UniformSampler { seed: 3 };
        let draw = |stage, step| sampler.sample(&space, StepKey { stage, step }, 4);
        assert_eq!(draw(2, 17), draw(2, 17));
        assert_ne!(draw(2, 17), draw(2, 18));
        assert_ne!(draw(2, 17), draw(3, 17));
        assert!(draw(0, 0).iter().all(|arch| space.contains(arch)));
        assert_eq!(draw(0, 0)[..2], sampler.sample(&space, StepKey { stage: 0, step: 0 }, 2));
    }

    #[test]
    fn the_sandwich_has_its_crusts() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let sampler = SandwichSampler { seed: 3 };
        for count in 1..=4 {
            let archs = sampler.sample(&space, StepKey { stage: 0, step: 5 }, count);
            assert_eq!(archs.len(), count);
            assert_eq!(archs[0], space.largest());
            assert!(count == 1 || archs[count - 1] == space.smallest());
        }
    }
}
