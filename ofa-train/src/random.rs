//! Random streams as pure functions of seed, purpose and step.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream decides. Streams of different purposes are independent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Resolution,
    Archs,
    /// Masks of one pass of a step, given by its index.
    Dropout(u32),
}

impl Purpose {
    fn number(self) -> u64 {
        match self {
            Self::Resolution => 1,
            Self::Archs => 2,
            Self::Dropout(pass) => 3 | u64::from(pass) << 32,
        }
    }
}

/// The stream of `purpose` for step `step` of stage `stage`: the same in every run with this seed, including resumed
/// ones.
pub(crate) fn stream(seed: u64, purpose: Purpose, stage: usize, step: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (part, value) in key.chunks_exact_mut(8).zip([seed, purpose.number(), stage as u64, step]) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
