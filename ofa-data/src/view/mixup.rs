//! Blending the images of a batch in pairs.

use rand::Rng;
use rand_distr::{Beta, Distribution};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::DataError;

/// Mixup (Zhang et al., arXiv:1710.09412) as in the original OFA code: the batch is blended with itself in reverse
/// order, with one weight drawn per batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixup {
    /// An image's own weight (for pixels and label) is drawn from Beta(alpha, alpha).
    pub alpha: f64,
}

impl Mixup {
    /// Checks `alpha`.
    ///
    /// # Errors
    /// [`DataError::Invalid`] for an `alpha` that is not positive.
    pub fn validate(self) -> Result<(), DataError> {
        match self.alpha > 0.0 && self.alpha.is_finite() {
            true => Ok(()),
            false => Err(DataError::invalid("mixup.alpha", self.alpha, "a positive number")),
        }
    }

    /// Draws the own weight of the images of one batch.
    pub(crate) fn draw(self, rng: &mut impl Rng) -> f32 {
        Beta::new(self.alpha, self.alpha).expect("validated").sample(rng) as f32
    }
}

/// Blends images of `size` values each with the image at the mirrored position; `share` is an image's own weight.
pub(crate) fn mix(images: &mut [f32], size: usize, share: f32) {
    let count = images.len() / size;
    // An odd batch has a middle image: blended with itself, it stays the same.
    let (front, back) = images.split_at_mut(count.div_ceil(2) * size);
    let pairs = front.par_chunks_exact_mut(size).take(count / 2).zip(back.par_chunks_exact_mut(size).rev());
    pairs.for_each(|(one, other)| {
        for (a, b) in one.iter_mut().zip(other) {
            (*a, *b) = (share * *a + (1.0 - share) * *b, share * *b + (1.0 - share) * *a);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn images_are_blended_with_those_in_reverse_order() {
        let mut even = [1.0, 2.0, 10.0, 20.0, 100.0, 200.0, 1000.0, 2000.0];
        mix(&mut even, 2, 0.75);
        assert_eq!(even, [250.75, 501.5, 32.5, 65.0, 77.5, 155.0, 750.25, 1500.5]);
        let mut odd = [0.0, 8.0, 16.0];
        mix(&mut odd, 1, 0.25);
        assert_eq!(odd, [12.0, 8.0, 4.0]);
    }

    #[test]
    fn weights_follow_the_beta_distribution() {
        let mut rng = stream(1, Purpose::Mixup, &[]);
        let weights: Vec<f32> = (0..4000).map(|_| Mixup { alpha: 0.2 }.draw(&mut rng)).collect();
        let mean = weights.iter().sum::<f32>() / 4000.0;
        // Variance of Beta(a, a): 1 / (4 (2 a + 1)).
        let variance = weights.iter().map(|weight| (weight - mean).powi(2)).sum::<f32>() / 4000.0;
        assert!((mean - 0.5).abs() < 0.03 && (variance - 1.0 / 5.6).abs() < 0.01, "mean {mean}, variance {variance}");
        assert!(Mixup { alpha: 0.0 }.validate().is_err() && Mixup { alpha: f64::NAN }.validate().is_err());
    }
}
