//! The best subnet for each budget, found by every strategy at equal queries.

use crate::config::{ExperimentConfig, Scenario};
use crate::console::heartbeat;
use crate::run::run_dir::RunDir;
use anyhow::{Context, Result};
use ofa_data::random::{Purpose, stream};
use ofa_search::cost::AdditiveCost;
use ofa_search::{
    AccuracyTable, Budget, Constraint, LatencyTable, Predictor, Problem, StrategyKind, TableAccuracy, search,
};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// The best subnet that a strategy found for a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Name of the scenario, also of the subnet's directory, e.g. `latency-tight`.
    pub scenario: String,
    /// Name of the strategy.
    pub strategy: String,
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
    pub predictor: &'a dyn Predictor,
}

/// Strategies that answer each scenario, at equal queries.
const STRATEGIES: [StrategyKind; 3] = [StrategyKind::Table, StrategyKind::Random, StrategyKind::Evolution];

/// Answers every scenario by table look-up, random search and evolution.
///
/// The look-up is the article's: it maximises the measured accuracies of the table. The others maximise the predictor.
///
/// # Errors
///
/// If no subnet meets a budget; the error names the cheapest one and its cost.
pub fn answer_all(config: &ExperimentConfig, tables: &Tables) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for scenario in &config.search.scenarios {
        for kind in STRATEGIES {
            heartbeat::at(|| format!("scenario `{}`, strategy {kind:?}", scenario.name));
            let answer = answer(config, scenario, kind, tables);
            answers.extend(answer.with_context(|| format!("scenario `{}`, strategy {kind:?}", scenario.name))?);
        }
    }
    Ok(answers)
}

/// `None` if the table look-up finds no row within the budget.
fn answer(
    config: &ExperimentConfig,
    scenario: &Scenario,
    kind: StrategyKind,
    tables: &Tables,
) -> Result<Option<Answer>> {
    let space = &config.space;
    let latency = tables.latency.cost(space)?;
    let measured = TableAccuracy(tables.accuracy);
    let objective: &dyn Predictor = if kind == StrategyKind::Table { &measured } else { tables.predictor };
    let constraint = match (scenario.latency_ms, scenario.latency_share, scenario.macs) {
        (Some(limit), _, _) => Constraint::latency(tables.latency, space, limit)?,
        (_, Some(share), _) => Constraint::latency(tables.latency, space, share_of(config, &latency, share)?)?,
        (_, _, Some(macs)) => Constraint::macs(space, macs as f64),
        _ => unreachable!("a validated scenario has a limit"),
    };
    let problem = Problem { space, objective, constraints: vec![constraint] };
    let mut strategy = kind.init(tables.accuracy);
    let rng = &mut stream(config.seed, Purpose::Search, &[]);
    let started = Instant::now();
    let outcome = match search(&problem, strategy.as_mut(), Budget::new(config.search.queries), rng, |_| ()) {
        Ok(outcome) => outcome,
        Err(ofa_search::SearchError::NothingFeasible { .. }) if kind == StrategyKind::Table => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let arch = &outcome.best.arch;
    Ok(Some(Answer {
        scenario: scenario.name.clone(),
        strategy: strategy.name().to_owned(),
        arch: arch.to_string(),
        predicted_top1: outcome.best.score,
        predicted_ms: latency.of(arch),
        macs: space.cost(arch).macs,
        queries: outcome.queries as usize,
        seconds: started.elapsed().as_secs_f64(),
        curve: outcome.history.iter().map(|step| (step.query as usize, step.score)).collect(),
    }))
}

/// The latency at fraction `share` of the way from the smallest subnet to the largest.
fn share_of(config: &ExperimentConfig, latency: &AdditiveCost, share: f64) -> Result<f64> {
    let (low, high) = (latency.of(&config.space.smallest()), latency.of(&config.space.largest()));
    anyhow::ensure!(
        low < high,
        "implausible latency table (smallest subnet {low:.3} ms, largest {high:.3} ms), probably measured on a busy \
         machine: remove tables/latency.csv and resume the run"
    );
    Ok(low + share * (high - low))
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
