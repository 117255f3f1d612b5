//! The best subnet for each budget, found by every strategy at equal queries.

use super::Devices;
use super::asked::{Asked, Searched, Searcher};
use crate::config::{ExperimentConfig, Scenario};
use crate::console::heartbeat;
use crate::run::run_dir::RunDir;
use anyhow::{Context, Result};
use ofa_model::SearchSpace;
use ofa_search::cost::AdditiveCost;
use ofa_search::{AccuracyTable, LatencyTable, Predictor, SearchError, StrategyKind};
use serde::{Deserialize, Serialize};

/// The best subnet that a strategy found for a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Name of the scenario, also of the subnet's directory, e.g. `latency-tight`.
    pub scenario: String,
    /// Name of the strategy.
    pub strategy: String,
    /// Whether its accuracies were looked up in the table instead of predicted; absent in records of earlier versions.
    #[serde(default)]
    pub looked_up: bool,
    /// The arch as text.
    pub arch: String,
    /// Top-1 by the predictor (table look-up: by the table), 0 to 1.
    pub predicted_top1: f64,
    /// Latency by table, in milliseconds.
    pub predicted_ms: f64,
    /// MACs.
    pub macs: u64,
    /// Objective evaluations spent.
    pub queries: usize,
    /// Wall-clock seconds of the search.
    pub seconds: f64,
    /// Best-so-far curve: (query, score) at each improvement.
    pub curve: Vec<(usize, f64)>,
}

/// Inputs of a search.
pub struct Tables<'a> {
    /// Measured accuracies.
    pub accuracy: &'a AccuracyTable,
    /// Measured latencies.
    pub latency: &'a LatencyTable,
    /// Accuracy predictor.
    pub predictor: &'a (dyn Predictor + Sync),
}

/// Strategies that answer each scenario of a run, unless its configuration names others.
const STRATEGIES: [StrategyKind; 3] = [StrategyKind::Table, StrategyKind::Random, StrategyKind::Evolution];

/// Answers every scenario by every strategy of the configuration.
///
/// # Errors
///
/// Those of [`answer_by`].
pub fn answer_all(config: &ExperimentConfig, tables: &Tables) -> Result<Vec<Answer>> {
    let kinds = config.search.strategies.as_deref().unwrap_or(&STRATEGIES);
    let searchers: Vec<Searcher> = kinds.iter().map(|kind| Searcher::of(*kind, tables.accuracy)).collect();
    answer_by(&searchers, config, tables)
}

/// Answers every scenario by each of `searchers`, at equal queries. A table without a row within the limits gives no
/// answer.
///
/// # Errors
///
/// If no subnet meets the limits; the error names the cheapest one and its cost.
pub fn answer_by(searchers: &[Searcher], config: &ExperimentConfig, tables: &Tables) -> Result<Vec<Answer>> {
    let &Tables { accuracy, latency, predictor } = tables;
    let ExperimentConfig { search, space, .. } = config;
    let devices = &Devices::load(search, space, || Ok(latency.clone()))?;
    let seed = search.seed.unwrap_or(config.seed);
    let asked = Asked { devices, accuracy, predictor, queries: search.queries, seed };
    let latency = latency.cost(space)?;
    let mut answers = Vec::new();
    for scenario in &search.scenarios {
        for searcher in searchers {
            let what = format!("scenario `{}`, strategy {}", scenario.name, searcher.name());
            heartbeat::at(|| what.clone());
            match asked.search(scenario, searcher, |_| ()).with_context(|| what.clone())? {
                Ok(searched) => answers.push(Answer::new(scenario, searched, &latency, space)),
                Err(SearchError::NothingFeasible { .. }) if searcher.looks_up() => (),
                Err(error) => return Err(error).context(what),
            }
        }
    }
    Ok(answers)
}

impl Answer {
    fn new(scenario: &Scenario, searched: Searched, latency: &AdditiveCost, space: &SearchSpace) -> Self {
        let Searched { strategy, looked_up, outcome, seconds } = searched;
        let arch = &outcome.best.arch;
        Self {
            scenario: scenario.name.clone(),
            strategy,
            looked_up,
            arch: arch.to_string(),
            predicted_top1: outcome.best.score,
            predicted_ms: latency.of(arch),
            macs: space.cost(arch).macs,
            queries: outcome.queries as usize,
            seconds,
            curve: outcome.history.iter().map(|step| (step.query as usize, step.score)).collect(),
        }
    }
}

/// Writes `search/answers.csv`, and the best-so-far curve of every search as `search/SCENARIO-STRATEGY.csv`.
///
/// # Errors
///
/// If a file cannot be written.
pub fn write_answers(dir: &RunDir, answers: &[Answer]) -> Result<()> {
    #[derive(Serialize)]
    struct Row {
        scenario: String,
        strategy: String,
        arch: String,
        predicted_top1: f64,
        predicted_ms: f64,
        macs: u64,
        queries: usize,
        seconds: f64,
    }
    #[derive(Serialize)]
    struct Step {
        query: usize,
        best_score: f64,
    }
    let row = |answer: &Answer| Row {
        scenario: answer.scenario.clone(),
        strategy: answer.strategy.clone(),
        arch: answer.arch.clone(),
        predicted_top1: answer.predicted_top1,
        predicted_ms: answer.predicted_ms,
        macs: answer.macs,
        queries: answer.queries,
        seconds: answer.seconds,
    };
    dir.write_csv("search/answers.csv", answers.iter().map(row))?;
    for answer in answers {
        let curve = answer.curve.iter().map(|&(query, best_score)| Step { query, best_score });
        dir.write_csv(&format!("search/{}-{}.csv", answer.scenario, answer.strategy), curve)?;
    }
    Ok(())
}
