//! [`MnasNet`]: networks proposed by a controller, each trained briefly.

use super::{Controller, ControllerConfig, SearchMethod, SearchRecord, SearchTarget, SearchTask, WeightRates};
use crate::{StepNumbers, TrainError};
use ofa_data::random::{Purpose, stream};
use ofa_model::ChoiceGroups;
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// MnasNet (Tan et al., CVPR 2019, arXiv:1807.11626): a controller proposes networks, each is trained alone for a few
/// epochs, and its reward is `accuracy * (cost / target)^w`. The best within the target are then trained for longer, and
/// the best of these is the answer.
///
/// Our networks are not built from cells: the controller chooses kernel size and expand ratio of every block, and the
/// depth of every stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MnasNet {
    /// Who proposes networks.
    pub policy: Policy,
    /// Networks proposed and trained; at least 1.
    pub samples: u64,
    /// The training of a proposed network.
    pub proxy: WeightRates,
    /// The exponent w of the reward, at most 0: within the target, and beyond it.
    pub exponents: [f64; 2],
    /// The best networks within the target, which are trained again; at least 1. With 1, none is.
    pub finalists: usize,
    /// The second training.
    pub final_training: WeightRates,
}

/// Who proposes networks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// A controller that learns from rewards.
    Controller(ControllerConfig),
    /// Every choice uniformly: random search at the same cost.
    Uniform,
}

/// A network that was proposed and trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Its choices, by group.
    pub choices: Vec<usize>,
    /// Its held-out accuracy.
    pub accuracy: f64,
    /// Its cost.
    pub cost: f64,
}

/// What MnasNet learns.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MnasState {
    controller: Option<Controller>,
    /// In the order of proposals.
    samples: Vec<Sample>,
    /// Accuracies of the best networks after the second training, from the best on.
    finals: Vec<f64>,
    records: Vec<SearchRecord>,
}

impl MnasNet {
    /// The settings of the paper for ImageNet: 8,000 networks of 5 epochs, of which the 15 best are trained fully. The
    /// exponent -0.07 rewards twice the latency for 5 % relative accuracy; the rates are ours.
    pub fn published() -> Self {
        let proxy = WeightRates { epochs: 5, learning_rate: 0.1, batch_size: 128, weight_decay: 1e-5 };
        Self {
            policy: Policy::Controller(ControllerConfig::ppo()),
            samples: 8_000,
            proxy,
            exponents: [-0.07; 2],
            finalists: 15,
            final_training: WeightRates { epochs: 350, ..proxy },
        }
    }

    fn reward(&self, sample: &Sample, target: &SearchTarget) -> f64 {
        let ratio = sample.cost / target.limit;
        let [within, beyond] = self.exponents;
        sample.accuracy * libm::pow(ratio, if ratio > 1.0 { beyond } else { within })
    }

    /// The most accurate different networks within the target, the best first; if there are none, the cheapest.
    fn finalists<'a>(&self, samples: &'a [Sample], target: &SearchTarget) -> Vec<&'a Sample> {
        let mut best: Vec<&Sample> = samples.iter().filter(|sample| sample.cost <= target.limit).collect();
        best.sort_by(|a, b| b.accuracy.total_cmp(&a.accuracy));
        let mut finalists: Vec<&Sample> = Vec::new();
        for sample in best {
            if finalists.len() < self.finalists && finalists.iter().all(|other| other.choices != sample.choices) {
                finalists.push(sample);
            }
        }
        if finalists.is_empty() {
            finalists.extend(samples.iter().min_by(|a, b| a.cost.total_cmp(&b.cost)));
        }
        finalists
    }

    fn sample(
        &self,
        state: &mut MnasState,
        task: &mut dyn SearchTask,
        target: &SearchTarget,
        seed: u64,
        step: u64,
    ) -> Result<f64, TrainError> {
        let rng = &mut stream(seed, Purpose::Gates, &[0, step]);
        let groups = task.costs().groups().clone();
        let choices = match &state.controller {
            Some(controller) => controller.propose(rng),
            None => groups.sizes().into_iter().map(|size| rng.random_range(0..size)).collect(),
        };
        let accuracy = task.accuracy_alone(&choices, &self.proxy, step)?;
        let sample = Sample { accuracy, cost: task.costs().of(&choices), choices };
        let reward = self.reward(&sample, target);
        if let Some(controller) = &mut state.controller {
            controller.tell(sample.choices.clone(), groups.in_use(&sample.choices), reward);
        }
        let confidence = state.records.last().map_or(reward, |before| before.confidence.max(reward));
        let (macs, cost) = (task.macs(), sample.cost);
        state.records.push(SearchRecord { step: step + 1, macs, score: reward, cost, confidence });
        state.samples.push(sample);
        Ok(accuracy)
    }
}

impl SearchMethod for MnasNet {
    type State = MnasState;

    fn name(&self) -> &'static str {
        match self.policy {
            Policy::Controller(_) => "MnasNet",
            Policy::Uniform => "random search",
        }
    }

    fn problem(&self) -> Option<String> {
        if self.samples == 0 || self.finalists == 0 {
            let (samples, finalists) = (self.samples, self.finalists);
            return Some(format!("it has {samples} samples and {finalists} finalists, but needs at least 1"));
        }
        if let Some(exponent) = self.exponents.iter().find(|value| !(**value <= 0.0 && value.is_finite())) {
            return Some(format!("an exponent of its reward is {exponent}, but must be at most 0"));
        }
        let of_policy = match &self.policy {
            Policy::Controller(config) => config.problem(),
            Policy::Uniform => None,
        };
        of_policy.or_else(|| self.proxy.problem()).or_else(|| self.final_training.problem())
    }

    fn begin(&self, groups: &ChoiceGroups, seed: u64) -> MnasState {
        let controller = match self.policy {
            Policy::Controller(config) => {
                Some(Controller::new(config, groups.sizes(), &mut stream(seed, Purpose::Choices, &[0, 0])))
            }
            Policy::Uniform => None,
        };
        MnasState { controller, samples: Vec::new(), finals: Vec::new(), records: Vec::new() }
    }

    fn steps(&self, _: &dyn SearchTask) -> u64 {
        self.samples + if self.finalists > 1 { self.finalists as u64 } else { 0 }
    }

    fn checkpoint_every(&self) -> Option<u64> {
        // A step is a whole training.
        Some(1)
    }

    fn step(
        &self,
        state: &mut MnasState,
        task: &mut dyn SearchTask,
        target: &SearchTarget,
        seed: u64,
        step: u64,
    ) -> Result<(StepNumbers, f64), TrainError> {
        let accuracy = match step.checked_sub(self.samples) {
            None => self.sample(state, task, target, seed, step)?,
            Some(place) => {
                let finalists = self.finalists(&state.samples, target);
                // There may be fewer networks within the target than finalists.
                let Some(finalist) = finalists.get(place as usize) else { return Ok((StepNumbers::default(), 0.0)) };
                let accuracy = task.accuracy_alone(&finalist.choices, &self.final_training, step)?;
                state.finals.push(accuracy);
                accuracy
            }
        };
        let correct = (accuracy * 1e6).round() as usize;
        Ok((StepNumbers { subnets: 1, images: 1_000_000, correct, ..StepNumbers::default() }, 0.0))
    }

    fn answer(
        &self,
        state: &MnasState,
        _: &mut dyn SearchTask,
        target: &SearchTarget,
    ) -> Result<Vec<usize>, TrainError> {
        let finalists = self.finalists(&state.samples, target);
        let best =
            (0..state.finals.len()).fold(0, |best, i| if state.finals[i] > state.finals[best] { i } else { best });
        Ok(finalists[best].choices.clone())
    }

    fn records<'a>(&self, state: &'a MnasState) -> &'a [SearchRecord] {
        &state.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_by_hand() {
        let target = SearchTarget { limit: 2.0, unit: "ms".into() };
        let sample = |cost| Sample { choices: vec![0], accuracy: 0.8, cost };
        let method = MnasNet::published();
        assert!((method.reward(&sample(2.0), &target) - 0.8).abs() < 1e-12);
        // Twice the latency costs 5 %.
        assert!((method.reward(&sample(4.0), &target) / 0.8 - 0.9526).abs() < 1e-4);
        let hard = MnasNet { exponents: [0.0, -1.0], ..method };
        assert_eq!((hard.reward(&sample(1.0), &target), hard.reward(&sample(4.0), &target)), (0.8, 0.4));
    }

    #[test]
    fn finalists_are_different_networks_within_the_target() {
        let target = SearchTarget { limit: 2.0, unit: "ms".into() };
        let sample = |choice, accuracy, cost| Sample { choices: vec![choice], accuracy, cost };
        let samples =
            [sample(0, 0.7, 1.0), sample(1, 0.9, 3.0), sample(2, 0.8, 2.0), sample(2, 0.8, 2.0), sample(3, 0.6, 1.0)];
        let method = MnasNet { finalists: 2, ..MnasNet::published() };
        let choices = |samples: &[Sample]| -> Vec<usize> {
            method.finalists(samples, &target).iter().map(|sample| sample.choices[0]).collect()
        };
        assert_eq!(choices(&samples), [2, 0]);
        assert_eq!(choices(&samples[1..2]), [1], "the cheapest where none is within the target");
    }
}
