//! Ranges of activations over calibration images.

use super::RangeRule;
use rayon::prelude::*;

/// Bins of a histogram, an even number.
const BINS: usize = 1 << 13;

/// What was seen of one tensor.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    low: f32,
    high: f32,
    histogram: Option<(Histogram, f64)>,
}

impl Observed {
    pub(super) fn new(rule: RangeRule) -> Self {
        let histogram = match rule {
            RangeRule::MinMax => None,
            RangeRule::Percentile(percent) => Some((Histogram::default(), percent / 100.0)),
        };
        Self { low: f32::INFINITY, high: f32::NEG_INFINITY, histogram }
    }

    /// Adds the values of a batch.
    pub(super) fn add(&mut self, values: &[f32]) {
        // NaN wins, so that it is found later.
        let worst = |a: f32, b: f32, less: bool| if a.is_nan() || (a < b) == less && a != b { a } else { b };
        let of = |values: &[f32]| {
            values.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], &x| {
                [worst(low, x, true), worst(high, x, false)]
            })
        };
        let none = || [f32::INFINITY, f32::NEG_INFINITY];
        let [low, high] =
            values.par_chunks(1 << 15).map(of).reduce(none, |a, b| [worst(a[0], b[0], true), worst(a[1], b[1], false)]);
        [self.low, self.high] = [worst(self.low, low, true), worst(self.high, high, false)];
        if self.is_finite() {
            self.histogram.iter_mut().for_each(|(histogram, _)| histogram.add(values, high.max(-low)));
        }
    }

    pub(super) fn is_finite(&self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }

    /// The range by the rule.
    pub(super) fn range(&self) -> [f32; 2] {
        let [low, high] = match &self.histogram {
            Some((histogram, share)) => histogram.middle(*share),
            None => [self.low, self.high],
        };
        [low.max(self.low), high.min(self.high)]
    }
}

/// Counts of values in bins of equal width between `-reach` and `reach`.
#[derive(Clone, Debug, Default)]
struct Histogram {
    reach: f32,
    counts: Vec<u64>,
}

impl Histogram {
    fn add(&mut self, values: &[f32], reach: f32) {
        if self.counts.is_empty() {
            (self.reach, self.counts) = (if reach > 0.0 { reach } else { 1.0 }, vec![0; BINS]);
        }
        while self.reach < reach {
            // Twice the reach: two bins become one.
            let mut counts = vec![0; BINS];
            for (bin, pair) in self.counts.chunks_exact(2).enumerate() {
                counts[BINS / 4 + bin] = pair[0] + pair[1];
            }
            (self.reach, self.counts) = (2.0 * self.reach, counts);
        }
        let scale = BINS as f32 / (2.0 * self.reach);
        for value in values {
            let bin = ((value + self.reach) * scale) as usize;
            self.counts[bin.min(BINS - 1)] += 1;
        }
    }

    /// The edges between which this share of the values lies; what is left is half below and half above.
    fn middle(&self, share: f64) -> [f32; 2] {
        let all: u64 = self.counts.iter().sum();
        let outside = (all as f64 * (1.0 - share) / 2.0) as u64;
        let mut passed = [0; 2];
        let mut beyond = |end: usize, count: &u64| {
            passed[end] += count;
            passed[end] > outside
        };
        let first = self.counts.iter().position(|count| beyond(0, count)).unwrap_or(0);
        let last = BINS - self.counts.iter().rev().position(|count| beyond(1, count)).unwrap_or(0);
        let width = 2.0 * self.reach / BINS as f32;
        [first, last].map(|edge| edge as f32 * width - self.reach)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(rule: RangeRule, batches: &[&[f32]]) -> Observed {
        let mut observed = Observed::new(rule);
        batches.iter().for_each(|batch| observed.add(batch));
        observed
    }

    #[test]
    fn the_range_is_that_of_all_batches() {
        let found = observed(RangeRule::MinMax, &[&[1.0, -2.0], &[0.5, 7.0]]);
        assert_eq!((found.range(), found.is_finite()), ([-2.0, 7.0], true));
        for bad in [f32::NAN, f32::INFINITY] {
            for batches in [[[bad, 1.0], [1.0, 2.0]], [[1.0, 2.0], [1.0, bad]]] {
                assert!(!observed(RangeRule::MinMax, &[&batches[0], &batches[1]]).is_finite());
            }
        }
    }

    #[test]
    fn a_percentile_leaves_out_the_same_share_at_both_ends() {
        // 0 to 999, and a later batch with the one outlier that forces other bins.
        let values: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        let found = observed(RangeRule::Percentile(98.0), &[&values, &[100_000.0]]).range();
        let bin = 2.0 * 131_072.0 / BINS as f32;
        assert!((found[0] - 10.0).abs() <= bin && (found[1] - 990.0).abs() <= bin, "{found:?}");
        let all = observed(RangeRule::Percentile(100.0), &[&values]).range();
        assert_eq!(all, [0.0, 999.0]);
    }
}
