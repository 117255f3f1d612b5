//! Random streams as pure functions of what they are for.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream decides; streams of different purposes are independent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Resolution = 1,
    Archs = 2,
}

/// The stream of `purpose` in step `step` of stage `stage`: the same in every run and after every resume.
pub(crate) fn stream(seed: u64, purpose: Purpose, stage: usize, step: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (part, value) in key.chunks_exact_mut(8).zip([seed, purpose as u64, stage as u64, step]) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
