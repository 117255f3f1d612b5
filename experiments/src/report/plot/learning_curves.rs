//! Loss and training accuracy against epochs.

use super::axis::Axis;
use super::canvas::{self, Canvas, Frame, HALF};
use super::palette::{BLUE, GRAY, SKY};
use super::{Key, Mark, Plot};
use ofa_train::EpochRecord;
use plotters::style::RGBColor;

/// Epochs are marked by points up to this number; more would merge into a thick line.
const MOST_POINTS: usize = 60;

/// The training loss; with a teacher, also its cross-entropy against the labels.
pub(in crate::report) fn loss(epochs: &[EpochRecord]) -> Option<Plot> {
    let total = curve(epochs, |epoch| epoch.loss)?;
    let mut legend = vec![Key::new("minimised loss", BLUE, Mark::Line)];
    let mut curves = vec![(total, BLUE)];
    if epochs.iter().any(|epoch| epoch.teacher_loss != 0.0)
        && let Some(labels) = curve(epochs, |epoch| epoch.label_loss)
    {
        legend.push(Key::new("cross-entropy against the labels", SKY, Mark::Line));
        curves.insert(0, (labels, SKY));
    }
    let values = curves.iter().flat_map(|(points, _)| points).map(|point| point.1);
    let y = Axis::linear("loss, nats", values, 0.0..f64::INFINITY);
    Some(Plot { svg: draw(epochs, &y, &curves), legend })
}

/// Top-1 accuracy of the sampled subnets on training images, in percent.
pub(in crate::report) fn train_top1(epochs: &[EpochRecord]) -> Option<Plot> {
    let points = curve(epochs, |epoch| 100.0 * epoch.train_top1)?;
    let y = Axis::percent("top-1 on augmented training images, %", points.iter().map(|point| point.1));
    let legend = vec![Key::new("mean of the sampled subnets", BLUE, Mark::Line)];
    Some(Plot { svg: draw(epochs, &y, &[(points, BLUE)]), legend })
}

/// Points of a curve, with epochs numbered consecutively from 1; `None` if no value is finite.
fn curve(epochs: &[EpochRecord], value: impl Fn(&EpochRecord) -> f64) -> Option<Vec<(f64, f64)>> {
    let points = epochs.iter().enumerate().map(|(i, epoch)| ((i + 1) as f64, value(epoch)));
    let points: Vec<_> = points.filter(|point| point.1.is_finite()).collect();
    (!points.is_empty()).then_some(points)
}

fn draw(epochs: &[EpochRecord], y: &Axis, curves: &[(Vec<(f64, f64)>, RGBColor)]) -> String {
    let x = Axis::ordinal("epoch", epochs.len());
    let phases = phases(epochs);
    let pixels_an_epoch = f64::from(HALF.0 - 130) / epochs.len() as f64;
    let rows = heading_rows(&phases, pixels_an_epoch);
    let frame = Frame { size: HALF, rows: rows.iter().map(|row| row + 1).max().unwrap_or(0), vertical_grid: false };
    canvas::draw(frame, &x, y, |canvas| {
        for (i, (phase, row)) in phases.iter().zip(rows).enumerate() {
            draw_phase(canvas, phase, row, i, y);
        }
        for (points, color) in curves {
            canvas.line(points.clone(), *color, 4);
            if epochs.len() <= MOST_POINTS {
                canvas.points(points, *color, 6, 1.0);
            }
        }
    })
}

fn draw_phase(canvas: &mut Canvas<'_>, phase: &Phase<'_>, row: usize, index: usize, y: &Axis) {
    // Shading every second band shows the borders without lines.
    if index % 2 == 1 {
        canvas.band(phase.start..phase.end, &y.range, GRAY, 0.11);
    }
    canvas.heading((phase.start + phase.end) / 2.0, row, phase.name);
}

/// The range of a phase's epochs on the x axis.
struct Phase<'e> {
    name: &'e str,
    start: f64,
    end: f64,
}

fn phases(epochs: &[EpochRecord]) -> Vec<Phase<'_>> {
    let mut start = 0.5;
    let runs = epochs.chunk_by(|a, b| a.phase == b.phase);
    runs.map(|run| {
        let phase = Phase { name: &run[0].phase, start, end: start + run.len() as f64 };
        start = phase.end;
        phase
    })
    .collect()
}

/// For each phase, the lowest row in which its name does not touch another: names may be wider than short phases.
fn heading_rows(phases: &[Phase<'_>], pixels_an_epoch: f64) -> Vec<usize> {
    let mut row_ends: Vec<f64> = Vec::new();
    phases
        .iter()
        .map(|phase| {
            let centre = (phase.start + phase.end) / 2.0 * pixels_an_epoch;
            let half = f64::from(canvas::text_width(phase.name)) / 2.0;
            let free = row_ends.iter().position(|&end| end <= centre - half);
            let row = free.unwrap_or(row_ends.len());
            row_ends.resize(row_ends.len().max(row + 1), 0.0);
            row_ends[row] = centre + half + 16.0;
            row
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(phases: &[(&str, usize)]) -> Vec<EpochRecord> {
        let names = phases.iter().flat_map(|&(name, count)| std::iter::repeat_n(name, count));
        let record = |(i, phase): (usize, &str)| EpochRecord {
            phase: phase.into(),
            epoch: i,
            learning_rate: 0.1,
            loss: 2.0 / (i + 1) as f64,
            label_loss: 1.0 / (i + 1) as f64,
            teacher_loss: 0.0,
            train_top1: 0.5,
            images: 100,
            mean_macs: 2e6,
            least_macs: 1_000_000,
            most_macs: 3_000_000,
            seconds: 1.0,
        };
        names.enumerate().map(record).collect()
    }

    #[test]
    fn phases_cover_their_epochs() {
        let epochs = epochs(&[("full", 3), ("kernel", 1), ("depth 1", 2)]);
        let bands: Vec<_> = phases(&epochs).iter().map(|phase| (phase.name, phase.start, phase.end)).collect();
        assert_eq!(bands, [("full", 0.5, 3.5), ("kernel", 3.5, 4.5), ("depth 1", 4.5, 6.5)]);
    }

    #[test]
    fn names_of_short_phases_take_turns() {
        let epochs = epochs(&[("full", 1), ("kernel", 1), ("depth 1", 1), ("depth 2", 1)]);
        let phases = phases(&epochs);
        assert_eq!(heading_rows(&phases, 500.0), [0, 0, 0, 0]);
        assert_eq!(heading_rows(&phases, 80.0), [0, 1, 0, 1]);
    }

    #[test]
    fn losses_that_are_not_finite_are_left_out() {
        let mut epochs = epochs(&[("full", 2)]);
        epochs[0].loss = f64::NAN;
        assert_eq!(curve(&epochs, |epoch| epoch.loss), Some(vec![(2.0, 1.0)]));
        epochs[1].loss = f64::INFINITY;
        assert!(loss(&epochs).is_none());
        assert!(train_top1(&epochs).is_some());
        assert!(train_top1(&[]).is_none());
    }

    #[test]
    fn the_label_loss_is_shown_only_beside_a_teacher() {
        let mut epochs = epochs(&[("full", 2), ("kernel", 2)]);
        assert_eq!(loss(&epochs).unwrap().legend.len(), 1);
        epochs[2].teacher_loss = 0.7;
        assert_eq!(loss(&epochs).unwrap().legend.len(), 2);
    }
}
