//! All random numbers of a run: every stream is a function of seed, purpose and position, so runs can be repeated,
//! resumed and spread over machines.
//!
//! Initial weights (`ofa-model`) and predictors (`ofa-search`) take the seed itself: those crates do not see this one.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream decides, with the position it takes. Streams of a later version must be those of this one: records
/// and checkpoints depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Images held out of train: `[class]`.
    HoldOut,
    /// A subset of the images: `[]`.
    Subset,
    /// Order of the images in an epoch: `[epoch]`.
    Order,
    /// Augmentation of one image: `[epoch, position in the epoch]`.
    Augment,
    /// Mixup weight of a batch: `[epoch, batch]`.
    Mixup,
    /// Resolution of a training step: `[phase, step]`.
    Resolution,
    /// Subnets of a training step: `[phase, step]`.
    Archs,
    /// Dropout masks in one forward pass of a training step: `[phase, step]`.
    Dropout {
        /// Index of the pass.
        pass: u32,
    },
    /// Subnets that are drawn once, such as those of the accuracy table: `[]`.
    Sample,
    /// Networks timed whole for the latency table: `[]`.
    LatencyNetworks,
    /// Subnets watched during training: `[]`.
    Watched,
    /// A search: `[]`. Its stream is that of `Sample`, so random search begins with the archs of the accuracy table.
    Search,
    /// A search whose archs must not be those of the accuracy table: `[]`.
    FreshSearch,
    /// Paths, gates and noise in a step of an architecture search: `[round, step]`.
    Gates,
    /// Initial numbers of an architecture search, and the networks it draws at its end: `[round, 0]`.
    Choices,
}

/// How a purpose turns seed and position into a key: as it always has.
enum Form {
    /// All parts mixed into one number, from this one on.
    Mixed(u64),
    /// Seed, this number and a position of two parts are the key.
    Key(u64),
    /// The seed with some bits flipped, and the number of the stream.
    Flipped(u64, u64),
}

impl Purpose {
    fn form(self) -> Form {
        match self {
            Self::HoldOut => Form::Mixed(1),
            Self::Subset => Form::Mixed(2),
            Self::Order => Form::Mixed(3),
            Self::Augment => Form::Mixed(4),
            Self::Mixup => Form::Mixed(5),
            Self::Resolution => Form::Key(1),
            Self::Archs => Form::Key(2),
            Self::Dropout { pass } => Form::Key(3 | u64::from(pass) << 32),
            Self::Sample | Self::Search => Form::Flipped(0, 0),
            Self::LatencyNetworks => Form::Flipped(1, 0),
            Self::Watched => Form::Flipped(2, 0),
            Self::FreshSearch => Form::Flipped(0, 1),
            Self::Gates => Form::Key(4),
            Self::Choices => Form::Key(5),
        }
    }
}

/// The stream for `purpose` at `position`, whose parts [`Purpose`] lists. Earlier draws have no influence.
pub fn stream(seed: u64, purpose: Purpose, position: &[u64]) -> ChaCha8Rng {
    match purpose.form() {
        Form::Mixed(number) => {
            // Mix the state before adding a part, so [1, 2] and [2, 1] differ.
            let mix = |state, &part: &u64| splitmix64(splitmix64(state) ^ part);
            ChaCha8Rng::seed_from_u64([seed].iter().chain(position).fold(splitmix64(number), mix))
        }
        Form::Key(number) => {
            let mut key = [0; 32];
            for (part, value) in key.chunks_exact_mut(8).zip([seed, number].iter().chain(position)) {
                part.copy_from_slice(&value.to_le_bytes());
            }
            ChaCha8Rng::from_seed(key)
        }
        Form::Flipped(bits, number) => {
            let mut rng = ChaCha8Rng::seed_from_u64(seed ^ bits);
            rng.set_stream(number);
            rng
        }
    }
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
        let check = |purpose, position: &[u64], expected: u64| {
            assert_eq!(stream(7, purpose, position).next_u64(), expected, "{purpose:?}");
        };
        check(Purpose::HoldOut, &[3], 16_894_833_869_206_892_154);
        check(Purpose::Subset, &[], 4_193_121_549_904_047_574);
        check(Purpose::Order, &[2], 7_318_862_474_864_062_085);
        check(Purpose::Augment, &[2, 9], 14_633_091_539_707_704_837);
        check(Purpose::Mixup, &[2, 4], 14_972_945_599_238_285_629);
        check(Purpose::Resolution, &[1, 5], 6_240_458_434_558_339_600);
        check(Purpose::Archs, &[2, 6], 2_034_843_605_887_504_036);
        check(Purpose::Dropout { pass: 0 }, &[3, 7], 10_290_108_129_522_575_652);
        check(Purpose::Dropout { pass: 2 }, &[3, 7], 12_261_085_538_521_448_374);
        let key = |number: u64, position: [u64; 2]| {
            let parts = [7, number, position[0], position[1]];
            ChaCha8Rng::from_seed(std::array::from_fn(|i| parts[i / 8].to_le_bytes()[i % 8])).next_u64()
        };
        check(Purpose::Gates, &[1, 8], key(4, [1, 8]));
        check(Purpose::Choices, &[2, 0], key(5, [2, 0]));
        for (purpose, seed) in [(Purpose::Sample, 7), (Purpose::LatencyNetworks, 6), (Purpose::Watched, 5)] {
            check(purpose, &[], ChaCha8Rng::seed_from_u64(seed).next_u64());
        }
        let mut second = ChaCha8Rng::seed_from_u64(7);
        second.set_stream(1);
        check(Purpose::FreshSearch, &[], second.next_u64());
    }

    #[test]
    fn a_key_names_one_sequence() {
        let draw = |purpose, position: &[u64]| stream(7, purpose, position).next_u64();
        assert_eq!(draw(Purpose::Order, &[3]), draw(Purpose::Order, &[3]));
        let all = [
            draw(Purpose::Order, &[3]),
            stream(3, Purpose::Order, &[7]).next_u64(),
            draw(Purpose::Order, &[4]),
            draw(Purpose::Order, &[]),
            draw(Purpose::HoldOut, &[3]),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(a), "sequence {i} occurs twice in {all:?}");
        }
    }
}
