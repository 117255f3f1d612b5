//! Cost by number of scenarios.

use super::axis::Axis;
use super::canvas::{self, Frame, WIDE};
use super::palette::{BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILION};
use super::{Key, Mark, Plot};

/// Cost of a method, `once + each * N`, relative to nothing.
pub(in crate::report) struct Cost {
    /// Name in the legend.
    pub(in crate::report) name: String,
    /// Paid once.
    pub(in crate::report) once: f64,
    /// Paid per scenario.
    pub(in crate::report) each: f64,
    /// Scenarios that were run; beyond them the line is dashed.
    pub(in crate::report) measured: u32,
    /// The published cost at a number of scenarios, drawn as a ring.
    pub(in crate::report) published: Option<(u32, f64)>,
}

/// Scenarios to the right end.
const MOST: u32 = 100;

/// Draws one curve per method over logarithmic axes: solid as far as scenarios were run, dashed where extrapolated, and
/// rings where published ratios would put it. `None` without curves.
pub(in crate::report) fn cost_curves(y_title: &str, costs: &[Cost]) -> Option<Plot> {
    let at = |cost: &Cost, n: u32| cost.once + cost.each * f64::from(n);
    let costs: Vec<&Cost> = costs.iter().filter(|cost| at(cost, 1) > 0.0 && at(cost, 1).is_finite()).collect();
    costs.first()?;
    let x = Axis::logarithmic("deployment scenarios N (logarithmic)", MOST as usize);
    let ends = costs.iter().flat_map(|cost| [at(cost, 1), at(cost, MOST)]);
    let rings = costs.iter().filter_map(|cost| Some(cost.published?.1));
    let y = Axis::logarithm_of(y_title, ends.chain(rings));
    let colors = [VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY, GRAY].into_iter().cycle();
    let colored: Vec<_> = costs.into_iter().zip(colors).collect();
    let frame = Frame { size: (WIDE.0, 760), rows: 0, vertical_grid: true };
    let svg = canvas::draw(frame, &x, &y, |canvas| {
        for (cost, color) in &colored {
            let points = |numbers: std::ops::RangeInclusive<u32>| -> Vec<(f64, f64)> {
                numbers.map(|n| (f64::from(n).log10(), at(cost, n).log10())).collect()
            };
            let measured = cost.measured.clamp(1, MOST);
            canvas.dashed(points(measured..=MOST), *color);
            canvas.line(points(1..=measured), *color, 4);
            canvas.points(&points(measured..=measured), *color, 8, 1.0);
            if let Some((n, value)) = cost.published {
                canvas.rings(&[(f64::from(n).log10(), value.log10())], *color, 10);
            }
        }
    });
    let mut legend: Vec<Key> =
        colored.iter().map(|(cost, color)| Key::new(cost.name.as_str(), *color, Mark::Line)).collect();
    legend.push(Key::new("extrapolated", GRAY, Mark::Dashed));
    if colored.iter().any(|(cost, _)| cost.published.is_some()) {
        legend.push(Key::new("published ratio", GRAY, Mark::Ring));
    }
    Some(Plot { svg, legend })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_dashed_beyond_what_was_run() {
        let cost = |name: &str, once, each, published| Cost { name: name.into(), once, each, measured: 3, published };
        let costs = [cost("ofa", 33.0, 0.0, None), cost("other", 0.0, 15.0, Some((40, 462.0)))];
        let plot = cost_curves("TMACs", &costs).unwrap();
        assert!(plot.svg.contains("scenarios N") && plot.svg.contains("\n10\n"), "{}", plot.svg);
        let names: Vec<&str> = plot.legend.iter().map(|key| key.text.as_str()).collect();
        assert_eq!(names, ["ofa", "other", "extrapolated", "published ratio"]);
        assert!(cost_curves("TMACs", &[cost("nothing", 0.0, 0.0, None)]).is_none());
    }
}
