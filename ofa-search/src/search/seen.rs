//! [`Seen`]: the archs that a search has tried.

use ofa_model::{Arch, Ratio};
use rustc_hash::FxHashSet;

/// A set of archs, each stored as one flat row of its choices. Takes a fraction of the time and memory of a set of
/// [`Arch`].
#[derive(Debug, Default)]
pub(crate) struct Seen {
    rows: FxHashSet<Box<[u32]>>,
    /// Buffer for the row being looked up.
    row: Vec<u32>,
}

impl Seen {
    /// An empty set with capacity for `archs` archs.
    pub fn with_capacity(archs: usize) -> Self {
        Self { rows: FxHashSet::with_capacity_and_hasher(archs, Default::default()), row: Vec::new() }
    }

    /// Adds an arch. Returns whether it is new.
    pub fn insert(&mut self, arch: &Arch) -> bool {
        self.row.clear();
        self.row.push(u32::try_from(arch.resolution).expect("the resolution fits u32"));
        for stage in &arch.stages {
            // The number of blocks keeps rows of different archs distinct.
            self.row.push(packed(stage.blocks.len(), stage.width));
            self.row.extend(stage.blocks.iter().map(|block| packed(block.kernel_size, block.expand_ratio)));
        }
        let new = !self.rows.contains(self.row.as_slice());
        if new {
            self.rows.insert(self.row.as_slice().into());
        }
        new
    }
}

/// Packs a number (blocks, or pixels of a kernel's side) and a ratio into one integer.
fn packed(number: usize, ratio: Ratio) -> u32 {
    // A ratio is at most one million thousandths, which fits 20 bits.
    assert!(number < 1 << 12, "{number} (blocks, or the side of a kernel) does not fit 12 bits");
    (number as u32) << 20 | ratio.thousandths()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{all_archs, two_stages};
    use ofa_model::SearchSpace;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::collections::HashSet;

    #[test]
    fn every_arch_is_new_once() {
        let archs = all_archs(&two_stages());
        let mut seen = Seen::with_capacity(0);
        assert!(archs.iter().all(|arch| seen.insert(arch)));
        assert!(!archs.iter().any(|arch| seen.insert(arch)));
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_archs(seed: u64) {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let space = SearchSpace::resnet50d(1000);
            let mut archs = vec![space.sample(rng)];
            for _ in 0..20 {
                let last = &archs[archs.len() - 1];
                let mutation = ofa_model::Mutation { choice_probability: 0.05, resolution_probability: 0.1 };
                archs.push(space.mutate(last, mutation, rng));
            }
            let (mut seen, mut set) = (Seen::default(), HashSet::new());
            for arch in &archs {
                prop_assert_eq!(seen.insert(arch), set.insert(arch));
            }
        }
    }
}
