//! Random generators as pure functions of their purpose and key.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a generator is for. Equal keys with different purposes give unrelated streams.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// Holding images out of train: `[seed, class]`.
    HoldOut = 1,
    /// Choosing a subset: `[seed]`.
    Subset = 2,
    /// Order of the images in an epoch: `[seed, epoch]`.
    Order = 3,
    /// Augmentation of one image: `[seed, epoch, position in the epoch]`.
    Augment = 4,
    /// Mixup weight of a batch: `[seed, epoch, batch]`.
    Mixup = 5,
}

/// The generator for `purpose` and `key`; earlier draws have no influence.
pub(crate) fn rng(purpose: Purpose, key: &[u64]) -> ChaCha8Rng {
    let start = splitmix64(purpose as u64);
    ChaCha8Rng::seed_from_u64(key.iter().fold(start, |state, &part| {
        // Mix the state before adding `part`, so [1, 2] and [2, 1] differ.
        splitmix64(splitmix64(state) ^ part)
    }))
}

/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014): a bijection that spreads every input
/// bit over the whole output.
fn splitmix64(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_are_those_of_every_earlier_version() {
        let draw = |purpose, key: &[u64]| rng(purpose, key).next_u64();
        let found = [
            draw(Purpose::HoldOut, &[7, 3]),
            draw(Purpose::Subset, &[7]),
            draw(Purpose::Order, &[7, 2]),
            draw(Purpose::Augment, &[7, 2, 9]),
            draw(Purpose::Mixup, &[7, 2, 4]),
        ];
        assert_eq!(
            found,
            [
                16894833869206892154,
                4193121549904047574,
                7318862474864062085,
                14633091539707704837,
                14972945599238285629
            ]
        );
    }

    #[test]
    fn a_key_names_one_sequence() {
        let draw = |purpose, key: &[u64]| rng(purpose, key).next_u64();
        assert_eq!(draw(Purpose::Order, &[7, 3]), draw(Purpose::Order, &[7, 3]));
        let all = [
            draw(Purpose::Order, &[7, 3]),
            draw(Purpose::Order, &[3, 7]),
            draw(Purpose::Order, &[7, 4]),
            draw(Purpose::Order, &[7]),
            draw(Purpose::HoldOut, &[7, 3]),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(a), "sequence {i} occurs twice in {all:?}");
        }
    }
}
