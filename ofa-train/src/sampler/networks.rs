//! [`NetworkSampler`]: uniform over networks.

use super::{ArchSampler, StepKey};
use ofa_data::random::Purpose;
use ofa_model::{Arch, SearchSpace};

/// Every network is equally likely. Deep networks, which are far more numerous, are drawn much more often than by
/// [`UniformSampler`](super::UniformSampler).
#[derive(Clone, Copy, Debug)]
pub struct NetworkSampler {
    /// Seed of the draws.
    pub seed: u64,
}

impl ArchSampler for NetworkSampler {
    fn sample(&self, space: &SearchSpace, key: StepKey, count: usize) -> Vec<Arch> {
        let mut rng = key.stream(self.seed, Purpose::Archs);
        (0..count).map(|_| space.sample_network(&mut rng)).collect()
    }
}
