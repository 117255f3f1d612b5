//! Runs every contestant on every task.

use super::{SearchAblation, Task};
use anyhow::{Context, Result};
use ofa_search::{Budget, Improvement, SearchError, SearchOutcome, Stop};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::time::Instant;

/// Outcome of one contestant on a task with one seed.
#[derive(Clone, Debug)]
pub struct Found {
    /// Name of the contestant.
    pub strategy: String,
    /// Seed of the search.
    pub seed: u64,
    /// Outcome of the search.
    pub outcome: SearchOutcome,
    /// Wall-clock seconds.
    pub seconds: f64,
}

/// Runs all contestants on a task, with every seed. Contestants that find nothing feasible are skipped.
///
/// # Errors
///
/// If a search fails.
pub fn contest(task: &Task<'_>, ablation: &SearchAblation) -> Result<Vec<Found>> {
    /// If 20,000 archs in a row are infeasible or known, little is left to find.
    const PATIENCE: u64 = 20_000;
    let budget = Budget { queries: ablation.queries, rejections_in_a_row: PATIENCE };
    let mut found = Vec::new();
    for &contestant in &task.contestants {
        // A look-up is deterministic.
        let seeds = if contestant.looks_up() { 1 } else { ablation.seeds };
        for seed in 1..=seeds {
            let (started, rng) = (Instant::now(), &mut ChaCha8Rng::seed_from_u64(seed));
            let (strategy, outcome) = match contestant.search(&task.problem, task.table, budget, rng) {
                Err(SearchError::NothingFeasible { .. }) => continue,
                result => result.with_context(|| format!("{contestant:?} on {} within {}", task.name, task.limit))?,
            };
            found.push(Found { strategy, seed, outcome, seconds: started.elapsed().as_secs_f64() });
        }
    }
    Ok(found)
}

/// A step of a best-so-far curve; a row of `curves.csv`.
#[derive(Clone, Debug, Serialize)]
pub struct CurveRow<'a> {
    /// Task name.
    pub task: &'a str,
    /// Limit of the task, as text.
    pub limit: &'a str,
    /// Contestant name.
    pub strategy: &'a str,
    /// Seed of the search.
    pub seed: u64,
    /// Query at which the best score improved.
    pub query: u64,
    /// Best score from that query on.
    pub best_score: f64,
}

/// One search; a row of `searches.csv`.
#[derive(Clone, Debug, Serialize)]
pub struct SearchRow<'a> {
    /// Task name.
    pub task: &'a str,
    /// Limit of the task, as text.
    pub limit: &'a str,
    /// Contestant name.
    pub strategy: &'a str,
    /// Seed of the search.
    pub seed: u64,
    /// Best arch found, as text.
    pub arch: String,
    /// Cost of that arch, in the unit of the limit.
    pub cost: f64,
    /// Score of that arch.
    pub score: f64,
    /// Queries charged.
    pub queries: u64,
    /// Infeasible proposals, not charged.
    pub infeasible: u64,
    /// Proposals already known, not charged.
    pub duplicate: u64,
    /// Whether the search stopped early after too many rejections in a row.
    pub gave_up: bool,
    /// Wall-clock seconds.
    pub seconds: f64,
}

impl Found {
    /// The best-so-far curve as rows.
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
