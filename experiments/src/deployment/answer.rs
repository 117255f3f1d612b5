//! The best network for each scenario, by evolution on a predictor, next to the best uniformly scaled one.

use super::{Axis, Deployment, DeploymentFile, Devices, Front, uniform_archs};
use anyhow::Result;
use ofa_data::random::{Purpose, stream};
use ofa_model::{Arch, SearchSpace};
use ofa_search::predictors::{MlpPredictor, Prediction};
use ofa_search::{Budget, Constraint, Evolution, Predictor, Problem, SearchError, Trial, search};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::time::Instant;

/// Results for a file of scenarios.
#[derive(Debug, Default)]
pub struct Answers {
    /// Scenarios with an answer, in file order.
    pub found: Vec<Found>,
    /// Scenarios without one, in file order.
    pub failed: Vec<Failed>,
    /// Best trade-offs met by the searches, grouped by the first limit of their scenario.
    pub fronts: BTreeMap<Axis, Front>,
}

/// The answer to a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The scenario.
    pub scenario: Deployment,
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
    /// Predictor queries of the search.
    pub queries: u64,
    /// Wall-clock seconds of the search.
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
    pub scenario: Deployment,
    /// The reason; for infeasible limits it names the cheapest network and its cost.
    pub problem: String,
}

/// Answers all scenarios in parallel. Infeasible ones are reported in [`Answers::failed`] and do not affect the rest.
///
/// # Errors
///
/// If the predictor fails or returns a non-finite value.
pub fn answer(
    file: &DeploymentFile,
    devices: &Devices,
    space: &SearchSpace,
    predictor: &MlpPredictor,
) -> Result<Answers> {
    let uniform = uniform_archs(space);
    let uniform: Vec<(Arch, f64)> = uniform.iter().cloned().zip(predictor.predict(&uniform)?).collect();
    let asked = Asked { file, devices, predictor, uniform: &uniform };
    let all = file.scenarios.par_iter().map(|scenario| asked.one(scenario)).collect::<Result<Vec<_>>>()?;
    let mut answers = Answers::default();
    for answer in all {
        match answer {
            Ok((found, front)) => {
                let merged = answers.fronts.entry(found.axis.clone()).or_default();
                front.points().iter().for_each(|point| merged.offer(point.cost, point.top1, &point.arch));
                answers.found.push(found);
            }
            Err(failed) => answers.failed.push(failed),
        }
    }
    Ok(answers)
}

/// Shared inputs of all scenarios.
struct Asked<'a> {
    file: &'a DeploymentFile,
    devices: &'a Devices,
    predictor: &'a MlpPredictor,
    /// Uniformly scaled networks with their predicted accuracies.
    uniform: &'a [(Arch, f64)],
}

impl Asked<'_> {
    /// Answers one scenario, with the front of its search, or says why it cannot.
    fn one(&self, scenario: &Deployment) -> Result<Result<(Found, Front), Failed>> {
        let Self { file, devices, predictor, uniform } = *self;
        let space = devices.space(scenario);
        let problem = Problem { space: &space, objective: predictor, constraints: devices.constraints(scenario) };
        let mut front = Front::default();
        let started = Instant::now();
        let rng = &mut stream(file.seed, Purpose::Search, &[]);
        let observe = |trial: &Trial| front.offer(trial.costs[0], trial.score, &trial.arch);
        let outcome = match search(&problem, &mut Evolution::default(), Budget::new(file.queries), rng, observe) {
            Ok(outcome) => outcome,
            Err(error @ (SearchError::Infeasible { .. } | SearchError::NothingFeasible { .. })) => {
                return Ok(Err(Failed { scenario: scenario.clone(), problem: error.to_string() }));
            }
            Err(error) => return Err(error.into()),
        };
        let rival = best_rival(&problem, uniform);
        // The uniform network competes too: a recommendation must not be worse than what needs no search.
        let arch = match &rival {
            Some(rival) if rival.predicted_top1 > outcome.best.score => rival.arch.clone(),
            _ => outcome.best.arch,
        };
        let (cost, macs_and_parameters) = (problem.costs(&arch)?[0], space.cost(&arch));
        let predicted = predictor.predict_with_spread(std::slice::from_ref(&arch))?[0];
        front.offer(cost, predicted.mean, &arch);
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
            queries: outcome.queries,
            seconds: started.elapsed().as_secs_f64(),
            scenario: scenario.clone(),
            arch,
        };
        Ok(Ok((found, front)))
    }
}

/// The axis of a scenario's first limit.
fn axis(scenario: &Deployment, limit: &Constraint<'_>) -> Axis {
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
