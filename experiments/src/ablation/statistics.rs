//! Differences over paired seeds: their size and uncertainty.

use ofa_search::statistics::quantile;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A mean difference over paired seeds, with Student's interval; absent with fewer than two seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// Mean difference.
    pub mean: f64,
    /// Student's interval over seeds; `None` with fewer than two seeds or if all agree.
    pub interval: Option<Interval>,
    /// Two-sided p-value of Student's t-test that the mean is 0; `None` where the interval is.
    pub p: Option<f64>,
}

impl Gap {
    /// Mean and interval of `differences`, one per seed.
    pub fn of(differences: &[f64], confidence: f64) -> Self {
        let n = differences.len() as f64;
        let mean = differences.iter().sum::<f64>() / n;
        let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let error = (variance / n).sqrt();
        // Fewer than two seeds, or seeds that all agree, tell nothing about the spread.
        let student = (error > 0.0).then(|| StudentsT::new(0.0, 1.0, n - 1.0).ok()).flatten();
        let Some(student) = student else { return Self { mean, interval: None, p: None } };
        let half = student.inverse_cdf(0.5 + confidence / 2.0) * error;
        let p = 2.0 * student.sf((mean / error).abs());
        Self { mean, interval: Some(Interval { low: mean - half, high: mean + half }), p: Some(p) }
    }
}

/// Adjusts p-values for multiple tests (Holm, 1979), keeping their order. Those below 0.05 are jointly significant at 5
/// %.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut least = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        least = least.max((p[index] * (p.len() - rank) as f64).min(1.0));
        adjusted[index] = least;
    }
    adjusted
}

/// Percentile interval of the mean of `gaps` when seeds and images are resampled with replacement; one row per seed,
/// one value per image.
pub(super) fn bootstrap(gaps: &[Vec<f32>], samples: usize, confidence: f64) -> Option<Interval> {
    let (seeds, images) = (gaps.len(), gaps.first()?.len());
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let mut sums = vec![0.0_f32; images];
    let mut means: Vec<f64> = Vec::with_capacity(samples);
    for _ in 0..samples {
        sums.fill(0.0);
        for _ in 0..seeds {
            let drawn = &gaps[rng.random_range(0..seeds)];
            sums.iter_mut().zip(drawn).for_each(|(sum, gap)| *sum += gap);
        }
        let total: f64 = (0..images).map(|_| f64::from(sums[rng.random_range(0..images)])).sum();
        means.push(total / (seeds * images) as f64);
    }
    means.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    Some(Interval { low: quantile(&means, tail), high: quantile(&means, 1.0 - tail) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn students_interval_is_the_textbooks() {
        // Mean 3, standard deviation 1.5811, n 5: t(0.975, 4) is 2.7764.
        let gap = Gap::of(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.95);
        let interval = gap.interval.unwrap();
        assert!((gap.mean - 3.0).abs() < 1e-12);
        assert!((interval.low - 1.0368).abs() < 1e-3 && (interval.high - 4.9632).abs() < 1e-3, "{interval:?}");
        // t = 4.2426 with 4 degrees of freedom.
        assert!((gap.p.unwrap() - 0.0132).abs() < 1e-3, "{gap:?}");
        assert_eq!(Gap::of(&[1.0], 0.95).interval, None);
        assert_eq!(Gap::of(&[1.0, 1.0], 0.95).p, None);
    }

    #[test]
    fn holms_values_are_the_published_examples() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        let expected = [0.03, 0.06, 0.06, 0.02];
        assert!(adjusted.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{adjusted:?}");
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }

    #[test]
    fn the_bootstrap_covers_a_known_mean_about_as_often_as_it_says() {
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let covered = (0..100).filter(|_| {
            let mut seed = |_| -> Vec<f32> {
                let shift: f32 = rng.random_range(-0.3..0.3);
                (0..50).map(|_| 0.5 + shift + rng.random_range(-1.0..1.0_f32)).collect()
            };
            let gaps: Vec<Vec<f32>> = (0..12).map(&mut seed).collect();
            let interval = bootstrap(&gaps, 300, 0.9).unwrap();
            interval.low <= 0.5 && 0.5 <= interval.high
        });
        let covered = covered.count();
        assert!((80..=100).contains(&covered), "{covered} of 100");
    }
}
