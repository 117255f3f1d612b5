//! Share of the optimum against queries, by strategy: median and quartiles.

use super::axis::Axis;
use super::canvas::{self, Frame, WIDE};
use super::palette::{BLUE, GRAY, GREEN, GRID, INK, ORANGE, PURPLE, SKY, VERMILION, YELLOW};
use super::{Key, Mark, Plot};
use crate::search_ablation::Standing;
use plotters::style::RGBColor;

/// One line per strategy through its medians, with a band between its quartiles.
///
/// Shares below `least`, where all strategies are far from the optimum, are clipped.
pub(in crate::report) fn share_curves(standings: &[Standing], least: f64) -> Option<Plot> {
    let queries = standings.iter().flat_map(|standing| &standing.curve).map(|point| point.0).max()?;
    let x = Axis::logarithmic("queries (logarithmic)", queries as usize);
    let shown = |share: f64| 100.0 * share.max(least);
    let all = standings.iter().flat_map(|standing| &standing.curve).flat_map(|(_, shares)| shares.map(shown));
    let y = Axis::linear("share of the optimum so far, %", all, f64::NEG_INFINITY..100.0);
    let frame = Frame { size: (WIDE.0, 760), rows: 0, vertical_grid: true };
    let svg = canvas::draw(frame, &x, &y, |canvas| {
        for standing in standings.iter().rev() {
            let quartile = |q: usize| {
                standing.curve.iter().map(move |&(query, shares)| ((query as f64).log10(), shown(shares[q])))
            };
            canvas.area(quartile(0).chain(quartile(2).rev()).collect(), color(&standing.strategy), 0.12);
            canvas.line(quartile(1).collect(), color(&standing.strategy), 4);
        }
    });
    let legend = standings.iter().map(|standing| Key::new(&*standing.strategy, color(&standing.strategy), Mark::Line));
    Some(Plot { svg, legend: legend.collect() })
}

/// Strategies have the same colour in all plots.
fn color(strategy: &str) -> RGBColor {
    match strategy {
        "evolution" => BLUE,
        "random" => VERMILION,
        "ageing_evolution" => SKY,
        "local_search" => GREEN,
        "steepest_ascent" => PURPLE,
        "nsga2" => ORANGE,
        "original_evolution" => INK,
        "evolution_any_parents" => GRAY,
        "mnas_controller" => YELLOW,
        _ => GRID,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(strategy: &str, curve: &[(u64, [f64; 3])]) -> Standing {
        Standing {
            strategy: strategy.into(),
            searches: 2,
            share: [0.5; 3],
            queries_to: [None; 2],
            reached: [0.0; 2],
            behind: None,
            adjusted_p: None,
            seconds: 0.1,
            curve: curve.to_vec(),
        }
    }

    #[test]
    fn every_strategy_has_its_line() {
        let standings = [
            standing("evolution", &[(1, [-3.0, 0.2, 0.4]), (100, [0.8, 0.9, 1.0])]),
            standing("random", &[(1, [0.0, 0.1, 0.2]), (100, [0.5, 0.6, 0.7])]),
        ];
        let plot = share_curves(&standings, 0.0).unwrap();
        let texts: Vec<_> = plot.legend.iter().map(|key| key.text.as_str()).collect();
        assert_eq!(texts, ["evolution", "random"]);
        // The lowest quartile is clipped, so the axis does not extend to it.
        assert!(!plot.svg.contains("-300") && plot.svg.contains("polygon"), "{}", plot.svg);
        assert!(share_curves(&[standing("evolution", &[])], 0.0).is_none());
    }
}
