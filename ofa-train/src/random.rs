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

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_are_those_of_every_earlier_version() {
        let draw = |purpose, stage, step| stream(7, purpose, stage, step).next_u64();
        let found = [
            draw(Purpose::Resolution, 1, 5),
            draw(Purpose::Archs, 2, 6),
            draw(Purpose::Dropout(0), 3, 7),
            draw(Purpose::Dropout(2), 3, 7),
        ];
        assert_eq!(found, [6240458434558339600, 2034843605887504036, 10290108129522575652, 12261085538521448374]);
    }
}
