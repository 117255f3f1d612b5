//! [`search()`]: asks a strategy for archs until the budget is spent.

mod additive_problem;
mod cheapest;
mod front;
mod original_evolution;
mod remeasure;
mod seen;

pub use additive_problem::{AdditiveProblem, Optimum};
pub use cheapest::cheapest_arch;
pub use front::Front;
pub use original_evolution::original_evolution;
pub use remeasure::{MeasuredTrial, Remeasured, search_and_measure};

use crate::problem::finite;
use crate::{Budget, Problem, SearchError, SearchStrategy, Trial};
use ofa_model::Arch;
use rand::Rng;
use seen::Seen;

/// Result of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchOutcome {
    /// The trial with the highest score, the first of equals.
    pub best: Trial,
    /// Number of evaluations of the objective.
    pub queries: u64,
    /// Proposals that were not evaluated.
    pub rejected: Rejected,
    /// Every trial better than all before it: the steps of the best-so-far curve.
    pub history: Vec<Improvement>,
    /// Why the search ended.
    pub stop: Stop,
}

/// Counts of the proposals that were not evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Archs that violate a constraint.
    pub infeasible: u64,
    /// Feasible archs that were proposed before.
    pub duplicate: u64,
}

/// A step of the best-so-far curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Improvement {
    /// Index of the query, from 1.
    pub query: u64,
    /// The new best score.
    pub score: f64,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All queries are used.
    Budget,
    /// The strategy has nothing left to propose.
    Finished,
    /// Too many proposals in a row were infeasible or duplicates, so the strategy has little left to find.
    Rejections,
}

/// Runs `strategy` to find the best arch of `problem` that meets every constraint.
///
/// Only evaluations of the objective count as queries. Infeasible and duplicate proposals are rejected without one, so
/// strategies are compared at equal queries. `observe` receives every trial in order.
///
/// # Errors
///
/// [`SearchError::Infeasible`] or [`SearchError::TooCheap`] at once if a constraint cannot be met, as judged by
/// [`cheapest_arch`](crate::cheapest_arch); [`SearchError::InvalidSetting`] if a constraint or the budget makes no
/// sense; [`SearchError::NothingFeasible`] if no proposal met every constraint; [`SearchError::NotFinite`] if a cost or
/// score is not finite; any error of the objective.
///
/// # Panics
///
/// If the strategy proposes an arch outside the space.
pub fn search(
    problem: &Problem<'_>,
    strategy: &mut dyn SearchStrategy,
    budget: Budget,
    rng: &mut dyn Rng,
    mut observe: impl FnMut(&Trial),
) -> Result<SearchOutcome, SearchError> {
    budget.validate()?;
    if let Some(arch) = problem.feasible_arch()? {
        strategy.start(&arch);
    }
    let room = budget.queries.min(MOST_ROOM) as usize;
    let mut run = Run { problem, budget, seen: Seen::with_capacity(room), queries: 0, rejected: Rejected::default() };
    let mut best: Option<Trial> = None;
    let mut history = Vec::new();
    let stop = loop {
        if run.queries == budget.queries {
            break Stop::Budget;
        }
        let (batch, stop) = run.collect(strategy, rng)?;
        for trial in run.evaluate(batch)? {
            if best.as_ref().is_none_or(|best| trial.score > best.score) {
                history.push(Improvement { query: trial.query, score: trial.score });
                best = Some(trial.clone());
            }
            observe(&trial);
            strategy.tell(trial);
        }
        if let Some(stop) = stop {
            break stop;
        }
    };
    let Run { queries, rejected, .. } = run;
    match best {
        Some(best) => Ok(SearchOutcome { best, queries, rejected, history, stop }),
        None => Err(SearchError::NothingFeasible {
            strategy: strategy.name().to_owned(),
            proposals: rejected.infeasible + rejected.duplicate,
        }),
    }
}

/// Largest number of archs to reserve memory for before the first query.
const MOST_ROOM: u64 = 1 << 20;

struct Run<'a> {
    problem: &'a Problem<'a>,
    budget: Budget,
    seen: Seen,
    queries: u64,
    rejected: Rejected,
}

struct Candidate {
    arch: Arch,
    costs: Vec<f64>,
}

impl Run<'_> {
    /// Collects new feasible proposals, as many as the strategy and the budget allow per batch. The second value is the
    /// reason to stop after this batch, if any.
    fn collect(
        &mut self,
        strategy: &mut dyn SearchStrategy,
        rng: &mut dyn Rng,
    ) -> Result<(Vec<Candidate>, Option<Stop>), SearchError> {
        let left = self.budget.queries - self.queries;
        let wanted = strategy.batch_size().max(1).min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut batch = Vec::with_capacity(wanted);
        let mut rejections_in_a_row = 0;
        while batch.len() < wanted {
            let Some(arch) = strategy.ask(self.problem.space, rng) else {
                return Ok((batch, Some(Stop::Finished)));
            };
            match self.admit(&arch, strategy.name())? {
                Some(costs) => {
                    rejections_in_a_row = 0;
                    batch.push(Candidate { arch, costs });
                }
                None => {
                    strategy.reject(&arch);
                    rejections_in_a_row += 1;
                    if rejections_in_a_row >= self.budget.rejections_in_a_row {
                        return Ok((batch, Some(Stop::Rejections)));
                    }
                }
            }
        }
        Ok((batch, None))
    }

    /// The costs of an arch to evaluate. `None` if it is infeasible or a duplicate.
    fn admit(&mut self, arch: &Arch, strategy: &str) -> Result<Option<Vec<f64>>, SearchError> {
        if let Err(error) = self.problem.space.check(arch) {
            panic!("strategy `{strategy}`: {error}");
        }
        let costs = self.problem.costs(arch)?;
        if !self.problem.allows(&costs) {
            self.rejected.infeasible += 1;
            return Ok(None);
        }
        if !self.seen.insert(arch) {
            self.rejected.duplicate += 1;
            return Ok(None);
        }
        Ok(Some(costs))
    }

    fn evaluate(&mut self, batch: Vec<Candidate>) -> Result<Vec<Trial>, SearchError> {
        let (archs, costs): (Vec<Arch>, Vec<Vec<f64>>) = batch.into_iter().map(|c| (c.arch, c.costs)).unzip();
        let scores = self.problem.objective.predict(&archs)?;
        assert_eq!(scores.len(), archs.len(), "the objective must return one score per arch");
        let trials = archs.into_iter().zip(scores).zip(costs).map(|((arch, score), costs)| {
            self.queries += 1;
            Ok(Trial { score: finite("score", &arch, score)?, arch, costs, query: self.queries })
        });
        trials.collect()
    }
}

#[cfg(test)]
mod tests;
