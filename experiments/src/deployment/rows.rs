//! Rows of `answers.csv` and `front.csv`.

use super::{Answers, Axis, Failed, Found};
use ofa_search::Trial;
use serde::Serialize;

/// A row of `answers.csv`. A scenario without an answer has only its name, device and problem.
#[derive(Debug, Default, Serialize)]
pub struct AnswerRow {
    scenario: String,
    device: Option<String>,
    limits: String,
    arch: Option<String>,
    predicted_top1: Option<f64>,
    /// Standard deviation across the predictor's networks.
    spread: Option<f64>,
    latency_ms: Option<f64>,
    energy_mj: Option<f64>,
    macs: Option<u64>,
    parameters: Option<u64>,
    uniform_arch: Option<String>,
    uniform_predicted_top1: Option<f64>,
    gain: Option<f64>,
    strategy: Option<String>,
    queries: Option<u64>,
    seconds: Option<f64>,
    problem: Option<String>,
}

/// A row of `front.csv`.
#[derive(Debug, Serialize)]
pub struct FrontRow {
    cost: String,
    device: String,
    unit: String,
    value: f64,
    predicted_top1: f64,
    arch: String,
}

impl Answers {
    /// Rows of `answers.csv`: scenarios with an answer, then those without.
    pub fn rows(&self) -> Vec<AnswerRow> {
        self.found.iter().map(AnswerRow::found).chain(self.failed.iter().map(AnswerRow::failed)).collect()
    }

    /// Rows of `front.csv`, one front after the other.
    pub fn front_rows(&self) -> Vec<FrontRow> {
        let fronts = self.fronts.iter().flat_map(|(axis, front)| front.trials().iter().map(move |trial| (axis, trial)));
        let row = |(axis, trial): (&Axis, &Trial)| FrontRow {
            cost: axis.cost.clone(),
            device: axis.device.clone(),
            unit: axis.unit.clone(),
            value: trial.costs[0],
            predicted_top1: trial.score,
            arch: trial.arch.to_string(),
        };
        fronts.map(row).collect()
    }
}

impl AnswerRow {
    fn found(found: &Found) -> Self {
        Self {
            scenario: found.scenario.name.clone(),
            device: found.scenario.device.clone(),
            limits: found.limits.clone(),
            arch: Some(found.arch.to_string()),
            predicted_top1: Some(found.predicted.mean),
            spread: Some(found.predicted.spread),
            latency_ms: found.latency_ms,
            energy_mj: found.energy_mj,
            macs: Some(found.macs),
            parameters: Some(found.parameters),
            uniform_arch: found.uniform.as_ref().map(|rival| rival.arch.to_string()),
            uniform_predicted_top1: found.uniform.as_ref().map(|rival| rival.predicted_top1),
            gain: found.gain(),
            strategy: found.strategy.clone(),
            queries: Some(found.queries),
            seconds: Some(found.seconds),
            problem: None,
        }
    }

    fn failed(failed: &Failed) -> Self {
        let Failed { scenario, problem } = failed;
        let (name, device) = (scenario.name.clone(), scenario.device.clone());
        Self { scenario: name, device, problem: Some(problem.clone()), ..Self::default() }
    }
}
