//! Range and ticks of an axis.

use crate::report::format::thousands;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// Maximum number of tick intervals of a linear axis.
const MOST_TICKS: usize = 7;

/// An axis with title, range and ticks; implements the coordinate trait of plotters.
#[derive(Clone)]
pub(super) struct Axis {
    pub(super) title: String,
    pub(super) range: Range<f64>,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Spans `values` with a margin on either side; the margin does not extend beyond `limits`, the natural bounds of
    /// the quantity.
    pub(super) fn linear(title: &str, values: impl Iterator<Item = f64>, limits: Range<f64>) -> Self {
        let (low, high) = extent(values).unwrap_or((0.0, 1.0));
        // Equal values would give an empty range, which cannot be mapped.
        let margin = if high > low { 0.05 * (high - low) } else { (0.05 * high.abs()).max(1e-3) };
        let range = (low - margin).max(limits.start.min(low))..(high + margin).min(limits.end.max(high));
        let (ticks, decimals) = round_ticks(&range, MOST_TICKS);
        let ticks = ticks.into_iter().map(|tick| (tick, format!("{tick:.decimals$}"))).collect();
        Self { title: title.to_owned(), range, ticks }
    }

    /// Spans `values` in percent, within 0 to 100.
    pub(super) fn percent(title: &str, values: impl Iterator<Item = f64>) -> Self {
        Self::linear(title, values, 0.0..100.0)
    }

    /// Spans 1 to `last` plus half a unit on either side, with ticks at integers.
    pub(super) fn ordinal(title: &str, last: usize) -> Self {
        let range = 0.5..last.max(1) as f64 + 0.5;
        let (ticks, _) = round_ticks(&range, 10);
        let whole = ticks.into_iter().filter(|tick| tick.fract() == 0.0);
        Self { title: title.to_owned(), ticks: whole.map(|tick| (tick, format!("{tick:.0}"))).collect(), range }
    }

    /// A categorical axis: `names` are ticks at 0, 1, 2, ...
    pub(super) fn names<'n>(title: &str, names: impl Iterator<Item = &'n str>) -> Self {
        let ticks: Vec<_> = names.enumerate().map(|(i, name)| (i as f64, name.to_owned())).collect();
        Self { title: title.to_owned(), range: -0.5..ticks.len().max(1) as f64 - 0.5, ticks }
    }

    /// Spans 1 to `last` on a logarithmic scale: the coordinate of `n` is `log10(n)`.
    pub(super) fn logarithmic(title: &str, last: usize) -> Self {
        let end = (last.max(1) as f64).log10().max(1.0);
        let ticks = (0..=end as u32).map(|power| (f64::from(power), thousands(10u64.pow(power))));
        Self { title: title.to_owned(), range: 0.0..end * 1.02, ticks: ticks.collect() }
    }

    /// Spans positive `values` on a logarithmic scale, with a margin: the coordinate of `v` is `log10(v)`, and ticks
    /// are 1, 2 and 5 times powers of ten.
    pub(super) fn logarithm_of(title: &str, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = extent(values.map(f64::log10)).unwrap_or((0.0, 1.0));
        let margin = (0.08 * (high - low)).max(0.1);
        let range = low - margin..high + margin;
        let powers = range.start.floor() as i32..=range.end.ceil() as i32;
        let ticks = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10f64.powi(power)));
        let ticks = ticks.filter(|tick| range.contains(&tick.log10())).map(|tick| (tick.log10(), format!("{tick}")));
        Self { title: title.to_owned(), ticks: ticks.collect(), range }
    }

    /// All tick labels.
    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        self.ticks.iter().map(|tick| tick.1.as_str())
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        start + (share * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // No minor grid lines.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.iter().map(|tick| tick.0).collect() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks.iter().find(|tick| tick.0 == *value).map(|tick| tick.1.clone()).unwrap_or_default()
    }
}

/// Minimum and maximum of the finite `values`.
fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |extent, value| {
        let (low, high) = extent.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// Ticks within `range`, in at most `most` steps of 1, 2 or 5 times a power of ten, and the number of decimals they
/// need.
fn round_ticks(range: &Range<f64>, most: usize) -> (Vec<f64>, usize) {
    let least_step = (range.end - range.start) / most as f64;
    let power = 10f64.powf(least_step.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&step| step >= least_step);
    let step = step.unwrap_or(10.0 * power);
    let first = (range.start / step).ceil();
    let ticks = (0..=most).map(|i| (first + i as f64) * step).filter(|&tick| tick <= range.end);
    // Avoid a tick labelled `-0`.
    let ticks = ticks.map(|tick| if tick == 0.0 { 0.0 } else { tick }).collect();
    (ticks, (-step.log10().floor()).clamp(0.0, 12.0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.labels().collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis::linear("top-1, %", [88.31, 92.07].into_iter(), 0.0..100.0);
        assert_eq!(labels(&axis), ["89", "90", "91", "92"]);
        let axis = Axis::linear("loss", [0.31, 2.4].into_iter(), 0.0..f64::INFINITY);
        assert_eq!(labels(&axis), ["0.5", "1.0", "1.5", "2.0", "2.5"]);
        assert!(axis.range.start < 0.31 && axis.range.end > 2.4);
    }

    #[test]
    fn equal_values_still_have_a_span() {
        for value in [0.0, 100.0, -3.0, 1e-9, 1e12] {
            let axis = Axis::linear("x", [value, value].into_iter(), f64::NEG_INFINITY..f64::INFINITY);
            assert!(axis.range.start < value && value < axis.range.end, "{value}: {:?}", axis.range);
            assert!(labels(&axis).len() <= MOST_TICKS + 1, "{value}");
        }
    }

    #[test]
    fn limits_bound_the_margin_and_not_the_values() {
        assert_eq!(Axis::percent("top-1, %", [100.0, 100.0].into_iter()).range, 95.0..100.0);
        assert_eq!(Axis::percent("top-1, %", [90.0, 102.0].into_iter()).range, 89.4..102.0);
    }

    #[test]
    fn values_that_are_not_finite_do_not_count() {
        let axis = Axis::percent("top-1, %", [f64::NAN, 10.0, f64::INFINITY, 20.0].into_iter());
        assert_eq!(axis.range, 9.5..20.5);
        assert_eq!(Axis::percent("top-1, %", [f64::NAN].into_iter()).range, 0.0..1.05);
    }

    #[test]
    fn ordinal_ticks_are_whole() {
        assert_eq!(labels(&Axis::ordinal("epoch", 1)), ["1"]);
        assert_eq!(labels(&Axis::ordinal("epoch", 4)), ["1", "2", "3", "4"]);
        assert_eq!(labels(&Axis::ordinal("epoch", 40)), ["5", "10", "15", "20", "25", "30", "35", "40"]);
        assert_eq!(labels(&Axis::ordinal("epoch", 0)), ["1"]);
    }

    #[test]
    fn logarithmic_ticks_are_powers_of_ten() {
        assert_eq!(labels(&Axis::logarithmic("queries", 10_000)), ["1", "10", "100", "1,000", "10,000"]);
        assert_eq!(labels(&Axis::logarithmic("queries", 1)), ["1", "10"]);
    }

    #[test]
    fn zero_is_not_negative() {
        let axis = Axis::linear("x", [-1.0, 1.0].into_iter(), f64::NEG_INFINITY..f64::INFINITY);
        assert_eq!(labels(&axis), ["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
    }
}
