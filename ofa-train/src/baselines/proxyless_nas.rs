//! [`ProxylessNas`]: differentiable search with binary gates.

use super::distribution::{draw, draw_two, softmax, softmax_gradient};
use super::latency_loss::in_small_units;
use super::{AdamConfig, LatencyLoss, SearchMethod, SearchRecord, SearchTarget, SearchTask, WeightRates, adam::Adam};
use crate::{StepNumbers, TrainError};
use ofa_data::random::{Purpose, stream};
use ofa_model::{ChoiceGroups, Gate, Mixture};
use rand::Rng;
use rand_distr::{Distribution, Normal};
use serde::{Deserialize, Serialize};

/// ProxylessNAS (Cai, Zhu, Han, ICLR 2019, arXiv:1812.00332): one path is drawn to learn weights; every few steps, two
/// paths per group are drawn to learn the probabilities of choices on held-out images, so that no more than two are ever
/// in memory.
///
/// As in the authors' code, the expected latency is that of the two drawn paths, and the parameters of the others keep
/// their probabilities. Depth is a choice of its own here, where the code offers to skip single blocks. The network is
/// the most probable one; where that takes longer than the target, it is changed by
/// [`ChoiceCosts::most_probable`](ofa_model::ChoiceCosts::most_probable), a step that the paper does not have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxylessNas {
    /// Epochs that only train weights, on uniformly drawn paths, and the learning rate of their first step. The
    /// probabilities then also rest for the first epoch of the search.
    pub warmup_epochs: usize,
    /// Learning rate of the first step of the warm-up.
    pub warmup_rate: f64,
    /// The training of weights after the warm-up.
    pub weights: WeightRates,
    /// The optimizer of the parameters of choices.
    pub choices: AdamConfig,
    /// Steps of the weights per step of the choices; at least 1.
    pub weight_steps: usize,
    /// How latency enters the loss.
    pub latency: LatencyLoss,
}

/// Standard deviation of the initial parameters.
const DEVIATION: f64 = 1e-3;

/// What ProxylessNAS learns besides weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxylessState {
    parameters: Vec<Vec<f64>>,
    adam: Adam,
    /// Batches of held-out images seen.
    judged: u64,
    loss: f64,
    records: Vec<SearchRecord>,
}

impl ProxylessNas {
    /// The settings of the authors' code for ImageNet.
    pub fn published() -> Self {
        Self {
            warmup_epochs: 40,
            warmup_rate: 0.05,
            weights: WeightRates { epochs: 120, learning_rate: 0.025, batch_size: 256, weight_decay: 4e-5 },
            choices: AdamConfig { learning_rate: 1e-3, betas: [0.0, 0.999], weight_decay: 0.0 },
            weight_steps: 5,
            latency: LatencyLoss::MultiplyLog { alpha: 0.2, beta: 0.3 },
        }
    }

    /// Draws two choices per group: the gates, of which one is open, and the probabilities of the two.
    fn draw_pairs(parameters: &[Vec<f64>], rng: &mut dyn Rng) -> (Mixture, Vec<Vec<f64>>) {
        let mut pairs = Vec::new();
        let gates = parameters.iter().map(|parameters| {
            if parameters.len() == 1 {
                pairs.push(vec![1.0]);
                return Gate::only(0);
            }
            let pair = draw_two(&softmax(parameters), rng);
            let probabilities = softmax(&pair.map(|choice| parameters[choice]));
            let open = draw(&probabilities, rng);
            pairs.push(probabilities);
            Gate { choices: pair.to_vec(), weights: (0..2).map(|i| f64::from(u8::from(i == open))).collect() }
        });
        let gates = gates.collect();
        (Mixture { gates }, pairs)
    }

    fn learn_choices(
        &self,
        state: &mut ProxylessState,
        task: &mut dyn SearchTask,
        target: &SearchTarget,
        rng: &mut dyn Rng,
    ) -> Result<(), TrainError> {
        let (mixture, pairs) = Self::draw_pairs(&state.parameters, rng);
        let judged = task.judge(&mixture, state.judged)?;
        state.judged += 1;
        let (costs, unit) = in_small_units(task.costs());
        // The probabilities of the two drawn choices among all.
        let mut drawn = costs.groups().filled(0.0);
        for ((drawn, gate), pair) in drawn.iter_mut().zip(&mixture.gates).zip(&pairs) {
            gate.choices.iter().zip(pair).for_each(|(&choice, probability)| drawn[choice] = *probability);
        }
        let (_, [by_entropy, by_cost]) = self.latency.of(judged.loss, costs.expected(&drawn), target.limit * unit);
        let of_cost = costs.gradient(&drawn);
        let mut gradient = costs.groups().filled(0.0);
        for (group, (gate, pair)) in
            mixture.gates.iter().zip(&pairs).enumerate().filter(|(_, (_, pair))| pair.len() == 2)
        {
            let by_probability = (gate.choices.iter().zip(&judged.gradients[group]))
                .map(|(&choice, by_gate)| by_entropy * by_gate + by_cost * of_cost[group][choice])
                .collect::<Vec<_>>();
            let by_parameter = softmax_gradient(pair, &by_probability);
            gate.choices.iter().zip(by_parameter).for_each(|(&choice, slope)| gradient[group][choice] = slope);
        }
        let before = state.parameters.clone();
        let values = state.parameters.iter_mut().flatten();
        state.adam.step(&self.choices, values, gradient.into_iter().flatten());
        for ((after, before), gate) in state.parameters.iter_mut().zip(&before).zip(&mixture.gates) {
            keep_others(after, before, &gate.choices);
        }
        Ok(())
    }
}

/// Shifts the parameters of the drawn choices so that the probabilities of all others are as before.
fn keep_others(after: &mut [f64], before: &[f64], drawn: &[usize]) {
    let sum = |values: &[f64]| drawn.iter().map(|&choice| libm::exp(values[choice])).sum::<f64>();
    let offset = libm::log(sum(after) / sum(before));
    after.iter_mut().enumerate().for_each(|(choice, value)| {
        *value = if drawn.contains(&choice) { *value - offset } else { before[choice] };
    });
}

impl SearchMethod for ProxylessNas {
    type State = ProxylessState;

    fn name(&self) -> &'static str {
        "ProxylessNAS"
    }

    fn problem(&self) -> Option<String> {
        let rate = self.warmup_rate;
        if !(rate > 0.0 && rate.is_finite()) {
            return Some(format!("its learning rate in the warm-up is {rate}, but must be positive"));
        }
        if self.weight_steps == 0 {
            return Some("it takes 0 steps of the weights per step of the choices, but must take at least 1".into());
        }
        self.weights.problem().or_else(|| self.choices.problem()).or_else(|| self.latency.problem())
    }

    fn begin(&self, groups: &ChoiceGroups, seed: u64) -> ProxylessState {
        let mut rng = stream(seed, Purpose::Choices, &[0, 0]);
        let normal = Normal::new(0.0, DEVIATION).expect("the deviation is positive");
        let mut parameters = groups.filled(0.0);
        parameters.iter_mut().flatten().for_each(|value| *value = normal.sample(&mut rng));
        ProxylessState { parameters, adam: Adam::default(), judged: 0, loss: 0.0, records: Vec::new() }
    }

    fn steps(&self, task: &dyn SearchTask) -> u64 {
        (self.warmup_epochs + self.weights.epochs) as u64 * task.batches()
    }

    fn step(
        &self,
        state: &mut ProxylessState,
        task: &mut dyn SearchTask,
        target: &SearchTarget,
        seed: u64,
        step: u64,
    ) -> Result<(StepNumbers, f64), TrainError> {
        if step == 0 {
            task.restart(0, self.weights.weight_decay);
        }
        let rng = &mut stream(seed, Purpose::Gates, &[0, step]);
        let (batches, size) = (task.batches(), task.batch_size());
        let warmup = self.warmup_epochs as u64 * batches;
        let rate = match step.checked_sub(warmup) {
            None => WeightRates { learning_rate: self.warmup_rate, ..self.weights }.at(step, warmup, size),
            Some(searched) => self.weights.at(searched, self.weights.epochs as u64 * batches, size),
        };
        let path: Vec<usize> = state.parameters.iter().map(|group| draw(&softmax(group), rng)).collect();
        let numbers = task.learn(&Mixture::path(&path), step, rate)?;
        state.loss += numbers.loss / batches as f64;
        let in_epoch = step % batches;
        // A search of one epoch has no other in which to learn.
        let rests = step < warmup + if self.weights.epochs > 1 { batches } else { 0 };
        if !rests && (in_epoch + 1).is_multiple_of(self.weight_steps as u64) {
            self.learn_choices(state, task, target, rng)?;
        }
        if in_epoch + 1 == batches {
            let probabilities: Vec<Vec<f64>> = state.parameters.iter().map(|group| softmax(group)).collect();
            let loss = std::mem::take(&mut state.loss);
            state.records.push(SearchRecord::of_epoch(step + 1, loss, &probabilities, task));
        }
        Ok((numbers, rate))
    }

    fn answer(
        &self,
        state: &ProxylessState,
        task: &mut dyn SearchTask,
        target: &SearchTarget,
    ) -> Result<Vec<usize>, TrainError> {
        let probabilities: Vec<Vec<f64>> = state.parameters.iter().map(|group| softmax(group)).collect();
        let found = task.costs().most_probable(&probabilities, target.limit);
        Ok(found.expect("the target was checked against the cheapest network"))
    }

    fn records<'a>(&self, state: &'a ProxylessState) -> &'a [SearchRecord] {
        &state.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_keep_their_probabilities() {
        let before = [0.3, -0.2, 0.1, 0.5];
        let mut after = [0.9, -0.2, -0.6, 0.4];
        keep_others(&mut after, &before, &[0, 2]);
        let [old, new] = [softmax(&before), softmax(&after)];
        assert!((old[1] - new[1]).abs() < 1e-12 && (old[3] - new[3]).abs() < 1e-12, "{old:?} {new:?}");
        assert!((after[0] - after[2] - 1.5).abs() < 1e-12, "the two move against each other");
    }

    #[test]
    fn a_pair_has_one_open_gate_and_probabilities_of_its_own() {
        let rng = &mut stream(1, Purpose::Gates, &[0, 0]);
        for _ in 0..100 {
            let (mixture, pairs) = ProxylessNas::draw_pairs(&[vec![0.0, 1.0, 2.0], vec![0.0]], rng);
            let gate = &mixture.gates[0];
            assert!(gate.weights == [1.0, 0.0] || gate.weights == [0.0, 1.0]);
            assert!((pairs[0][0] + pairs[0][1] - 1.0).abs() < 1e-12);
            let odds = libm::exp(gate.choices[0] as f64 - gate.choices[1] as f64);
            assert!((pairs[0][0] / pairs[0][1] / odds - 1.0).abs() < 1e-9);
            assert_eq!(mixture.gates[1], Gate::only(0));
        }
    }
}
