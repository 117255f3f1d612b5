//! Best score so far against queries, for one scenario.

use super::axis::Axis;
use super::canvas::{self, Frame, HALF};
use super::palette::{BLUE, GRAY, GREEN, ORANGE, PURPLE, VERMILION};
use super::{Key, Mark, Plot};
use crate::deployment::scenarios::Answer;
use plotters::style::RGBColor;

/// Colours of searches, in the order of their strategies.
const COLORS: [RGBColor; 5] = [VERMILION, BLUE, GREEN, PURPLE, ORANGE];

/// One step line per strategy. Table look-up does not query the predictor, so its answer is drawn as a horizontal
/// line for comparison.
pub(in crate::report) fn best_so_far(answers: &[&Answer]) -> Option<Plot> {
    let queries = answers.iter().map(|answer| answer.queries).max()?;
    let x = Axis::logarithmic("queries (logarithmic)", queries);
    let end = (queries.max(1) as f64).log10();
    // A strategy has the same colour in all scenarios, since all have the same strategies in the same order.
    let mut colors = COLORS.into_iter().cycle();
    let lines: Vec<_> = answers
        .iter()
        .map(|answer| match answer.looked_up {
            true => Line::level(answer, x.range.end),
            false => Line::steps(answer, end, colors.next().expect("a cycle does not end")),
        })
        .filter(|line| !line.points.is_empty())
        .collect();
    if lines.is_empty() {
        return None;
    }
    let scores = lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let y = Axis::percent("best top-1 so far, %", scores);
    let frame = Frame { size: (HALF.0, 560), rows: 0, vertical_grid: false };
    let svg = canvas::draw(frame, &x, &y, |canvas| {
        for line in &lines {
            match line.mark {
                Mark::Dashed => canvas.dashed(line.points.clone(), line.color),
                _ => canvas.line(line.points.clone(), line.color, 4),
            }
        }
    });
    let legend = lines.iter().map(|line| Key::new(line.strategy, line.color, line.mark)).collect();
    Some(Plot { svg, legend })
}

struct Line<'a> {
    strategy: &'a str,
    points: Vec<(f64, f64)>,
    mark: Mark,
    color: RGBColor,
}

impl<'a> Line<'a> {
    /// The score jumps at each improvement and holds until the last query.
    fn steps(answer: &'a Answer, end: f64, color: RGBColor) -> Self {
        let mut points: Vec<(f64, f64)> = Vec::new();
        let finite = answer.curve.iter().filter(|(_, score)| score.is_finite());
        for &(query, score) in finite {
            let at = (query.max(1) as f64).log10();
            points.extend(points.last().map(|&(_, before)| (at, before)));
            points.push((at, 100.0 * score));
        }
        points.extend(points.last().map(|&(_, best)| (end, best)));
        Self { strategy: &answer.strategy, points, mark: Mark::Line, color }
    }

    fn level(answer: &'a Answer, end: f64) -> Self {
        let score = 100.0 * answer.curve.last().map_or(answer.predicted_top1, |&(_, score)| score);
        let points = if score.is_finite() { vec![(0.0, score), (end, score)] } else { Vec::new() };
        Self { strategy: &answer.strategy, points, mark: Mark::Dashed, color: GRAY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(strategy: &str, curve: &[(usize, f64)]) -> Answer {
        Answer {
            scenario: "latency 1 ms".into(),
            strategy: strategy.into(),
            looked_up: strategy == "table",
            arch: "r28".into(),
            predicted_top1: 0.9,
            predicted_ms: 1.0,
            macs: 1_000_000,
            queries: 1000,
            seconds: 0.1,
            curve: curve.to_vec(),
        }
    }

    #[test]
    fn a_search_is_a_step_line_up_to_its_last_query() {
        let answer = answer("random", &[(1, 0.5), (100, 0.75)]);
        assert_eq!(Line::steps(&answer, 3.0, BLUE).points, [(0.0, 50.0), (2.0, 50.0), (2.0, 75.0), (3.0, 75.0)]);
    }

    #[test]
    fn a_look_up_is_a_level() {
        let found = answer("table", &[(3, 0.5), (7, 0.75)]);
        assert_eq!(Line::level(&found, 4.0).points, [(0.0, 75.0), (4.0, 75.0)]);
        let without_curve = answer("table", &[]);
        assert_eq!(Line::level(&without_curve, 4.0).points, [(0.0, 90.0), (4.0, 90.0)]);
    }

    #[test]
    fn the_legend_names_what_is_drawn() {
        let answers = [
            answer("table", &[(1, 0.8)]),
            answer("random", &[(1, 0.5)]),
            answer("evolution", &[]),
            answer("nsga2", &[(1, f64::NEG_INFINITY)]),
        ];
        let plot = best_so_far(&answers.iter().collect::<Vec<_>>()).unwrap();
        let texts: Vec<_> = plot.legend.iter().map(|key| key.text.as_str()).collect();
        assert_eq!(texts, ["table", "random"]);
        assert_eq!(plot.legend.iter().map(|key| key.color).collect::<Vec<_>>(), [GRAY, VERMILION]);
        assert!(best_so_far(&[]).is_none());
        assert!(best_so_far(&[&answers[2]]).is_none());
    }
}
