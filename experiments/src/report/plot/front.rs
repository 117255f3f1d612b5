//! Accuracy against latency: the table, its Pareto front and the found subnets.

use super::axis::Axis;
use super::canvas::{self, Canvas, Frame, WIDE};
use super::labels;
use super::palette::{BLUE, GRAY, SKY, VERMILION};
use super::{Key, Mark, Plot};
use crate::deployment::specialise::Chosen;
use crate::run::records::TablePoint;
use ofa_search::statistics::pareto_front;

/// Table rows at validation accuracy and latency by table; found subnets at test accuracy and measured latency.
pub(in crate::report) fn front(table: &[TablePoint], chosen: &[Chosen]) -> Option<Plot> {
    let finite = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
    let table: Vec<_> = table.iter().map(|row| (row.latency_ms, 100.0 * row.top1)).filter(finite).collect();
    let found: Vec<_> = chosen.iter().map(Found::new).filter(|found| finite(&found.point)).collect();
    let tuned = || found.iter().filter_map(|found| found.tuned);
    let all = || table.iter().copied().chain(found.iter().map(|found| found.point)).chain(tuned());
    all().next()?;
    let x = Axis::linear("latency, ms", all().map(|point| point.0), 0.0..f64::INFINITY);
    let y = Axis::percent("top-1, %", all().map(|point| point.1));
    let frame = Frame { size: WIDE, rows: 0, vertical_grid: true };
    let svg = canvas::draw(frame, &x, &y, |canvas| {
        canvas.points(&table, SKY, 8, 0.6);
        let front: Vec<_> = pareto_front(&table).into_iter().map(|i| table[i]).collect();
        let stairs = staircase(&front, x.range.end);
        canvas.line(stairs.clone(), BLUE, 4);
        draw_found(canvas, &found);
        label_found(canvas, &found, &table, &stairs);
    });
    Some(Plot { svg, legend: legend(&table, &found) })
}

fn legend(table: &[(f64, f64)], found: &[Found<'_>]) -> Vec<Key> {
    let mut legend = Vec::new();
    if !table.is_empty() {
        legend.push(Key::new("accuracy table (validation, latency by table)", SKY, Mark::Point));
        legend.push(Key::new("its Pareto front", BLUE, Mark::Line));
    }
    if !found.is_empty() {
        legend.push(Key::new("found subnet (test, measured latency)", VERMILION, Mark::Point));
    }
    if found.iter().any(|found| found.tuned.is_some()) {
        legend.push(Key::new("the same, fine-tuned", VERMILION, Mark::Ring));
    }
    legend
}

/// A found subnet: (measured latency, test top-1), also fine-tuned.
struct Found<'c> {
    scenario: &'c str,
    point: (f64, f64),
    tuned: Option<(f64, f64)>,
}

impl<'c> Found<'c> {
    fn new(chosen: &'c Chosen) -> Self {
        let at = |top1: f64| (chosen.measured_ms, 100.0 * top1);
        let tuned = chosen.fine_tuned_test_top1.filter(|top1| top1.is_finite()).map(at);
        Self { scenario: &chosen.scenario, point: at(chosen.test_top1), tuned }
    }

    /// Points along the line from the plain to the fine-tuned accuracy.
    fn connection(&self) -> Vec<(f64, f64)> {
        let (x, start) = self.point;
        let along = |(_, end)| (1..=4).map(|quarter| (x, start + (end - start) * f64::from(quarter) / 4.0)).collect();
        self.tuned.map_or_else(Vec::new, along)
    }
}

fn draw_found(canvas: &mut Canvas<'_>, found: &[Found<'_>]) {
    for found in found {
        if let Some(tuned) = found.tuned {
            canvas.line(vec![found.point, tuned], GRAY, 3);
            canvas.rings(&[tuned], VERMILION, 10);
        }
        canvas.points(&[found.point], VERMILION, 12, 1.0);
    }
}

fn label_found(canvas: &mut Canvas<'_>, found: &[Found<'_>], table: &[(f64, f64)], stairs: &[(f64, f64)]) {
    let marks: Vec<_> =
        found.iter().map(|found| (canvas.pixel(found.point), canvas::text_width(found.scenario))).collect();
    let pins: Vec<_> = found.iter().flat_map(|found| found.connection()).map(|point| canvas.pixel(point)).collect();
    let steps: Vec<_> = stairs.iter().map(|&point| canvas.pixel(point)).collect();
    let dots = table.iter().map(|&point| canvas.pixel(point));
    let dots: Vec<_> = dots.chain(steps.windows(2).flat_map(|ends| along(ends[0], ends[1]))).collect();
    let (across, down) = canvas.pixels();
    for (found, placement) in found.iter().zip(labels::place(&marks, &pins, &dots, &across, &down)) {
        canvas.label(found.point, placement.offset, placement.anchor, found.scenario);
    }
}

/// A step line: each value holds until the next point, the last until `end`.
pub(super) fn staircase(front: &[(f64, f64)], end: f64) -> Vec<(f64, f64)> {
    let ends = front.iter().skip(1).map(|next| next.0).chain([end]);
    front.iter().zip(ends).flat_map(|(&(x, y), until)| [(x, y), (until, y)]).collect()
}

/// Pixels sampled along a line, so densely that a label across the line covers more of them than of dots.
fn along(from: (i32, i32), to: (i32, i32)) -> impl Iterator<Item = (i32, i32)> {
    let (across, down) = (to.0 - from.0, to.1 - from.1);
    let count = (across.abs().max(down.abs()) / 6).max(1);
    (0..=count).map(move |i| (from.0 + across * i / count, from.1 + down * i / count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_staircase_holds_until_the_next_step() {
        assert_eq!(staircase(&[(1.0, 70.0), (2.0, 80.0)], 5.0), [(1.0, 70.0), (2.0, 70.0), (2.0, 80.0), (5.0, 80.0)]);
        assert!(staircase(&[], 5.0).is_empty());
    }

    #[test]
    fn a_line_is_sampled_with_its_ends() {
        assert_eq!(along((0, 5), (12, 5)).collect::<Vec<_>>(), [(0, 5), (6, 5), (12, 5)]);
        assert_eq!(along((3, 5), (3, 5)).collect::<Vec<_>>(), [(3, 5), (3, 5)]);
    }

    #[test]
    fn a_table_alone_has_no_key_for_found_subnets() {
        let row = TablePoint { arch: "r28".into(), top1: 0.9, latency_ms: 1.0, macs: 1 };
        let plot = front(std::slice::from_ref(&row), &[]).unwrap();
        assert_eq!(plot.legend.len(), 2);
        assert!(front(&[TablePoint { top1: f64::NAN, ..row }], &[]).is_none());
        assert!(front(&[], &[]).is_none());
    }
}
