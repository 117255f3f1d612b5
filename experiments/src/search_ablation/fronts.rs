//! Compares fronts of score and cost at equal queries by hypervolume.

use super::findings::quartiles;
use super::{Additive, SearchAblation, Task};
use anyhow::Result;
use ofa_data::random::{Purpose, stream};
use ofa_search::{
    Budget, Constraint, Evolution, Front, Nsga2, Problem, RandomSearch, SearchError, SearchStrategy, Trial, search,
};
use serde::Serialize;

/// One front; a row of `fronts.csv`.
#[derive(Clone, Debug, Serialize)]
pub struct FrontRow {
    /// Task name.
    pub task: String,
    /// Limit of the task, which is the highest cost on the front, as text.
    pub limit: String,
    /// Contestant name.
    pub strategy: String,
    /// Seed of the search.
    pub seed: u64,
    /// Number of archs on the front.
    pub archs: usize,
    /// Hypervolume as a fraction of that of the best known front.
    pub hypervolume: f64,
}

/// Summary of a contestant's fronts over seeds.
#[derive(Clone, Debug, Serialize)]
pub struct FrontStanding {
    /// Task name.
    pub task: String,
    /// Limit of the task, as text.
    pub limit: String,
    /// Contestant name.
    pub strategy: String,
    /// Lower quartile, median and upper quartile of the fraction of the best known hypervolume.
    pub hypervolume: [f64; 3],
    /// Median number of archs on the front.
    pub archs: f64,
}

/// Fronts of a task by NSGA-II, by random search, and by evolution under several limits that share the queries equally.
///
/// The best known front consists of all archs met, plus the proven optima under 100 limits if `additive` is given.
/// The reference point is the task's limit and the score of the smallest arch.
///
/// # Errors
///
/// If a search fails.
pub fn fronts(task: &Task<'_>, additive: Option<&Additive>, ablation: &SearchAblation) -> Result<Vec<FrontRow>> {
    let smallest = task.problem.space.smallest();
    let [score, lowest] =
        [task.problem.objective.predict(std::slice::from_ref(&smallest))?[0], task.problem.costs(&smallest)?[0]];
    let highest = task.problem.constraints[0].limit;
    let limits = |count: u64| (1..=count).map(move |i| lowest + (highest - lowest) * i as f64 / count as f64);
    let mut found: Vec<(String, u64, Front)> = Vec::new();
    for seed in 1..=ablation.seeds {
        let alone = Budget::new(ablation.queries);
        let part = Budget::new(ablation.queries / ablation.front_searches);
        let limits: Vec<f64> = limits(ablation.front_searches).collect();
        let name = format!("evolution under {} limits", limits.len());
        found.push(("nsga2".into(), seed, front(task, &[highest], Nsga2::default, alone, seed)?));
        found.push((name, seed, front(task, &limits, Evolution::default, part, seed)?));
        found.push(("random".into(), seed, front(task, &[highest], || RandomSearch, alone, seed)?));
    }
    let mut best = Front::default();
    found.iter().flat_map(|(_, _, front)| front.trials()).for_each(|trial| best.add(trial));
    if let Some(additive) = additive {
        for limit in limits(100) {
            let optimum = additive.problem(limit).solve()?;
            best.add(&Trial { arch: optimum.arch, score: optimum.score, costs: vec![optimum.cost], query: 0 });
        }
    }
    let whole = best.hypervolume((highest, score));
    let row = |(strategy, seed, front): (String, u64, Front)| FrontRow {
        task: task.name.to_owned(),
        limit: task.limit.clone(),
        strategy,
        seed,
        archs: front.trials().len(),
        hypervolume: front.hypervolume((highest, score)) / whole,
    };
    Ok(found.into_iter().map(row).collect())
}

/// The front of all archs met by one search per limit.
fn front<S: SearchStrategy>(
    task: &Task<'_>,
    limits: &[f64],
    strategy: impl Fn() -> S,
    budget: Budget,
    seed: u64,
) -> Result<Front> {
    let (rng, mut front) = (&mut stream(seed, Purpose::Search, &[]), Front::default());
    let Constraint { name, unit, cost, .. } = &task.problem.constraints[0];
    for &limit in limits {
        let constraints = vec![Constraint::at_most(name, limit, unit, cost)];
        let problem = Problem { constraints, ..task.problem };
        match search(&problem, &mut strategy(), budget, rng, |trial| front.add(trial)) {
            // Random search may find nothing below the lowest limits.
            Ok(_) | Err(SearchError::NothingFeasible { .. }) => (),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(front)
}

/// Summarises rows over seeds, by task and contestant.
pub fn front_standings(rows: &[FrontRow]) -> Vec<FrontStanding> {
    let mut standings: Vec<FrontStanding> = Vec::new();
    for row in rows {
        let same = |other: &&FrontRow| (&other.task, &other.strategy) == (&row.task, &row.strategy);
        if standings.iter().any(|known| (&known.task, &known.strategy) == (&row.task, &row.strategy)) {
            continue;
        }
        let same: Vec<&FrontRow> = rows.iter().filter(same).collect();
        standings.push(FrontStanding {
            task: row.task.clone(),
            limit: row.limit.clone(),
            strategy: row.strategy.clone(),
            hypervolume: quartiles(same.iter().map(|row| row.hypervolume).collect()),
            archs: quartiles(same.iter().map(|row| row.archs as f64).collect())[1],
        });
    }
    standings
}
