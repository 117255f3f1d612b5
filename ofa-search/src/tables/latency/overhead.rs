//! [`Overhead`]: latency of whole networks beyond the sum of their units.

use crate::SearchError;
use serde::{Deserialize, Serialize};

/// Latency of whole networks as a linear function of the sum over their units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overhead {
    /// Milliseconds added per forward pass. May be negative.
    pub intercept_ms: f64,
    /// Factor on the sum.
    pub slope: f64,
}

impl Overhead {
    /// Fits `(sum, measured)` points by least squares.
    pub(super) fn fit(points: &[(f64, f64)]) -> Result<Self, SearchError> {
        let mut sums: Vec<f64> = points.iter().map(|(sum, _)| *sum).collect();
        sums.sort_by(f64::total_cmp);
        sums.dedup();
        if sums.len() < 3 {
            return Err(SearchError::TooFewSamples {
                purpose: "fitting the overhead of whole networks",
                what: "archs with different sums",
                needed: 3,
                found: sums.len(),
            });
        }
        let n = points.len() as f64;
        let mean_sum = points.iter().map(|(sum, _)| sum).sum::<f64>() / n;
        let mean_measured = points.iter().map(|(_, measured)| measured).sum::<f64>() / n;
        let covariance: f64 = points.iter().map(|(x, y)| (x - mean_sum) * (y - mean_measured)).sum();
        let variance: f64 = points.iter().map(|(x, _)| (x - mean_sum).powi(2)).sum();
        let slope = covariance / variance;
        if slope.is_nan() || slope <= 0.0 {
            return Err(SearchError::OverheadFit { slope });
        }
        Ok(Self { intercept_ms: mean_measured - slope * mean_sum, slope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_lines_are_recovered() {
        let points: Vec<(f64, f64)> = [1.0, 2.0, 4.0, 4.0].iter().map(|x| (*x, 0.5 + 1.25 * x)).collect();
        let Overhead { intercept_ms, slope } = Overhead::fit(&points).unwrap();
        assert!((intercept_ms - 0.5).abs() < 1e-12 && (slope - 1.25).abs() < 1e-12, "{intercept_ms} {slope}");
    }

    #[test]
    fn too_few_or_falling_points_are_refused() {
        let error = Overhead::fit(&[(1.0, 2.0), (1.0, 3.0), (2.0, 3.0)]).unwrap_err().to_string();
        assert!(error.contains("at least 3 archs with different sums, found 2"), "{error}");
        let error = Overhead::fit(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]).unwrap_err();
        assert!(matches!(error, SearchError::OverheadFit { slope } if slope == -1.0), "{error}");
    }
}
