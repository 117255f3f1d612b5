//! Cost of a supernet relative to one network trained alone to the same accuracy. The article closes with the wish to
//! make that cheaper.

use crate::ablation::arms::INDEPENDENT;
use crate::ablation::findings::{ArmFindings, Findings};
use serde::{Deserialize, Serialize};

/// Price of a supernet, in networks trained alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Name of the supernet's budget.
    pub budget: String,
    /// The arm that trained it.
    pub arm: String,
    /// Its training cost in 10^12 MACs, including ancestors.
    pub tmacs: f64,
    /// The corners that were also trained alone.
    pub corners: Vec<CornerPrice>,
}

/// Price of a supernet, judged by one corner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CornerPrice {
    /// Name of the corner.
    pub corner: String,
    /// Mean test top-1 of the supernet's subnet.
    pub top1: f64,
    /// Cost of training the same network alone to that accuracy.
    pub alone: AloneCost,
}

/// Cost of a network trained alone, in 10^12 MACs, as far as the budgets it was trained at determine it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AloneCost {
    /// Interpolated between two budgets, linearly in the logarithm of compute.
    About(f64),
    /// Less than this, the smallest budget: the network is already better there.
    LessThan(f64),
    /// More than this, the largest budget: the network is still worse there.
    MoreThan(f64),
}

impl Price {
    /// Cost of the supernet divided by that of the network trained alone: the geometric mean over the corners whose
    /// cost is known, and the number of corners of each kind: known, ratio at least the bound, ratio at most the bound.
    pub fn ratio(&self) -> (Option<f64>, [usize; 3]) {
        let mut kinds = [0; 3];
        let mut logs = Vec::new();
        for corner in &self.corners {
            match corner.alone {
                AloneCost::About(tmacs) => {
                    kinds[0] += 1;
                    logs.push((self.tmacs / tmacs).ln());
                }
                AloneCost::LessThan(_) => kinds[1] += 1,
                AloneCost::MoreThan(_) => kinds[2] += 1,
            }
        }
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        ((!logs.is_empty()).then(|| mean.exp()), kinds)
    }
}

/// Prices of every arm that trains the whole space, at every budget; empty if nothing was trained alone.
pub(super) fn prices(budgets: &[(String, &Findings)]) -> Vec<Price> {
    let most = budgets.iter().flat_map(|(_, of)| &of.arms).map(|arm| arm.corners.len()).max().unwrap_or(0);
    let whole = budgets.iter().flat_map(|(name, of)| of.arms.iter().map(move |arm| (name, arm)));
    let whole = whole.filter(|(_, arm)| arm.corners.len() == most && most > 1);
    let price = |(budget, arm): (&String, &ArmFindings)| {
        let corners = arm.corners.iter().filter_map(|corner| {
            let alone = alone(&corner.corner, budgets);
            let cost = cost_of(corner.top1.mean, &alone)?;
            Some(CornerPrice { corner: corner.corner.clone(), top1: corner.top1.mean, alone: cost })
        });
        let corners: Vec<CornerPrice> = corners.collect();
        let (arm, tmacs) = (arm.name.clone(), arm.budget.macs / 1e12);
        (!corners.is_empty()).then(|| Price { budget: budget.clone(), arm, tmacs, corners })
    };
    whole.filter_map(price).collect()
}

/// Cost in TMACs and mean test top-1 of a corner trained alone, at every budget that trains it, cheapest first.
fn alone(corner: &str, budgets: &[(String, &Findings)]) -> Vec<(f64, f64)> {
    let arms = budgets.iter().flat_map(|(_, of)| &of.arms).filter(|arm| arm.name.starts_with(INDEPENDENT));
    let of_arm = |arm: &ArmFindings| {
        let found = arm.corners.iter().find(|found| found.corner == corner)?;
        Some((arm.budget.macs / 1e12, found.top1.mean))
    };
    let mut points: Vec<(f64, f64)> = arms.filter_map(of_arm).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// Cost at which the line through `points` reaches `top1`; `None` without points.
fn cost_of(top1: f64, points: &[(f64, f64)]) -> Option<AloneCost> {
    let (first, last) = (points.first()?, points.last()?);
    if top1 < first.1 {
        return Some(AloneCost::LessThan(first.0));
    }
    let reached = points.windows(2).find(|pair| pair[0].1 <= top1 && top1 <= pair[1].1 && pair[0].1 < pair[1].1);
    Some(match reached {
        Some(pair) => {
            let share = (top1 - pair[0].1) / (pair[1].1 - pair[0].1);
            AloneCost::About((pair[0].0.ln() + share * (pair[1].0 / pair[0].0).ln()).exp())
        }
        None if top1 == first.1 => AloneCost::About(first.0),
        None => AloneCost::MoreThan(last.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_lies_on_the_line_over_the_logarithm_of_compute() {
        let points = [(4.0, 0.90), (16.0, 0.92)];
        assert_eq!(cost_of(0.89, &points), Some(AloneCost::LessThan(4.0)));
        assert_eq!(cost_of(0.93, &points), Some(AloneCost::MoreThan(16.0)));
        assert_eq!(cost_of(0.90, &points[..1]), Some(AloneCost::About(4.0)));
        let Some(AloneCost::About(tmacs)) = cost_of(0.91, &points) else { panic!("it lies between them") };
        assert!((tmacs - 8.0).abs() < 1e-9, "{tmacs}");
        assert_eq!(cost_of(0.9, &[]), None);
    }

    #[test]
    fn the_ratio_is_a_geometric_mean_over_what_is_known() {
        let corner = |alone| CornerPrice { corner: "D2".into(), top1: 0.9, alone };
        let corners = vec![
            corner(AloneCost::About(2.0)),
            corner(AloneCost::About(8.0)),
            corner(AloneCost::LessThan(1.0)),
            corner(AloneCost::MoreThan(9.0)),
        ];
        let price = Price { budget: "A".into(), arm: "none".into(), tmacs: 40.0, corners };
        let (ratio, kinds) = price.ratio();
        assert!((ratio.unwrap() - 10.0).abs() < 1e-9 && kinds == [2, 1, 1], "{ratio:?}");
    }
}
