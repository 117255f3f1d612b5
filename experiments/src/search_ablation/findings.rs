//! How close every contestant comes to the optimum, and how fast.

use super::{Found, SearchAblation, Task};
use crate::ablation::{Gap, holm};
use ofa_search::Improvement;
use ofa_search::statistics::quantile;
use serde::Serialize;

/// Target fractions of the optimum.
pub const TARGETS: [f64; 2] = [0.99, 0.995];
/// Confidence level of intervals.
const CONFIDENCE: f64 = 0.95;
/// Significance level for differences between contestants.
const SIGNIFICANCE: f64 = 0.05;

/// Results of all contestants on one task.
#[derive(Clone, Debug, Serialize)]
pub struct TaskFindings {
    /// Task name.
    pub task: String,
    /// Limit of the task, as text.
    pub limit: String,
    /// Score that counts as a share of 0.
    pub floor: f64,
    /// Score that counts as a share of 1.
    pub reference: f64,
    /// Whether the reference is the proven optimum; otherwise it is the best score found.
    pub proven: bool,
    /// The contestants by descending median share; ties by descending lower quartile.
    pub standings: Vec<Standing>,
}

/// Summary of one contestant on a task. A share is `(score - floor) / (reference - floor)`.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// Contestant name.
    pub strategy: String,
    /// Number of searches.
    pub searches: usize,
    /// Lower quartile, median and upper quartile of the share over seeds.
    pub share: [f64; 3],
    /// Median number of queries to reach each target; `None` if half of the searches do not reach it.
    pub queries_to: [Option<u64>; 2],
    /// Fraction of searches that reach each target.
    pub reached: [f64; 2],
    /// Share of the leader (highest median) minus that of this one, over seeds; `None` for the leader.
    pub behind: Option<Gap>,
    /// P-value of that difference, by Student's t over paired seeds with Holm's correction over the contestants of the
    /// task; `None` for the leader.
    pub adjusted_p: Option<f64>,
    /// Median wall-clock seconds of a search.
    pub seconds: f64,
    /// Best share so far: query, and lower quartile, median and upper quartile.
    pub curve: Vec<(u64, [f64; 3])>,
}

impl TaskFindings {
    /// The contestants whose distance to the leader is not significant.
    pub fn equals_of_the_leader(&self) -> impl Iterator<Item = &str> {
        let equal = |standing: &&Standing| standing.adjusted_p.is_some_and(|p| p >= SIGNIFICANCE);
        self.standings.iter().filter(equal).map(|standing| standing.strategy.as_str())
    }
}

/// Summarises the outcomes on a task; curves are sampled at logarithmically spaced queries.
pub fn findings(task: &Task<'_>, found: &[Found], ablation: &SearchAblation) -> TaskFindings {
    let best_known = found.iter().map(|found| found.outcome.best.score).fold(f64::NEG_INFINITY, f64::max);
    let scale = Scale { floor: task.floor, reference: task.optimum.unwrap_or(best_known) };
    let mut names: Vec<&str> = found.iter().map(|found| found.strategy.as_str()).collect();
    names.dedup();
    let of = |name: &str| found.iter().filter(|found| found.strategy == name).collect::<Vec<_>>();
    let mut standings: Vec<Standing> = names.iter().map(|name| scale.standing(name, &of(name), ablation)).collect();
    standings.sort_by(|a, b| b.share[1].total_cmp(&a.share[1]).then(b.share[0].total_cmp(&a.share[0])));
    if let Some((first, others)) = standings.split_first_mut() {
        let best = of(&first.strategy);
        for other in &mut *others {
            other.behind = scale.gap(&best, &of(&other.strategy));
        }
        adjust(others);
    }
    TaskFindings {
        task: task.name.to_owned(),
        limit: task.limit.clone(),
        floor: scale.floor,
        reference: scale.reference,
        proven: task.optimum.is_some(),
        standings,
    }
}

/// Sets the p-values of the contestants behind the leader.
fn adjust(others: &mut [Standing]) {
    // If all seeds agree there is no p-value: any gap is then significant. A single search is never significant.
    let p = |other: &Standing| match other.behind {
        Some(gap) if other.searches > 1 => gap.p.unwrap_or(if gap.mean == 0.0 { 1.0 } else { 0.0 }),
        _ => 1.0,
    };
    let adjusted = holm(&others.iter().map(p).collect::<Vec<_>>());
    for (other, p) in others.iter_mut().zip(adjusted) {
        other.adjusted_p = Some(p);
    }
}

/// Maps scores to shares: `floor` to 0, `reference` to 1.
struct Scale {
    floor: f64,
    reference: f64,
}

impl Scale {
    fn share(&self, score: f64) -> f64 {
        (score - self.floor) / (self.reference - self.floor)
    }

    fn standing(&self, name: &str, found: &[&Found], ablation: &SearchAblation) -> Standing {
        let shares: Vec<f64> = found.iter().map(|found| self.share(found.outcome.best.score)).collect();
        let at = |query| {
            let shares = found.iter().filter_map(|found| best_at(&found.outcome.history, query));
            let shares: Vec<f64> = shares.map(|score| self.share(score)).collect();
            // A curve starts where every search has found something.
            (shares.len() == found.len()).then(|| (query, quartiles(shares)))
        };
        let to = TARGETS.map(|target| {
            let first = |found: &&Found| {
                found.outcome.history.iter().find(|step| self.share(step.score) >= target).map(|step| step.query)
            };
            let mut queries: Vec<u64> = found.iter().map(|found| first(found).unwrap_or(u64::MAX)).collect();
            queries.sort_unstable();
            queries
        });
        let reached = |queries: &Vec<u64>| {
            queries.iter().filter(|&&query| query < u64::MAX).count() as f64 / queries.len() as f64
        };
        let seconds: Vec<f64> = found.iter().map(|found| found.seconds).collect();
        Standing {
            strategy: name.to_owned(),
            searches: found.len(),
            share: quartiles(shares),
            reached: [reached(&to[0]), reached(&to[1])],
            // For an even number, the later of the two middle values.
            queries_to: to.map(|queries| Some(queries[queries.len() / 2]).filter(|&query| query < u64::MAX)),
            behind: None,
            adjusted_p: None,
            seconds: quartiles(seconds)[1],
            curve: grid(ablation.queries).filter_map(at).collect(),
        }
    }

    /// Share of `best` minus that of `other`, paired by seed.
    fn gap(&self, best: &[&Found], other: &[&Found]) -> Option<Gap> {
        let gap = |other: &&Found| {
            let pair = best.iter().find(|best| best.seed == other.seed)?;
            Some(self.share(pair.outcome.best.score) - self.share(other.outcome.best.score))
        };
        let gaps: Vec<f64> = other.iter().filter_map(gap).collect();
        (!gaps.is_empty()).then(|| Gap::of(&gaps, CONFIDENCE))
    }
}

/// The best score after `query` queries.
fn best_at(history: &[Improvement], query: u64) -> Option<f64> {
    history.iter().take_while(|step| step.query <= query).last().map(|step| step.score)
}

/// Lower quartile, median and upper quartile.
pub(super) fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|q| quantile(&values, q))
}

/// Query numbers from 1 to `queries`, 20 per factor of ten.
fn grid(queries: u64) -> impl Iterator<Item = u64> {
    let decades = (queries as f64).log10();
    let steps = (20.0 * decades).ceil() as i32;
    let mut last = 0;
    (0..=steps)
        .map(move |i| 10f64.powf(decades * f64::from(i) / f64::from(steps.max(1))).round() as u64)
        .filter(move |&query| std::mem::replace(&mut last, query) < query)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ofa_search::{Rejected, SearchOutcome, Stop, Trial};

    fn found(seed: u64, steps: &[(u64, f64)]) -> Found {
        let history: Vec<_> = steps.iter().map(|&(query, score)| Improvement { query, score }).collect();
        let &(query, score) = steps.last().unwrap();
        let best = Trial { arch: "r8-k3e3".parse().unwrap(), score, costs: vec![1.0], query };
        let outcome = SearchOutcome { best, queries: 100, rejected: Rejected::default(), history, stop: Stop::Budget };
        Found { strategy: "random".into(), seed, outcome, seconds: 1.0 }
    }

    fn standing(found: &[Found]) -> Standing {
        let scale = Scale { floor: 1.0, reference: 3.0 };
        let ablation = SearchAblation { queries: 100, ..SearchAblation::preset("smoke").unwrap() };
        scale.standing("random", &found.iter().collect::<Vec<_>>(), &ablation)
    }

    #[test]
    fn shares_lie_between_floor_and_reference() {
        let standing = standing(&[found(1, &[(1, 1.0), (50, 2.0)]), found(2, &[(2, 3.0)]), found(3, &[(1, 2.0)])]);
        assert_eq!(standing.share, [0.5, 0.5, 0.75]);
        assert_eq!(standing.reached, [1.0 / 3.0; 2]);
        assert_eq!(standing.queries_to, [None, None]);
        // At query 1, one of the searches has found nothing yet.
        assert_eq!(standing.curve[0], (2, [0.25, 0.5, 0.75]));
        assert_eq!(standing.curve.last().unwrap(), &(100, [0.5, 0.5, 0.75]));
    }

    #[test]
    fn queries_to_a_target_are_the_medians() {
        let steps = [(1, 1.0), (10, 2.981), (20, 2.991)];
        let standing = standing(&[found(1, &steps), found(2, &[(30, 3.0)]), found(3, &[(5, 2.0)])]);
        assert_eq!(standing.queries_to, [Some(30), Some(30)]);
        assert_eq!(standing.reached, [2.0 / 3.0; 2]);
    }

    #[test]
    fn the_gap_is_paired_by_seed() {
        let scale = Scale { floor: 0.0, reference: 1.0 };
        let (best, other) =
            ([found(1, &[(1, 0.9)]), found(2, &[(1, 0.8)])], [found(2, &[(1, 0.5)]), found(1, &[(1, 0.7)])]);
        let gap = scale.gap(&best.iter().collect::<Vec<_>>(), &other.iter().collect::<Vec<_>>()).unwrap();
        assert!((gap.mean - 0.25).abs() < 1e-12);
    }

    #[test]
    fn a_contestant_is_told_apart_from_the_leader_over_seeds() {
        let behind = |gaps: &[f64]| Standing {
            searches: gaps.len(),
            behind: Some(Gap::of(gaps, CONFIDENCE)),
            ..standing(&[found(1, &[(1, 1.0)])])
        };
        let mut others = [behind(&[0.01, -0.01, 0.002, 0.0]), behind(&[0.12, 0.13, 0.125, 0.126]), behind(&[0.19])];
        adjust(&mut others);
        let significant = others.map(|other| other.adjusted_p.unwrap() < SIGNIFICANCE);
        assert_eq!(significant, [false, true, false]);
    }
}
