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

/// What a search found, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchOutcome {
    /// The first trial with the highest score.
    pub best: Trial,
    /// Evaluations of the objective.
    pub queries: u64,
    /// Proposals that were not evaluated.
    pub rejected: Rejected,
    /// Every trial that was better than all before it: the best-so-far curve without its flat parts.
    pub history: Vec<Improvement>,
    /// Why the search ended.
    pub stop: Stop,
}

/// Proposals that were not evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Archs that violate a constraint.
    pub infeasible: u64,
    /// Archs that were evaluated before.
    pub duplicate: u64,
}

/// A step of the best-so-far curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Improvement {
    /// The query it happened at, from 1.
    pub query: u64,
    /// The best score from there on.
    pub score: f64,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All queries were used.
    Budget,
    /// The strategy had nothing left to propose.
    Finished,
    /// Too many proposals in a row were infeasible or known: the strategy has little left to find.
    Rejections,
}

/// Lets `strategy` look for the best arch of `problem` that meets every constraint.
///
/// Only evaluations of the objective count as queries: infeasible and repeated proposals are rejected without one, so
/// strategies are compared at equal queries. `observe` sees every trial in order.
///
/// # Errors
///
/// [`SearchError::Infeasible`] at once if a constraint cannot be met (see [`cheapest_arch`](crate::cheapest_arch) for
/// what that can tell); [`SearchError::NothingFeasible`] if no proposal met every constraint; or what the objective
/// reports.
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

/// Queries, at most, that memory is reserved for before the first.
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
    /// Feasible new proposals, as many as the strategy and the budget allow at once, and whether there will be more.
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

    /// The costs of an arch that is to be evaluated; `None` if it is infeasible or known.
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
        assert_eq!(scores.len(), archs.len(), "scores of the objective and archs");
        let trials = archs.into_iter().zip(scores).zip(costs).map(|((arch, score), costs)| {
            self.queries += 1;
            Ok(Trial { score: finite("score", &arch, score)?, arch, costs, query: self.queries })
        });
        trials.collect()
    }
}

#[cfg(test)]
mod tests;
