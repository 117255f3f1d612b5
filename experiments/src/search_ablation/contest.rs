//! Searches of every contestant on every task.

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

/// Who searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contestant {
    /// A strategy with its default settings.
    Strategy(StrategyKind),
    /// The evolution of the authors' code, with its own.
    Original,
    /// [`Evolution`] whose parents may all have the same resolution.
    AnyParents,
}

impl Contestant {
    /// Those that search; exhaustive search has no chance at equal queries and nothing random.
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

    /// Its name and what it finds.
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
            let (strategy, outcome) = match contestant.search(task, budget, seed) {
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
