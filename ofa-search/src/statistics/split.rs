//! Samples in two parts.

use crate::SearchError;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Splits `samples` at random by `seed` into (training, held out), where `share` of them are held out.
pub(crate) fn split<T: Clone>(samples: &[T], share: f64, seed: u64) -> Result<(Vec<T>, Vec<T>), SearchError> {
    if !(0.0..1.0).contains(&share) {
        let (setting, value) = ("share held out", share.to_string());
        return Err(SearchError::InvalidSetting { setting, value, problem: "it must be at least 0 and below 1" });
    }
    let mut shuffled = samples.to_vec();
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let held_out = shuffled.split_off(samples.len() - (samples.len() as f64 * share).round() as usize);
    let found = shuffled.len().min(held_out.len());
    if found < 2 {
        let (purpose, what) = ("a split into two parts", "samples in the smaller part");
        return Err(SearchError::TooFewSamples { purpose, what, needed: 2, found });
    }
    Ok((shuffled, held_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_keeps_every_sample_once() {
        let samples: Vec<usize> = (0..40).collect();
        let (train, held_out) = split(&samples, 0.25, 1).unwrap();
        assert_eq!((train.len(), held_out.len()), (30, 10));
        let mut together = [train.clone(), held_out].concat();
        together.sort_unstable();
        assert_eq!(together, samples);
        assert_eq!(split(&samples, 0.25, 1).unwrap().0, train);
        assert_ne!(split(&samples, 0.25, 2).unwrap().0, train);
    }

    #[test]
    fn splits_that_leave_nothing_are_refused() {
        assert!(split(&[1; 40], 0.0, 1).unwrap_err().to_string().contains("found 0"));
        assert!(split(&[1; 40], 1.0, 1).unwrap_err().to_string().starts_with("share held out is 1"));
    }
}
