//! Plots differences or accuracies against training cost.

use super::axis::Axis;
use super::canvas::{self, Frame, HALF};
use super::palette::{BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILION};
use super::{Key, Mark, Plot};

/// Values of one kind, at several budgets.
pub(in crate::report) struct Measured {
    /// Name in the legend.
    pub(in crate::report) name: String,
    /// One value per budget.
    pub(in crate::report) points: Vec<AtCost>,
}

/// A value at a training cost.
pub(in crate::report) struct AtCost {
    /// Training cost in TMACs.
    pub(in crate::report) tmacs: f64,
    /// The value, in percent or points.
    pub(in crate::report) value: f64,
    /// Ends of its interval, low and high.
    pub(in crate::report) ends: Option<(f64, f64)>,
}

/// Draws one line per kind over a logarithmic axis of compute; `zero` also draws the line of no difference. `None`
/// without points.
pub(in crate::report) fn against_compute(y_title: &str, kinds: &[Measured], zero: bool) -> Option<Plot> {
    let all = || kinds.iter().flat_map(|kind| &kind.points);
    all().next()?;
    let x = Axis::logarithm_of("training, TMACs (logarithmic)", all().map(|point| point.tmacs));
    let ends = all().flat_map(|point| point.ends.into_iter().flat_map(|(low, high)| [low, high]));
    let values = all().map(|point| point.value).chain(ends).chain(zero.then_some(0.0));
    let y = Axis::linear(y_title, values, f64::NEG_INFINITY..f64::INFINITY);
    let colors = [VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY, GRAY].into_iter().cycle();
    let colored: Vec<_> = kinds.iter().zip(colors).filter(|(kind, _)| !kind.points.is_empty()).collect();
    let frame = Frame { size: (HALF.0, 760), rows: 0, vertical_grid: true };
    let svg = canvas::draw(frame, &x, &y, |canvas| {
        if zero {
            canvas.line(vec![(x.range.start, 0.0), (x.range.end, 0.0)], GRAY, 3);
        }
        for (kind, color) in &colored {
            let mut points: Vec<(f64, f64)> =
                kind.points.iter().map(|point| (point.tmacs.log10(), point.value)).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            canvas.line(points.clone(), *color, 2);
            for point in &kind.points {
                let Some((low, high)) = point.ends else { continue };
                canvas.line(vec![(point.tmacs.log10(), low), (point.tmacs.log10(), high)], *color, 4);
            }
            canvas.points(&points, *color, 10, 1.0);
        }
    });
    let legend = colored.iter().map(|(kind, color)| Key::new(kind.name.as_str(), *color, Mark::Point)).collect();
    Some(Plot { svg, legend })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_and_ticks_are_drawn() {
        let at = |tmacs, value, ends| AtCost { tmacs, value, ends };
        let points = vec![at(10.0, -1.0, Some((-2.0, -0.5))), at(31.0, 0.5, None)];
        let kinds = [Measured { name: "gap".into(), points }, Measured { name: "none".into(), points: Vec::new() }];
        let plot = against_compute("points", &kinds, true).unwrap();
        assert!(
            plot.svg.contains("\n10\n") && plot.svg.contains("\n20\n") && plot.svg.contains("TMACs"),
            "{}",
            plot.svg
        );
        assert_eq!(plot.legend.len(), 1);
        assert!(against_compute("points", &kinds[1..], true).is_none());
    }
}
