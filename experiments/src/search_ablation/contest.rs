//! Searches of every contestant on every task.

use super::{Contestant, SearchAblation, Task};
use anyhow::{Context, Result};
use ofa_search::{Budget, Improvement, SearchError, SearchOutcome, Stop, StrategyKind};
use serde::Serialize;
use std::time::Instant;

/// What a contestant found on a task with a seed.
#[derive(Clone, Debug)]
pub struct Found {
    /// Name of the contestant.
    pub strategy: String,
    /// Seed of the search.
    pub seed: u64,
    /// What came of it.
    pub outcome: SearchOutcome,
    /// Wall seconds.
    pub seconds: f64,
}

/// What all contestants found on a task, by contestant and seed; a contestant that finds nothing feasible is left out.
///
/// # Errors
///
/// If a search fails.
pub fn contest(task: &Task<'_>, ablation: &SearchAblation) -> Result<Vec<Found>> {
    /// Where 20,000 archs in a row are infeasible or known, little is left to find.
    const PATIENCE: u64 = 20_000;
    let budget = Budget { queries: ablation.queries, rejections_in_a_row: PATIENCE };
    let mut found = Vec::new();
    for &contestant in &task.contestants {
        // A look-up draws nothing.
        let seeds = if contestant == Contestant::Strategy(StrategyKind::Table) { 1 } else { ablation.seeds };
        for seed in 1..=seeds {
            let started = Instant::now();
            let (strategy, outcome) = match contestant.search(&task.problem, task.table, budget, seed) {
                Err(SearchError::NothingFeasible { .. }) => continue,
                result => result.with_context(|| format!("{contestant:?} on {} within {}", task.name, task.limit))?,
            };
            found.push(Found { strategy, seed, outcome, seconds: started.elapsed().as_secs_f64() });
        }
    }
    Ok(found)
}

/// A step of a best-so-far curve, a row of a file.
#[derive(Clone, Debug, Serialize)]
pub struct CurveRow<'a> {
    /// The task.
    pub task: &'a str,
    /// Its limit.
    pub limit: &'a str,
    /// The contestant.
    pub strategy: &'a str,
    /// Seed of the search.
    pub seed: u64,
    /// Queries up to there.
    pub query: u64,
    /// The best score from there on.
    pub best_score: f64,
}

/// A search, a row of a file.
#[derive(Clone, Debug, Serialize)]
pub struct SearchRow<'a> {
    /// The task.
    pub task: &'a str,
    /// Its limit.
    pub limit: &'a str,
    /// The contestant.
    pub strategy: &'a str,
    /// Seed of the search.
    pub seed: u64,
    /// The best arch.
    pub arch: String,
    /// Its cost.
    pub cost: f64,
    /// Its score.
    pub score: f64,
    /// Queries that were paid for.
    pub queries: u64,
    /// Proposals that were infeasible.
    pub infeasible: u64,
    /// Proposals that were known.
    pub duplicate: u64,
    /// Whether the search gave up, as it met nothing new.
    pub gave_up: bool,
    /// Wall seconds.
    pub seconds: f64,
}

impl Found {
    /// The curve as rows.
    pub fn curve<'a>(&'a self, task: &'a Task<'_>) -> impl Iterator<Item = CurveRow<'a>> {
        let row = |&Improvement { query, score }: &Improvement| CurveRow {
            task: task.name,
            limit: &task.limit,
            strategy: &self.strategy,
            seed: self.seed,
            query,
            best_score: score,
        };
        self.outcome.history.iter().map(row)
    }

    /// The search as a row.
    pub fn row<'a>(&'a self, task: &'a Task<'_>) -> SearchRow<'a> {
        let SearchOutcome { best, queries, rejected, stop, .. } = &self.outcome;
        SearchRow {
            task: task.name,
            limit: &task.limit,
            strategy: &self.strategy,
            seed: self.seed,
            arch: best.arch.to_string(),
            cost: best.costs[0],
            score: best.score,
            queries: *queries,
            infeasible: rejected.infeasible,
            duplicate: rejected.duplicate,
            gave_up: *stop == Stop::Rejections,
            seconds: self.seconds,
        }
    }
}
