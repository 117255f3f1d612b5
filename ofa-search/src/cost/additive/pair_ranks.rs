//! [`PairRanks`]: the index of a block's choices among those offered, in one array read.

use ofa_model::BlockArch;

/// Ranks of a stage's (kernel size, expand ratio) pairs, by a collision-free hash.
///
/// The pairs are few and fixed, so a multiplier without collisions is found quickly. A look-up is then one
/// multiplication, one read and one comparison; it dominates the time of [`AdditiveCost::of`](super::AdditiveCost::of).
#[derive(Clone, Debug)]
pub(super) struct PairRanks {
    multiplier: u64,
    shift: u32,
    /// (key, rank) of a pair, or [`EMPTY`]. The length is a power of two.
    slots: Vec<(u64, usize)>,
    len: usize,
}

/// Marks a free slot: no kernel is that large.
const EMPTY: (u64, usize) = (u64::MAX, 0);

impl PairRanks {
    /// Ranks `pairs` by position. Of equal pairs the last counts.
    pub fn new(pairs: &[BlockArch]) -> Self {
        // With the pair count squared as number of slots, more than half of all multipliers are free of collisions.
        let size = pairs.len().pow(2).next_power_of_two().max(2);
        let mut ranks = Self {
            multiplier: 0x9e37_79b9_7f4a_7c15,
            shift: u64::BITS - size.ilog2(),
            slots: vec![],
            len: pairs.len(),
        };
        while !ranks.fill(pairs, size) {
            // Stays odd, like every multiplier before it.
            ranks.multiplier = ranks.multiplier.wrapping_mul(0xd134_2543_de82_ef95);
        }
        ranks
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The rank of `pair`. `None` if it is not offered.
    pub fn rank(&self, pair: &BlockArch) -> Option<usize> {
        let key = key(pair);
        let (found, rank) = self.slots[self.slot(key)];
        (found == key).then_some(rank)
    }

    /// Puts every pair into its slot. Returns whether there was no collision.
    fn fill(&mut self, pairs: &[BlockArch], size: usize) -> bool {
        self.slots = vec![EMPTY; size];
        pairs.iter().enumerate().all(|(rank, pair)| {
            let key = key(pair);
            let slot = self.slot(key);
            let before = std::mem::replace(&mut self.slots[slot], (key, rank));
            before == EMPTY || before.0 == key
        })
    }

    fn slot(&self, key: u64) -> usize {
        (key.wrapping_mul(self.multiplier) >> self.shift) as usize
    }
}

fn key(pair: &BlockArch) -> u64 {
    (pair.kernel_size as u64) << 32 | u64::from(pair.expand_ratio.thousandths())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ofa_model::Ratio;
    use proptest::prelude::*;

    fn pair(kernel_size: usize, thousandths: u32) -> BlockArch {
        BlockArch { kernel_size, expand_ratio: Ratio::try_from(f64::from(thousandths) / 1000.0).unwrap() }
    }

    proptest! {
        #[test]
        fn every_pair_has_its_rank_and_no_other_has_one(
            kernels in prop::collection::btree_set(1_usize..4096, 1..9),
            ratios in prop::collection::btree_set(1_u32..1_000_000, 1..9),
            kernel in 1_usize..4096,
            ratio in 1_u32..1_000_000,
        ) {
            let all = |&kernel: &usize| ratios.iter().map(move |&ratio| pair(kernel, ratio)).collect::<Vec<_>>();
            let pairs: Vec<BlockArch> = kernels.iter().flat_map(all).collect();
            let ranks = PairRanks::new(&pairs);
            prop_assert_eq!(ranks.len(), pairs.len());
            prop_assert!(pairs.iter().zip(0..).all(|(pair, rank)| ranks.rank(pair) == Some(rank)));
            let stranger = pair(kernel, ratio);
            prop_assert_eq!(ranks.rank(&stranger), pairs.iter().position(|&pair| pair == stranger));
        }
    }

    #[test]
    fn equal_pairs_have_the_rank_of_the_last() {
        let ranks = PairRanks::new(&[pair(3, 4000), pair(5, 4000), pair(3, 4000)]);
        assert_eq!((ranks.rank(&pair(3, 4000)), ranks.rank(&pair(5, 4000))), (Some(2), Some(1)));
    }

    #[test]
    fn none_at_all_is_no_loop() {
        assert_eq!(PairRanks::new(&[]).rank(&pair(3, 4000)), None);
    }
}
