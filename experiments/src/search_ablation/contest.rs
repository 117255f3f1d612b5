//! Runs every contestant on every task.

use super::{SearchAblation, Task};
use anyhow::{Context, Result};
use ofa_search::{
    Budget, Evolution, EvolutionConfig, Improvement, SearchError, SearchOutcome, Stop, StrategyKind,
    original_evolution, search,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::time::Instant;

/// A search method under comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contestant {
    /// A strategy with its default settings.
    Strategy(StrategyKind),
    /// The evolution of the authors' code, with its default settings.
    Original,
    /// [`Evolution`] with `resolution_share` 1: parents may all have the same resolution.
    AnyParents,
}

impl Contestant {
    /// All searching contestants. Exhaustive search is omitted: at equal queries it cannot compete, and it has no
    /// randomness.
    pub const SEARCHING: [Self; 8] = [
        Self::Strategy(StrategyKind::Random),
        Self::Original,
        Self::AnyParents,
        Self::Strategy(StrategyKind::Evolution),
        Self::Strategy(StrategyKind::AgeingEvolution),
        Self::Strategy(StrategyKind::LocalSearch),
        Self::Strategy(StrategyKind::SteepestAscent),
        Self::Strategy(StrategyKind::Nsga2),
    ];

    /// Runs the search and returns the contestant's name with the outcome.
    fn search(self, task: &Task<'_>, budget: Budget, seed: u64) -> Result<(String, SearchOutcome), SearchError> {
        let (problem, rng) = (&task.problem, &mut ChaCha8Rng::seed_from_u64(seed));
        match self {
            Self::Original => {
                let outcome = original_evolution(problem, EvolutionConfig::default(), budget, rng)?;
                Ok(("original_evolution".to_owned(), outcome))
            }
            Self::AnyParents => {
                let config = EvolutionConfig { resolution_share: 1.0, ..EvolutionConfig::default() };
                let outcome = search(problem, &mut Evolution::new(config)?, budget, rng, |_| ())?;
                Ok(("evolution_any_parents".to_owned(), outcome))
            }
            Self::Strategy(kind) => {
                let mut strategy = kind.init(task.table);
                let outcome = search(problem, &mut *strategy, budget, rng, |_| ())?;
                Ok((strategy.name().to_owned(), outcome))
            }
        }
    }
}

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
        let seeds = if contestant == Contestant::Strategy(StrategyKind::Table) { 1 } else { ablation.seeds };
        for seed in 1..=seeds {
            let started = Instant::now();
            let (strategy, outcome) = match contestant.search(task, budget, seed) {
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
