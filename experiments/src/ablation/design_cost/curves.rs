//! Cost by number of scenarios: `C(N) = a + b N`.

use super::record::Spent;
use serde::{Deserialize, Serialize};

/// What a method is charged for N scenarios.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostCurve {
    /// Name of the method.
    pub method: String,
    /// Which networks are charged.
    pub kind: CurveKind,
    /// Paid once, without trials of rates.
    pub once: Charged,
    /// Paid for trials of rates; charged at equal accuracy, not in the papers' proportions.
    pub trials: Charged,
    /// Paid per scenario: mean over the targets that were run.
    pub each: Charged,
    /// Smallest and largest TMACs per scenario over the targets.
    pub spread: [f64; 2],
    /// Scenarios that were run.
    pub scenarios: usize,
    /// Whether a target was not reached at any budget, so the costs are lower bounds.
    pub is_bound: bool,
    /// Whether a published search is longer than ours and costs are extrapolated to it.
    pub is_extrapolated: bool,
}

/// Which networks a curve charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveKind {
    /// Those at budget 1, whose proportions are the papers': ratios follow from the configuration.
    Proportions,
    /// For each target, those at the least budget as accurate as OFA's.
    IsoAccuracy,
}

/// Compute charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charged {
    /// Multiply-accumulate operations in units of 10^12.
    pub tmacs: f64,
    /// Hours of processors.
    pub processor_hours: f64,
}

impl From<Spent> for Charged {
    fn from(spent: Spent) -> Self {
        Self { tmacs: spent.macs / 1e12, processor_hours: spent.processor_seconds / 3600.0 }
    }
}

impl Charged {
    /// The mean of several.
    pub(super) fn mean(all: &[Self]) -> Self {
        let of = |value: fn(&Self) -> f64| all.iter().map(value).sum::<f64>() / all.len().max(1) as f64;
        Self { tmacs: of(|one| one.tmacs), processor_hours: of(|one| one.processor_hours) }
    }
}

/// How many times dearer than OFA a method is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// Number of scenarios.
    pub scenarios: u32,
    /// Ratio of TMACs.
    pub tmacs: f64,
    /// Ratio of processor hours.
    pub processor_hours: f64,
}

impl CostCurve {
    /// Charge for `scenarios` scenarios.
    pub fn at(&self, scenarios: u32) -> Charged {
        self.charged(scenarios, self.kind)
    }

    fn charged(&self, scenarios: u32, kind: CurveKind) -> Charged {
        let sum = |of: fn(&Charged) -> f64| {
            let trials = if kind == CurveKind::IsoAccuracy { of(&self.trials) } else { 0.0 };
            of(&self.once) + trials + of(&self.each) * f64::from(scenarios)
        };
        Charged { tmacs: sum(|charged| charged.tmacs), processor_hours: sum(|charged| charged.processor_hours) }
    }

    /// This method's charge as a multiple of that of `ofa`, both with or both without trials.
    pub fn ratio(&self, ofa: &Self, scenarios: u32) -> Ratio {
        let (own, other) = (self.at(scenarios), ofa.charged(scenarios, self.kind));
        Ratio {
            scenarios,
            tmacs: own.tmacs / other.tmacs,
            processor_hours: own.processor_hours / other.processor_hours,
        }
    }

    /// The least number of scenarios at which `ofa` is charged fewer TMACs; `None` if it never is.
    pub fn break_even(&self, ofa: &Self) -> Option<u32> {
        let saved = self.each.tmacs - ofa.each.tmacs;
        let invested = ofa.charged(0, self.kind).tmacs - self.at(0).tmacs;
        (saved > 0.0).then(|| (invested / saved).floor().max(0.0) as u32 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(once: f64, each: f64) -> CostCurve {
        let charged = |tmacs: f64| Charged { tmacs, processor_hours: 2.0 * tmacs };
        CostCurve {
            method: "m".into(),
            kind: CurveKind::Proportions,
            once: charged(once),
            trials: Charged::default(),
            each: charged(each),
            spread: [each; 2],
            scenarios: 1,
            is_bound: false,
            is_extrapolated: false,
        }
    }

    #[test]
    fn ratios_and_the_break_even_by_hand() {
        let (ofa, other) = (curve(30.0, 0.0), curve(0.0, 15.0));
        let ratios = [1, 10, 40].map(|n| other.ratio(&ofa, n).tmacs);
        assert_eq!(ratios, [0.5, 5.0, 20.0]);
        assert_eq!(other.ratio(&ofa, 40).processor_hours, 20.0);
        // At two scenarios both cost 30: OFA is cheaper from three on.
        assert_eq!((other.break_even(&ofa), ofa.break_even(&other)), (Some(3), None));
        // Trials are charged to both at equal accuracy, and to none in the papers' proportions.
        let with_trials =
            |curve: CostCurve, tmacs| CostCurve { trials: Charged { tmacs, processor_hours: 0.0 }, ..curve };
        let (ofa, other) = (with_trials(ofa, 90.0), with_trials(other, 45.0));
        assert_eq!((other.ratio(&ofa, 10).tmacs, other.break_even(&ofa)), (5.0, Some(3)));
        let judged = CostCurve { kind: CurveKind::IsoAccuracy, ..other };
        assert_eq!((judged.ratio(&ofa, 5).tmacs, judged.break_even(&ofa)), (1.0, Some(6)));
    }
}
