//! [`FixedSampler`]: a fixed list of archs.

use super::{ArchSampler, StepKey};
use ofa_model::{Arch, SearchSpace};

/// Cycles through a list of archs, step after step. A single arch is independent training.
#[derive(Clone, Debug)]
pub struct FixedSampler {
    /// At least one arch, all within the space of the phase.
    pub archs: Vec<Arch>,
}

impl ArchSampler for FixedSampler {
    fn sample(&self, _: &SearchSpace, key: StepKey, count: usize) -> Vec<Arch> {
        let length = self.archs.len() as u64;
        let first = key.step % length * count as u64;
        (first..).take(count).map(|i| self.archs[(i % length) as usize].clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archs_come_in_turn() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let archs = vec![space.smallest(), space.largest(), space.largest().at_resolution(20)];
        let sampler = FixedSampler { archs: archs.clone() };
        let drawn = |step| sampler.sample(&space, StepKey { phase: 0, step }, 2);
        assert_eq!(drawn(0), archs[..2]);
        assert_eq!(drawn(1), [archs[2].clone(), archs[0].clone()]);
        assert_eq!(drawn(2), archs[1..]);
        assert_eq!(drawn(3), archs[..2]);
    }
}
