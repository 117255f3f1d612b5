//! [`FbNet`]: differentiable search with Gumbel softmax.

use super::distribution::{draw, gumbel, softmax, softmax_gradient};
use super::latency_loss::in_small_units;
use super::{AdamConfig, LatencyLoss, SearchMethod, SearchRecord, SearchTarget, SearchTask, WeightRates, adam::Adam};
use crate::{StepNumbers, TrainError};
use ofa_data::random::{Purpose, stream};
use ofa_model::{ChoiceGroups, Mixture};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// FBNet (Wu et al., CVPR 2019, arXiv:1812.03443): all choices run at once, weighted by a Gumbel softmax whose
/// temperature falls. In each epoch, weights learn on the training images, then the parameters of choices on held-out
/// ones.
///
/// Its loss does not know a target, and `alpha` only scales it: `beta` decides how much latency counts. So the search
/// runs once per value of `betas`, each time from new weights, and all rounds are charged. At the end of a round, some
/// networks are drawn; of those within the target, the one with the highest held-out accuracy under the shared weights
/// is kept (the paper trains each alone, without saying how it chooses).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FbNet {
    /// The training of weights in each round.
    pub weights: WeightRates,
    /// Epochs at the beginning of a round in which only weights learn.
    pub warmup_epochs: usize,
    /// The optimizer of the parameters of choices.
    pub choices: AdamConfig,
    /// Temperature of the first and of the last epoch, between which it falls exponentially; positive.
    pub temperatures: [f64; 2],
    /// Scale of the loss; positive.
    pub alpha: f64,
    /// Weight of the latency in each round; at least 0, and at least one.
    pub betas: Vec<f64>,
    /// Networks drawn at the end of a round; at least 1.
    pub drawn: usize,
}

/// What FBNet learns besides weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FbState {
    parameters: Vec<Vec<f64>>,
    adam: Adam,
    /// Sum of losses since the last record, and their number.
    loss: [f64; 2],
    /// The best network of earlier rounds and its accuracy.
    best: Option<(Vec<usize>, f64)>,
    records: Vec<SearchRecord>,
}

impl FbNet {
    /// The settings of the paper for ImageNet, with the `beta` of its models; a scan has others too.
    pub fn published() -> Self {
        Self {
            weights: WeightRates { epochs: 90, learning_rate: 0.1, batch_size: 192, weight_decay: 1e-4 },
            warmup_epochs: 10,
            choices: AdamConfig { learning_rate: 0.01, betas: [0.9, 0.999], weight_decay: 5e-4 },
            // Times 0.956 per epoch.
            temperatures: [5.0, 5.0 * libm::pow(0.956, 89.0)],
            alpha: 0.2,
            betas: vec![0.6],
            drawn: 6,
        }
    }

    fn temperature(&self, epoch: u64) -> f64 {
        let [first, last] = self.temperatures;
        let progress = epoch as f64 / (self.weights.epochs.max(2) - 1) as f64;
        first * libm::pow(last / first, progress)
    }

    fn steps_of_round(&self, task: &dyn SearchTask) -> u64 {
        let learning = self.weights.epochs.saturating_sub(self.warmup_epochs) as u64;
        self.weights.epochs as u64 * task.batches() + learning * task.held_out_batches()
    }

    /// Epoch of a step within a round, and its place within the epoch.
    fn place(&self, step: u64, task: &dyn SearchTask) -> [u64; 2] {
        let warmup = self.warmup_epochs.min(self.weights.epochs) as u64;
        let (short, long) = (task.batches(), task.batches() + task.held_out_batches());
        match step.checked_sub(warmup * short) {
            None => [step / short, step % short],
            Some(rest) => [warmup + rest / long, rest % long],
        }
    }

    fn learn_choices(
        &self,
        state: &mut FbState,
        task: &mut dyn SearchTask,
        target: &SearchTarget,
        [round, batch]: [u64; 2],
        (weights, temperature): (Vec<Vec<f64>>, f64),
    ) -> Result<StepNumbers, TrainError> {
        let judged = task.judge(&Mixture::all(&weights), batch)?;
        let (costs, unit) = in_small_units(task.costs());
        let loss = LatencyLoss::MultiplyLog { alpha: self.alpha, beta: self.betas[round as usize] };
        let (value, [by_entropy, by_cost]) = loss.of(judged.loss, costs.expected(&weights), target.limit * unit);
        let of_cost = costs.gradient(&weights);
        let gradient = weights.iter().zip(&of_cost).enumerate().map(|(group, (weights, of_cost))| {
            // A group with a single choice has no gate.
            let of_gate = |choice: usize| judged.gradients[group].get(choice).copied().unwrap_or_default();
            let by_weight = of_cost.iter().enumerate();
            let by_weight: Vec<f64> =
                by_weight.map(|(choice, of_cost)| by_entropy * of_gate(choice) + by_cost * of_cost).collect();
            softmax_gradient(weights, &by_weight).into_iter().map(|slope| slope / temperature).collect::<Vec<_>>()
        });
        let gradient: Vec<f64> = gradient.flatten().collect();
        state.adam.step(&self.choices, state.parameters.iter_mut().flatten(), gradient);
        Ok(StepNumbers { subnets: 1, images: task.batch_size(), loss: value, ..StepNumbers::default() })
    }

    /// Draws networks at the end of a round and keeps the best, if it is better than those before.
    fn finish_round(
        &self,
        state: &mut FbState,
        task: &mut dyn SearchTask,
        target: &SearchTarget,
        rng: &mut dyn Rng,
    ) -> Result<(), TrainError> {
        let probabilities: Vec<Vec<f64>> = state.parameters.iter().map(|group| softmax(group)).collect();
        let most_probable = task.costs().most_probable(&probabilities, target.limit);
        let mut drawn = vec![most_probable.expect("the target was checked against the cheapest network")];
        for _ in 0..self.drawn {
            let network: Vec<usize> = probabilities.iter().map(|group| draw(group, rng)).collect();
            if task.costs().of(&network) <= target.limit && !drawn.contains(&network) {
                drawn.push(network);
            }
        }
        for network in drawn {
            let accuracy = task.accuracy(&network)?;
            if state.best.as_ref().is_none_or(|(_, best)| accuracy > *best) {
                state.best = Some((network, accuracy));
            }
        }
        Ok(())
    }
}

impl SearchMethod for FbNet {
    type State = FbState;

    fn name(&self) -> &'static str {
        "FBNet"
    }

    fn problem(&self) -> Option<String> {
        if let Some(temperature) = self.temperatures.iter().find(|value| !(**value > 0.0 && value.is_finite())) {
            return Some(format!("a temperature is {temperature}, but must be positive"));
        }
        if self.betas.is_empty() || self.drawn == 0 {
            let (rounds, drawn) = (self.betas.len(), self.drawn);
            return Some(format!("it has {rounds} values of beta and draws {drawn} networks, but needs at least 1"));
        }
        let losses = self.betas.iter().map(|&beta| LatencyLoss::MultiplyLog { alpha: self.alpha, beta });
        self.weights
            .problem()
            .or_else(|| self.choices.problem())
            .or_else(|| losses.into_iter().find_map(|loss| loss.problem()))
    }

    fn begin(&self, groups: &ChoiceGroups, _: u64) -> FbState {
        let (adam, loss) = (Adam::default(), [0.0; 2]);
        FbState { parameters: groups.filled(0.0), adam, loss, best: None, records: Vec::new() }
    }

    fn steps(&self, task: &dyn SearchTask) -> u64 {
        self.betas.len() as u64 * self.steps_of_round(task)
    }

    fn step(
        &self,
        state: &mut FbState,
        task: &mut dyn SearchTask,
        target: &SearchTarget,
        seed: u64,
        step: u64,
    ) -> Result<(StepNumbers, f64), TrainError> {
        let (of_round, batches) = (self.steps_of_round(task), task.batches());
        let (round, step) = (step / of_round, step % of_round);
        if step == 0 {
            task.restart(round, self.weights.weight_decay);
            (state.parameters, state.adam) = (task.costs().groups().filled(0.0), Adam::default());
        }
        let rng = &mut stream(seed, Purpose::Gates, &[round, step]);
        let [epoch, place] = self.place(step, task);
        let temperature = self.temperature(epoch);
        let noisy = |group: &Vec<f64>, rng: &mut dyn Rng| {
            let logits: Vec<f64> = group.iter().map(|value| (value + gumbel(rng)) / temperature).collect();
            softmax(&logits)
        };
        let weights: Vec<Vec<f64>> = state.parameters.iter().map(|group| noisy(group, rng)).collect();
        let (numbers, rate) = if place < batches {
            let batch = epoch * batches + place;
            let rate = self.weights.at(batch, self.weights.epochs as u64 * batches, task.batch_size());
            let numbers = task.learn(&Mixture::all(&weights), batch, rate)?;
            state.loss = [state.loss[0] + numbers.loss, state.loss[1] + 1.0];
            (numbers, rate)
        } else {
            let batch = (epoch - self.warmup_epochs as u64) * task.held_out_batches() + place - batches;
            let numbers = self.learn_choices(state, task, target, [round, batch], (weights, temperature))?;
            (numbers, self.choices.learning_rate)
        };
        if step + 1 == of_round || self.place(step + 1, task)[0] > epoch {
            let [sum, count] = std::mem::take(&mut state.loss);
            let probabilities: Vec<Vec<f64>> = state.parameters.iter().map(|group| softmax(group)).collect();
            let done = round * of_round + step + 1;
            state.records.push(SearchRecord::of_epoch(done, sum / count, &probabilities, task));
        }
        if step + 1 == of_round {
            self.finish_round(state, task, target, &mut stream(seed, Purpose::Choices, &[round, 0]))?;
        }
        Ok((numbers, rate))
    }

    fn answer(&self, state: &FbState, _: &mut dyn SearchTask, _: &SearchTarget) -> Result<Vec<usize>, TrainError> {
        let (network, _) = state.best.as_ref().expect("each round ends with a network");
        Ok(network.clone())
    }

    fn records<'a>(&self, state: &'a FbState) -> &'a [SearchRecord] {
        &state.records
    }
}
