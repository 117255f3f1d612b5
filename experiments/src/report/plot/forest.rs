//! Forest plot: differences with their intervals, one below the other, with a line at zero.

use super::axis::Axis;
use super::canvas::{self, Frame, WIDE};
use super::palette::{BLUE, GRAY, VERMILION};
use super::{Key, Mark, Plot};
use plotters::style::RGBColor;

/// A difference of test top-1, in percentage points.
pub(in crate::report) struct Difference {
    /// Label of the row.
    pub(in crate::report) name: String,
    /// Mean difference.
    pub(in crate::report) mean: f64,
    /// Lower and upper end of its interval; `None` with too few values.
    pub(in crate::report) interval: Option<(f64, f64)>,
    /// Whether it is the mean over the other rows.
    pub(in crate::report) whole: bool,
}

/// One row per difference, the first at the top.
pub(in crate::report) fn forest(differences: &[Difference]) -> Option<Plot> {
    let shown: Vec<&Difference> = differences.iter().rev().filter(|found| found.mean.is_finite()).collect();
    shown.first()?;
    let ends = shown.iter().flat_map(|found| found.interval.into_iter().flat_map(|(low, high)| [low, high]));
    let values = shown.iter().map(|found| found.mean).chain(ends).chain([0.0]);
    let x = Axis::linear("difference of test top-1, points", values, f64::NEG_INFINITY..f64::INFINITY);
    let y = Axis::names("", shown.iter().map(|found| found.name.as_str()));
    let height = 150 + 56 * shown.len() as u32;
    let frame = Frame { size: (WIDE.0, height), rows: 0, vertical_grid: true };
    let svg = canvas::draw(frame, &x, &y, |canvas| {
        canvas.line(vec![(0.0, y.range.start), (0.0, y.range.end)], GRAY, 3);
        for (i, found) in shown.iter().enumerate() {
            let color = color(found);
            if let Some((low, high)) = found.interval {
                canvas.line(vec![(low, i as f64), (high, i as f64)], color, 4);
            }
            canvas.points(&[(found.mean, i as f64)], color, 10, 1.0);
        }
    });
    let mut legend = vec![Key::new("a subnet: mean and interval over seeds", BLUE, Mark::Point)];
    if shown.iter().any(|found| found.whole) {
        legend.push(Key::new("mean of the subnets: interval over seeds and test images", VERMILION, Mark::Point));
    }
    Some(Plot { svg, legend })
}

fn color(found: &Difference) -> RGBColor {
    if found.whole { VERMILION } else { BLUE }
}
