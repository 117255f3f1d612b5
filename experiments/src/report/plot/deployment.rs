//! The front of all searches, with the answers on it; hovering shows the archs.

use super::axis::Axis;
use super::canvas::{self, Frame, WIDE};
use super::front::staircase;
use super::palette::{BLUE, GRAY, SKY, VERMILION};
use super::{Key, Mark, Plot};
use crate::deployment::{Axis as Cost, Found};
use crate::report::format::{percent, significant};
use ofa_search::Front;

/// Predicted accuracy against one cost: the front, the answers of its scenarios and their uniformly scaled rivals.
pub(in crate::report) fn deployment_front(cost: &Cost, front: &Front, found: &[&Found]) -> Option<Plot> {
    let scale = scale(&cost.unit);
    let at = |cost: f64, top1: f64| (cost / scale.0, 100.0 * top1);
    let front: Vec<_> = front.trials().iter().map(|trial| (at(trial.costs[0], trial.score), &trial.arch)).collect();
    let answers: Vec<_> = found.iter().map(|found| (at(found.cost, found.predicted.mean), *found)).collect();
    let rivals = found.iter().filter_map(|found| Some((found.uniform.as_ref()?, *found)));
    let rivals: Vec<_> = rivals.map(|(rival, found)| (at(rival.cost, rival.predicted_top1), rival, found)).collect();
    let of_found = answers.iter().map(|answer| answer.0).chain(rivals.iter().map(|rival| rival.0));
    let all = || front.iter().map(|point| point.0).chain(of_found.clone());
    all().next()?;
    let x = Axis::linear(&format!("{}, {}", cost.cost, scale.1), all().map(|point| point.0), 0.0..f64::INFINITY);
    let y = Axis::percent("predicted top-1, %", all().map(|point| point.1));
    let note = |at: (f64, f64), what: &str, arch: &ofa_model::Arch| {
        format!("{what}\n{arch}\n{}, {} {}", percent(at.1 / 100.0), significant(at.0, 4), scale.1)
    };
    let svg = canvas::draw(Frame { size: WIDE, rows: 0, vertical_grid: true }, &x, &y, |canvas| {
        let line: Vec<_> = front.iter().map(|point| point.0).collect();
        canvas.line(staircase(&line, x.range.end), SKY, 3);
        canvas.points(&line, BLUE, 5, 0.8);
        for (at, rival, found) in &rivals {
            canvas.rings(&[*at], GRAY, 9);
            canvas.note(*at, note(*at, &format!("uniform network for {}", found.scenario.name), &rival.arch));
        }
        for (at, arch) in &front {
            canvas.note(*at, note(*at, "front", arch));
        }
        // Drawn last, so they are on top for the pointer.
        for (at, found) in &answers {
            canvas.points(&[*at], VERMILION, 11, 1.0);
            canvas.note(*at, note(*at, &found.scenario.name, &found.arch));
        }
    });
    let mut legend = vec![Key::new("front of all searches", BLUE, Mark::Point)];
    if !answers.is_empty() {
        legend.push(Key::new("answer to a scenario", VERMILION, Mark::Point));
    }
    if !rivals.is_empty() {
        legend.push(Key::new("best uniformly scaled network within its limits", GRAY, Mark::Ring));
    }
    Some(Plot { svg, legend })
}

/// Units of the cost per unit of the axis, and the name of the axis unit: counts are shown in millions.
fn scale(unit: &str) -> (f64, String) {
    if ["MACs", "parameters"].contains(&unit) { (1e6, format!("millions of {unit}")) } else { (1.0, unit.to_owned()) }
}
