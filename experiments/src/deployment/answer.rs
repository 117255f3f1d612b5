//! The best network for each scenario, by evolution on a predictor, next to the best uniformly scaled one.

use super::asked::{Asked, Searched, Searcher};
use super::{Devices, uniform::uniform_archs};
use crate::config::{Scenario, SearchConfig};
use anyhow::{Context, Result};
use ofa_model::Arch;
use ofa_search::predictors::{MlpPredictor, Prediction};
use ofa_search::{AccuracyTable, Constraint, Front, Predictor, Problem, SearchError, StrategyKind, Trial};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;

/// The cost axis of a front.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Axis {
    /// `latency`, `energy`, `MACs` or `parameters`.
    pub cost: String,
    /// Unit of the cost.
    pub unit: String,
    /// Device, for latency and energy; empty for device-independent costs and for the table beside the accuracies.
    pub device: String,
}

/// Results for a file of scenarios.
#[derive(Debug, Default)]
pub struct Answers {
    /// Scenarios with an answer, in file order.
    pub found: Vec<Found>,
    /// Scenarios without one, in file order.
    pub failed: Vec<Failed>,
    /// Best trade-offs of predicted accuracy and cost that the searches met, by the first limit of their scenario.
    pub fronts: BTreeMap<Axis, Front>,
}

/// The answer to a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The scenario.
    pub scenario: Scenario,
    /// Its limits as text, such as `latency <= 0.9 ms`.
    pub limits: String,
    /// The quantity of its first limit.
    pub axis: Axis,
    /// Cost of the network on that axis.
    pub cost: f64,
    /// The network found.
    pub arch: Arch,
    /// Its predicted top-1 accuracy, 0 to 1.
    pub predicted: Prediction,
    /// Its latency by table; `None` without a latency table.
    pub latency_ms: Option<f64>,
    /// Its energy by table; `None` without an energy table.
    pub energy_mj: Option<f64>,
    /// Its MACs.
    pub macs: u64,
    /// Its number of parameters.
    pub parameters: u64,
    /// The best uniformly scaled network within the limits; `None` if none fits.
    pub uniform: Option<Rival>,
    /// Strategy that found it; `None` if it is the uniformly scaled network.
    pub strategy: Option<String>,
    /// Objective evaluations of the best search.
    pub queries: u64,
    /// Wall-clock seconds of the best search.
    pub seconds: f64,
}

/// The uniformly scaled network an answer is compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Rival {
    /// The network.
    pub arch: Arch,
    /// Its predicted top-1 accuracy, 0 to 1.
    pub predicted_top1: f64,
    /// Its cost on the axis of the answer.
    pub cost: f64,
}

/// A scenario without an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// The scenario.
    pub scenario: Scenario,
    /// The reason; for infeasible limits it names the cheapest network and its cost.
    pub problem: String,
}

/// Strategies that answer each scenario, unless the file names others.
const STRATEGIES: [StrategyKind; 1] = [StrategyKind::Evolution];

/// Answers all scenarios by the strategies that the file names. Infeasible scenarios are reported in
/// [`Answers::failed`] and do not affect the rest.
///
/// # Errors
///
/// Those of [`answer_by`].
pub fn answer(
    search: &SearchConfig,
    devices: &Devices,
    accuracy: &AccuracyTable,
    predictor: &MlpPredictor,
) -> Result<Answers> {
    let kinds = search.strategies.as_deref().unwrap_or(&STRATEGIES);
    let searchers: Vec<Searcher> = kinds.iter().map(|kind| Searcher::of(*kind, accuracy)).collect();
    answer_by(&searchers, search, devices, accuracy, predictor)
}

/// Answers all scenarios by `searchers`, in parallel.
///
/// # Errors
///
/// If a table is implausible, or the predictor fails or returns a non-finite value.
pub fn answer_by(
    searchers: &[Searcher],
    search: &SearchConfig,
    devices: &Devices,
    accuracy: &AccuracyTable,
    predictor: &MlpPredictor,
) -> Result<Answers> {
    let uniform = uniform_archs(devices.whole_space());
    let uniform: Vec<(Arch, f64)> = uniform.iter().cloned().zip(predictor.predict(&uniform)?).collect();
    let seed = search.seed.unwrap_or(0);
    let asked = Asked { devices, accuracy, predictor, queries: search.queries, seed };
    let contest = Contest { asked, predictor, searchers, uniform: &uniform };
    let all = search.scenarios.par_iter().map(|scenario| contest.one(scenario)).collect::<Result<Vec<_>>>()?;
    let mut answers = Answers::default();
    for answer in all {
        match answer {
            Ok((found, front)) => {
                let merged = answers.fronts.entry(found.axis.clone()).or_default();
                front.trials().iter().for_each(|trial| merged.add(trial));
                answers.found.push(found);
            }
            Err(failed) => answers.failed.push(failed),
        }
    }
    Ok(answers)
}

/// Who competes for every scenario.
struct Contest<'a> {
    asked: Asked<'a>,
    predictor: &'a MlpPredictor,
    searchers: &'a [Searcher<'a>],
    /// Uniformly scaled networks with their predicted accuracies.
    uniform: &'a [(Arch, f64)],
}

impl Contest<'_> {
    /// Answers one scenario, with the front of its searches, or says why it cannot.
    fn one(&self, scenario: &Scenario) -> Result<Result<(Found, Front), Failed>> {
        let Self { asked, predictor, .. } = self;
        let devices = asked.devices;
        let mut front = Front::default();
        let (top1, searched) = match self.best_search(scenario, &mut front)? {
            Ok(best) => best,
            Err(error) => return Ok(Err(Failed { scenario: scenario.clone(), problem: error.to_string() })),
        };
        let space = devices.space(scenario);
        let problem = Problem { space: &space, objective: *predictor, constraints: devices.constraints(scenario)? };
        let rival = best_rival(&problem, self.uniform);
        // The uniform network competes too: a recommendation must not be worse than what needs no search.
        let (arch, strategy) = match &rival {
            Some(rival) if rival.predicted_top1 > top1 => (rival.arch.clone(), None),
            _ => (searched.outcome.best.arch, Some(searched.strategy)),
        };
        let (cost, macs_and_parameters) = (problem.costs(&arch)?[0], space.cost(&arch));
        let predicted = predictor.predict_with_spread(std::slice::from_ref(&arch))?[0];
        front.add(&Trial { arch: arch.clone(), score: predicted.mean, costs: vec![cost], query: 0 });
        let found = Found {
            limits: problem.constraints.iter().map(|limit| format!("{limit:?}")).collect::<Vec<_>>().join(", "),
            axis: axis(scenario, &problem.constraints[0]),
            cost,
            predicted,
            latency_ms: devices.latency(scenario).map(|latency| latency.of(&arch)),
            energy_mj: devices.energy(scenario).map(|energy| energy.of(&arch)),
            macs: macs_and_parameters.macs,
            parameters: macs_and_parameters.parameters,
            uniform: rival,
            strategy,
            queries: searched.outcome.queries,
            seconds: searched.seconds,
            scenario: scenario.clone(),
            arch,
        };
        Ok(Ok((found, front)))
    }

    /// The search whose result has the highest predicted accuracy, the first of equals; or why none found anything.
    fn best_search(&self, scenario: &Scenario, front: &mut Front) -> Result<Result<(f64, Searched), SearchError>> {
        let mut best = None;
        for searcher in self.searchers {
            let observe = |trial: &Trial| {
                // A front of predictions has no place for measured accuracies.
                if !searcher.looks_up() {
                    front.add(&Trial { costs: vec![trial.costs[0]], ..trial.clone() });
                }
            };
            let next = match self.asked.search(scenario, searcher, observe)? {
                Ok(searched) => Ok((self.predicted(&searched)?, searched)),
                Err(error) => Err(error),
            };
            best = match (best, next) {
                (Some(Ok((top1, _))), Ok(next)) if next.0 > top1 => Some(Ok(next)),
                (None | Some(Err(_)), next) => Some(next),
                (best, _) => best,
            };
        }
        best.context("there is no strategy to answer with")
    }

    /// Predicted accuracy of what was found, even if the search maximised measured ones.
    fn predicted(&self, searched: &Searched) -> Result<f64, SearchError> {
        let best = &searched.outcome.best;
        if !searched.looked_up {
            return Ok(best.score);
        }
        Ok(self.predictor.predict(std::slice::from_ref(&best.arch))?[0])
    }
}

/// The axis of a scenario's first limit.
fn axis(scenario: &Scenario, limit: &Constraint<'_>) -> Axis {
    let of_device = ["latency", "energy"].contains(&limit.name.as_str());
    let device = scenario.device.clone().filter(|_| of_device).unwrap_or_default();
    Axis { cost: limit.name.clone(), unit: limit.unit.clone(), device }
}

/// The most accurate arch that meets every limit; ties go to the cheaper one.
fn best_rival(problem: &Problem<'_>, archs: &[(Arch, f64)]) -> Option<Rival> {
    let within = archs.iter().filter(|(arch, _)| problem.space.resolutions.contains(&arch.resolution));
    let costed = within.map(|(arch, top1)| {
        let costs: Vec<f64> = problem.constraints.iter().map(|limit| (limit.cost)(arch)).collect();
        (arch, *top1, costs)
    });
    let feasible = costed.filter(|(_, _, costs)| costs.iter().zip(&problem.constraints).all(|(c, l)| *c <= l.limit));
    let best =
        feasible.max_by(|(_, a, a_costs), (_, b, b_costs)| a.total_cmp(b).then(b_costs[0].total_cmp(&a_costs[0])));
    best.map(|(arch, predicted_top1, costs)| Rival { arch: arch.clone(), predicted_top1, cost: costs[0] })
}

impl Answers {
    /// Names of the answered scenarios, with their networks.
    pub fn archs(&self) -> Vec<(&str, &Arch)> {
        self.found.iter().map(|found| (found.scenario.name.as_str(), &found.arch)).collect()
    }
}

impl Found {
    /// Predicted top-1 gain over the best uniformly scaled network, as a fraction; `None` if none fits.
    pub fn gain(&self) -> Option<f64> {
        self.uniform.as_ref().map(|uniform| self.predicted.mean - uniform.predicted_top1)
    }
}
