//! Accuracy of the watched subnets after each phase.

use super::axis::Axis;
use super::canvas::{self, Frame, WIDE};
use super::palette::{BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION};
use super::{Key, Mark, Plot};
use crate::run::watched::Watched;
use plotters::style::RGBColor;

/// One line per subnet, over the phases.
pub(in crate::report) fn watched(records: &[Watched]) -> Option<Plot> {
    let records: Vec<_> = records.iter().filter(|record| record.top1.is_finite()).collect();
    let phases = distinct(records.iter().map(|record| record.phase.as_str()));
    let mut lines: Vec<_> = distinct(records.iter().map(|record| record.label.as_str()))
        .into_iter()
        .map(|label| (label, points(&records, label, &phases)))
        .collect();
    // The legend follows the order of the lines' last values.
    lines.sort_by(|a, b| last(&b.1).total_cmp(&last(&a.1)));
    if lines.is_empty() {
        return None;
    }
    let colors = colors(lines.iter().map(|line| line.0));
    let x = Axis::names("after the phase", phases.iter().copied());
    let y = Axis::percent("top-1 on validation, %", records.iter().map(|record| 100.0 * record.top1));
    let frame = Frame { size: (WIDE.0, 620), rows: 0, vertical_grid: false };
    let svg = canvas::draw(frame, &x, &y, |canvas| {
        for ((_, points), &color) in lines.iter().zip(&colors).rev() {
            canvas.line(points.clone(), color, 4);
            canvas.points(points, color, 8, 1.0);
        }
    });
    let legend = lines.iter().zip(colors).map(|((label, _), color)| Key::new(*label, color, Mark::Line)).collect();
    Some(Plot { svg, legend })
}

/// The distinct values, in order of first occurrence.
fn distinct<'v>(values: impl Iterator<Item = &'v str>) -> Vec<&'v str> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

fn points(records: &[&Watched], label: &str, phases: &[&str]) -> Vec<(f64, f64)> {
    let at = |phase: &str| records.iter().find(|record| record.label == label && record.phase == phase);
    let points = phases.iter().enumerate().map(|(i, phase)| Some((i as f64, 100.0 * at(phase)?.top1)));
    points.flatten().collect()
}

fn last(points: &[(f64, f64)]) -> f64 {
    points.last().map_or(f64::NEG_INFINITY, |point| point.1)
}

/// The extremes have fixed colours, whatever else is watched.
fn colors<'l>(labels: impl Iterator<Item = &'l str>) -> Vec<RGBColor> {
    let mut others = [GREEN, ORANGE, PURPLE, SKY].into_iter().cycle();
    labels
        .map(|label| match label {
            "largest" => BLUE,
            "smallest" => VERMILION,
            _ => others.next().expect("a cycle does not end"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(phase: &str, label: &str, top1: f64) -> Watched {
        Watched { phase: phase.into(), label: label.into(), arch: "r28".into(), top1 }
    }

    #[test]
    fn the_legend_follows_the_last_values() {
        let records = [
            record("full", "smallest", 0.1),
            record("full", "random 1", 0.3),
            record("full", "largest", 0.9),
            record("kernel", "smallest", 0.95),
            record("kernel", "random 1", 0.4),
            record("kernel", "largest", 0.91),
        ];
        let plot = watched(&records).unwrap();
        let texts: Vec<_> = plot.legend.iter().map(|key| key.text.as_str()).collect();
        assert_eq!(texts, ["smallest", "largest", "random 1"]);
        assert_eq!(plot.legend[0].color, VERMILION);
        assert_eq!(plot.legend[1].color, BLUE);
        assert!(plot.svg.contains("kernel"));
    }

    #[test]
    fn a_phase_without_a_value_is_skipped() {
        let records = [record("full", "largest", 0.9), record("kernel", "smallest", 0.8), record("x", "largest", 0.91)];
        let all: Vec<_> = records.iter().collect();
        let phases = distinct(records.iter().map(|record| record.phase.as_str()));
        assert_eq!(points(&all, "largest", &phases), [(0.0, 90.0), (2.0, 91.0)]);
    }

    #[test]
    fn nothing_finite_is_no_plot() {
        assert!(watched(&[]).is_none());
        assert!(watched(&[record("full", "largest", f64::NAN)]).is_none());
    }
}
