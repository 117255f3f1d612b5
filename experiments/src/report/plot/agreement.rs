//! Predicted against measured values.

use super::axis::Axis;
use super::canvas::{self, Canvas, Frame, HALF};
use super::palette::{BLUE, GRAY, SKY};
use super::{Key, Mark, Plot};
use crate::tables::fit::Fit;
use std::ops::Range;

/// Scatter plot of predicted against measured top-1, both in percent.
pub(in crate::report) fn accuracy_agreement(fit: &Fit) -> Option<Plot> {
    let points = points(fit, 100.0)?;
    let axis = |title: &str| Axis::percent(title, both(&points));
    Some(draw(&points, &axis("measured top-1, %"), &axis("predicted top-1, %"), None))
}

/// Scatter plot of latency by table against whole networks, with a band of relative half-width `tolerance` around
/// equality.
pub(in crate::report) fn latency_agreement(fit: &Fit, tolerance: f64) -> Option<Plot> {
    let points = points(fit, 1.0)?;
    let axis = |title: &str| Axis::linear(title, both(&points), 0.0..f64::INFINITY);
    Some(draw(&points, &axis("measured latency, ms"), &axis("predicted latency, ms"), Some(tolerance)))
}

/// The finite pairs as `(measured, predicted)`, multiplied by `scale`.
fn points(fit: &Fit, scale: f64) -> Option<Vec<(f64, f64)>> {
    let points = fit.points.iter().map(|pair| (scale * pair.measured, scale * pair.predicted));
    let points: Vec<_> = points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    (!points.is_empty()).then_some(points)
}

/// All coordinates: both axes need the same range, so equality is the diagonal.
fn both(points: &[(f64, f64)]) -> impl Iterator<Item = f64> {
    points.iter().flat_map(|&(x, y)| [x, y])
}

fn draw(points: &[(f64, f64)], x: &Axis, y: &Axis, tolerance: Option<f64>) -> Plot {
    let mut legend = vec![Key::new("subnet", BLUE, Mark::Point), Key::new("equal", GRAY, Mark::Dashed)];
    if let Some(tolerance) = tolerance {
        legend.push(Key::new(format!("within {:.0} %", 100.0 * tolerance), SKY, Mark::Band));
    }
    let frame = Frame { size: HALF, rows: 0, vertical_grid: true };
    let svg = canvas::draw(frame, x, y, |canvas: &mut Canvas<'_>| {
        if let Some(tolerance) = tolerance {
            canvas.area(band(&x.range, tolerance), SKY, 0.22);
        }
        let diagonal = [x.range.start, x.range.end].map(|value| (value, value));
        canvas.dashed(diagonal.to_vec(), GRAY);
        canvas.points(points, BLUE, 8, 0.75);
    });
    Plot { svg, legend }
}

/// Outline of `(1 - tolerance) x <= y <= (1 + tolerance) x` within the square over `range`.
fn band(range: &Range<f64>, tolerance: f64) -> Vec<(f64, f64)> {
    let (low, high) = (range.start, range.end);
    let (upper, lower) = (1.0 + tolerance, 1.0 - tolerance);
    vec![
        (low, low),
        (low, (upper * low).min(high)),
        ((high / upper).max(low), high),
        (high, high),
        (high, (lower * high).max(low)),
        ((low / lower).min(high), low),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::fit::PredictedMeasured;

    fn fit(pairs: &[(f64, f64)]) -> Fit {
        let pair = |&(predicted, measured): &(f64, f64)| PredictedMeasured { arch: "r28".into(), predicted, measured };
        Fit { points: pairs.iter().map(pair).collect(), rmse: 0.0, mape: 0.0, kendall_tau: 1.0 }
    }

    #[test]
    fn the_band_stays_in_the_square() {
        for range in [0.0..2.0, 0.5..2.0, 0.98..1.0] {
            let inside = |value: f64| (range.start - 1e-12..=range.end + 1e-12).contains(&value);
            assert!(band(&range, 0.1).iter().all(|&(x, y)| inside(x) && inside(y)), "{range:?}");
        }
        assert_eq!(
            band(&(1.0..2.0), 0.25),
            [(1.0, 1.0), (1.0, 1.25), (1.6, 2.0), (2.0, 2.0), (2.0, 1.5), (4.0 / 3.0, 1.0)]
        );
    }

    #[test]
    fn measured_is_across_and_predicted_is_up() {
        assert_eq!(points(&fit(&[(0.25, 0.5), (f64::NAN, 0.5)]), 100.0), Some(vec![(50.0, 25.0)]));
    }

    #[test]
    fn only_latency_has_a_band() {
        assert_eq!(accuracy_agreement(&fit(&[(0.9, 0.9)])).unwrap().svg.matches("<polygon").count(), 0);
        assert_eq!(latency_agreement(&fit(&[(0.9, 0.9)]), 0.1).unwrap().svg.matches("<polygon").count(), 1);
        assert!(accuracy_agreement(&fit(&[])).is_none());
        assert!(latency_agreement(&fit(&[(f64::INFINITY, 1.0)]), 0.1).is_none());
    }
}
