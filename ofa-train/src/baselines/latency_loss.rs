//! How latency enters the loss of a differentiable search.

use ofa_model::ChoiceCosts;
use serde::{Deserialize, Serialize};

/// The least cost of a network, in the unit that logarithms are taken of.
const LEAST: f64 = 10.0;

/// The loss of a differentiable search, from the cross-entropy and the expected latency E.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LatencyLoss {
    /// `cross-entropy * alpha * (log E / log target)^beta`: the default of ProxylessNAS' code, and FBNet's loss
    /// (arXiv:1812.03443, equation 2) but for a constant factor. The target is such a factor too: it does not draw E to
    /// itself, `beta` alone says how much latency counts.
    MultiplyLog {
        /// Scale of the whole loss; positive.
        alpha: f64,
        /// Weight of the latency; at least 0.
        beta: f64,
    },
    /// `cross-entropy + lambda * (E - target) / target`, the other loss of that code.
    AddLinear {
        /// Weight of the latency; at least 0.
        lambda: f64,
    },
    /// The same where E is above the target, else the cross-entropy alone. Not of the papers: a target that is one.
    AddAbove {
        /// Weight of the latency; at least 0.
        lambda: f64,
    },
}

impl LatencyLoss {
    /// The first impossible value, if any.
    pub(super) fn problem(&self) -> Option<String> {
        let (Self::AddLinear { lambda: weight }
        | Self::AddAbove { lambda: weight }
        | Self::MultiplyLog { beta: weight, .. }) = *self;
        let alpha = match *self {
            Self::MultiplyLog { alpha, .. } => alpha,
            Self::AddLinear { .. } | Self::AddAbove { .. } => 1.0,
        };
        if !(alpha > 0.0 && alpha.is_finite()) {
            return Some(format!("alpha of its loss is {alpha}, but must be positive"));
        }
        (!(weight >= 0.0 && weight.is_finite()))
            .then(|| format!("the weight of latency in its loss is {weight}, but must be at least 0"))
    }

    /// The loss and its derivatives by cross-entropy and by E. `expected` and `target` must be above 1.
    pub(super) fn of(&self, cross_entropy: f64, expected: f64, target: f64) -> (f64, [f64; 2]) {
        match *self {
            Self::MultiplyLog { alpha, beta } => {
                let ratio = libm::log(expected) / libm::log(target);
                let factor = alpha * libm::pow(ratio, beta);
                let slope = beta * factor / libm::log(expected) / expected;
                (cross_entropy * factor, [factor, cross_entropy * slope])
            }
            Self::AddAbove { .. } if expected <= target => (cross_entropy, [1.0, 0.0]),
            Self::AddLinear { lambda } | Self::AddAbove { lambda } => {
                (cross_entropy + lambda * (expected - target) / target, [1.0, lambda / target])
            }
        }
    }
}

/// The costs in a unit of which every network has at least ten, so that logarithms are positive, and the factor to it: a
/// power of 1000 (milliseconds become microseconds).
pub(super) fn in_small_units(costs: &ChoiceCosts) -> (ChoiceCosts, f64) {
    let [least, _] = costs.range();
    let mut factor = 1.0;
    while least * factor < LEAST && factor < 1e30 {
        factor *= 1000.0;
    }
    (costs.clone().scaled(factor, 0.0), factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ofa_model::{ChoiceGroups, SearchSpace};

    #[test]
    fn slopes_are_those_of_finite_differences() {
        let losses = [
            LatencyLoss::MultiplyLog { alpha: 0.2, beta: 0.6 },
            LatencyLoss::AddLinear { lambda: 0.1 },
            LatencyLoss::AddAbove { lambda: 0.1 },
        ];
        for loss in losses {
            for expected in [300.0, 700.0] {
                let (_, [by_entropy, by_cost]) = loss.of(1.5, expected, 500.0);
                let at = |entropy: f64, cost: f64| loss.of(1.5 + entropy, expected + cost, 500.0).0;
                let entropy = (at(1e-4, 0.0) - at(-1e-4, 0.0)) / 2e-4;
                let cost = (at(0.0, 1e-2) - at(0.0, -1e-2)) / 2e-2;
                assert!((entropy - by_entropy).abs() < 1e-8 && (cost - by_cost).abs() < 1e-8, "{loss:?} {expected}");
            }
        }
        assert_eq!(LatencyLoss::AddAbove { lambda: 9.0 }.of(1.5, 499.0, 500.0), (1.5, [1.0, 0.0]));
    }

    #[test]
    fn tenths_of_a_millisecond_have_logarithms() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let macs = ChoiceCosts::macs(&space, &ChoiceGroups::new(&space, 28).unwrap());
        assert_eq!(in_small_units(&macs), (macs.clone(), 1.0));
        let ms = macs.scaled(3e-7, 0.0);
        assert!(ms.range()[0] < 1.0);
        let (us, factor) = in_small_units(&ms);
        assert!(factor == 1000.0 && us.range()[0] > 100.0, "{factor} {:?}", us.range());
        let (loss, slopes) = LatencyLoss::MultiplyLog { alpha: 0.2, beta: 0.6 }.of(1.5, us.range()[0], 400.0);
        assert!(loss.is_finite() && slopes.iter().all(|slope| slope.is_finite() && *slope > 0.0));
    }

    #[test]
    fn impossible_values_are_said() {
        let problem = |loss: LatencyLoss| loss.problem().unwrap();
        assert!(problem(LatencyLoss::MultiplyLog { alpha: 0.0, beta: 0.3 }).contains("alpha of its loss is 0"));
        assert!(problem(LatencyLoss::AddAbove { lambda: f64::NAN }).contains("latency in its loss is NaN"));
        assert_eq!(LatencyLoss::AddLinear { lambda: 0.0 }.problem(), None);
    }
}
