//! [`UniformSampler`]: uniform over choices.

use super::{ArchSampler, StepKey};
use ofa_data::random::Purpose;
use ofa_model::{Arch, SearchSpace};

/// Draws every choice uniformly and independently, as in the paper.
#[derive(Clone, Copy, Debug)]
pub struct UniformSampler {
    /// Seed of the draws.
    pub seed: u64,
}

impl ArchSampler for UniformSampler {
    fn sample(&self, space: &SearchSpace, key: StepKey, count: usize) -> Vec<Arch> {
        let mut rng = key.stream(self.seed, Purpose::Archs);
        (0..count).map(|_| space.sample(&mut rng)).collect()
    }
}
