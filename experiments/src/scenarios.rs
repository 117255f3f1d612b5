//! The best subnet for each budget, found by every strategy at equal queries.

use crate::config::{ExperimentConfig, Scenario};
use crate::heartbeat;
use crate::report::Answer;
use anyhow::{Context, Result};
use ofa_search::{
    AccuracyTable, AdditiveCost, Budget, Constraint, LatencyTable, Predictor, Problem, StrategyKind, TableAccuracy,
    search,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::time::Instant;

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
    let rng = &mut ChaCha8Rng::seed_from_u64(config.seed);
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
