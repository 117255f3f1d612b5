//! Several named series in one plot.

use super::axis::Axis;
use super::canvas::{self, Frame, WIDE};
use super::palette::{BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILION};
use super::{Key, Mark, Plot};

/// A series of points.
pub(in crate::report) struct Series {
    /// Name in the legend.
    pub(in crate::report) name: String,
    /// Points (x, y); non-finite ones are skipped.
    pub(in crate::report) points: Vec<(f64, f64)>,
}

/// Several series as points, or as lines if `mark` is [`Mark::Line`]; y is at most 100.
pub(in crate::report) fn series(x_title: &str, y_title: &str, series: &[Series], mark: Mark) -> Option<Plot> {
    let finite = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
    let all = || series.iter().flat_map(|series| series.points.iter().filter(finite));
    all().next()?;
    let x = Axis::linear(x_title, all().map(|point| point.0), 0.0..f64::INFINITY);
    let y = Axis::percent(y_title, all().map(|point| point.1));
    let frame = Frame { size: (WIDE.0, 760), rows: 0, vertical_grid: true };
    let colors = [VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY, GRAY].into_iter().cycle();
    let colored: Vec<_> = series.iter().zip(colors).collect();
    let svg = canvas::draw(frame, &x, &y, |canvas| {
        for &(series, color) in colored.iter().rev() {
            let points: Vec<_> = series.points.iter().filter(finite).copied().collect();
            match mark {
                Mark::Line => canvas.line(points, color, 4),
                _ => canvas.points(&points, color, 9, 0.75),
            }
        }
    });
    let legend = colored.iter().map(|(series, color)| Key::new(series.name.as_str(), *color, mark)).collect();
    Some(Plot { svg, legend })
}
