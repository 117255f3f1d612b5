//! [`Controller`]: proposes networks and learns from their rewards.

use super::distribution::draw;
use super::lstm::{Lstm, Rollout};
use super::{AdamConfig, adam::Adam};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Settings of a [`Controller`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControllerConfig {
    /// Hidden values of its LSTM; at least 1.
    pub hidden: usize,
    /// Samples per update; at least 1.
    pub batch: usize,
    /// Passes over the samples of an update; at least 1.
    pub passes: usize,
    /// How far the ratio of new to old probabilities may move from 1 in an update; above 0 and below 1.
    pub clip: f64,
    /// Share of the old baseline that stays in each update of the moving baseline; at least 0 and below 1.
    pub baseline_decay: f64,
    /// Weight of the entropy of the probabilities, which delays certainty; at least 0.
    pub entropy: f64,
    /// Optimizer.
    pub optimizer: AdamConfig,
}

impl ControllerConfig {
    /// PPO with clip 0.2, as MnasNet (arXiv:1807.11626, section 4.2 names PPO and no numbers; Schulman et al. 2017
    /// clip at 0.2). The other numbers are ours.
    pub fn ppo() -> Self {
        Self {
            hidden: 64,
            batch: 10,
            passes: 4,
            clip: 0.2,
            baseline_decay: 0.9,
            entropy: 0.002,
            optimizer: AdamConfig { learning_rate: 1e-3, betas: [0.9, 0.999], weight_decay: 0.0 },
        }
    }

    /// The first impossible value, if any.
    pub fn problem(&self) -> Option<String> {
        let Self { hidden, batch, passes, clip, baseline_decay, entropy, optimizer } = *self;
        if hidden.min(batch).min(passes) == 0 {
            return Some(format!(
                "its controller has {hidden} hidden values, {batch} samples and {passes} passes per update, but needs at \
                 least 1"
            ));
        }
        if !(clip > 0.0 && clip < 1.0) {
            return Some(format!("its controller's clip is {clip}, but must be above 0 and below 1"));
        }
        if !((0.0..1.0).contains(&baseline_decay) && entropy >= 0.0 && entropy.is_finite()) {
            return Some(format!(
                "its controller's baseline decay is {baseline_decay} and its entropy weight {entropy}, but they must be \
                 at least 0, and the first below 1"
            ));
        }
        optimizer.problem()
    }
}

/// An LSTM that draws networks choice by choice and is trained by PPO (Schulman et al., 2017) with a moving baseline.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    config: ControllerConfig,
    /// Options of each group.
    sizes: Vec<usize>,
    parameters: Vec<f64>,
    adam: Adam,
    baseline: Option<f64>,
    /// Samples of the next update.
    samples: Vec<Rewarded>,
}

/// A network that was drawn.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rewarded {
    choices: Vec<usize>,
    /// Whether each choice has an effect.
    in_use: Vec<bool>,
    reward: f64,
}

impl Controller {
    /// A controller of groups with these numbers of options, that draws nearly uniformly at first; `rng` draws its
    /// parameters.
    pub fn new(config: ControllerConfig, sizes: Vec<usize>, rng: &mut dyn Rng) -> Self {
        let parameters = Lstm::new(config.hidden, sizes.clone()).init(rng);
        Self { config, sizes, parameters, adam: Adam::default(), baseline: None, samples: Vec::new() }
    }

    fn lstm(&self) -> Lstm {
        Lstm::new(self.config.hidden, self.sizes.clone())
    }

    /// Draws a network: an index per group.
    pub fn propose(&self, rng: &mut dyn Rng) -> Vec<usize> {
        self.lstm().run(&self.parameters, |_, probabilities| draw(probabilities, rng)).choices
    }

    /// Learns that a network drawn since the last update earned `reward`; `in_use` says which of its choices have an
    /// effect. Every `batch` samples, it is updated.
    pub fn tell(&mut self, choices: Vec<usize>, in_use: Vec<bool>, reward: f64) {
        self.samples.push(Rewarded { choices, in_use, reward });
        if self.samples.len() < self.config.batch {
            return;
        }
        let samples = std::mem::take(&mut self.samples);
        let mean = samples.iter().map(|sample| sample.reward).sum::<f64>() / samples.len() as f64;
        let decay = self.config.baseline_decay;
        let baseline = self.baseline.map_or(mean, |before| decay * before + (1.0 - decay) * mean);
        self.baseline = Some(baseline);
        let lstm = self.lstm();
        let old: Vec<Rollout> =
            samples.iter().map(|sample| lstm.run(&self.parameters, |t, _| sample.choices[t])).collect();
        // In units of their own size, so that settings do not depend on the scale of rewards.
        let squares =
            samples.iter().map(|Rewarded { reward, .. }| (reward - baseline) * (reward - baseline)).sum::<f64>();
        let scale = (squares / samples.len() as f64).sqrt().max(1e-8);
        for _ in 0..self.config.passes {
            let mut gradient = vec![0.0; self.parameters.len()];
            for (Rewarded { choices, in_use, reward }, old) in samples.iter().zip(&old) {
                let now = lstm.run(&self.parameters, |t, _| choices[t]);
                let of_logits = self.slopes(in_use, old, &now, (reward - baseline) / scale, samples.len());
                lstm.add_gradient(&self.parameters, &now, &of_logits, &mut gradient);
            }
            self.adam.step(&self.config.optimizer, &mut self.parameters, gradient);
        }
    }

    /// Derivative of the loss by the logits of each step. Choices of blocks that do not exist do not count.
    fn slopes(&self, in_use: &[bool], old: &Rollout, now: &Rollout, advantage: f64, samples: usize) -> Vec<Vec<f64>> {
        let share = 1.0 / samples as f64;
        let of_step = |t: usize, counts: bool| -> Vec<f64> {
            let (probabilities, choice) = (&now.probabilities[t], now.choices[t]);
            if !counts {
                return vec![0.0; probabilities.len()];
            }
            let ratio = probabilities[choice] / old.probabilities[t][choice];
            // Clipped where the objective would gain by moving further.
            let is_clipped =
                if advantage > 0.0 { ratio > 1.0 + self.config.clip } else { ratio < 1.0 - self.config.clip };
            let pull = if is_clipped { 0.0 } else { advantage * ratio };
            let entropy: f64 = -probabilities.iter().map(|p| p * libm::log(p.max(f64::MIN_POSITIVE))).sum::<f64>();
            let slope = |(i, p): (usize, &f64)| {
                let toward = f64::from(u8::from(i == choice)) - p;
                let certain = p * (libm::log(p.max(f64::MIN_POSITIVE)) + entropy);
                share * (self.config.entropy * certain - pull * toward)
            };
            probabilities.iter().enumerate().map(slope).collect()
        };
        in_use.iter().enumerate().map(|(t, counts)| of_step(t, *counts)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ofa_model::{ChoiceGroups, SearchSpace};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn groups() -> ChoiceGroups {
        ChoiceGroups::new(&SearchSpace::small_mobilenet_v3(1, 10), 28).unwrap()
    }

    #[test]
    fn slopes_are_those_of_the_clipped_objective() {
        let (groups, rng) = (groups(), &mut ChaCha8Rng::seed_from_u64(1));
        let config = ControllerConfig { entropy: 0.1, ..ControllerConfig::ppo() };
        let controller = Controller::new(config, groups.sizes(), rng);
        let rollout = |probabilities: [f64; 3], choice| {
            let mut rollout = controller.lstm().run(&controller.parameters, |_, _| 0);
            rollout.probabilities[0] = probabilities.into();
            rollout.choices[0] = choice;
            rollout
        };
        let old = rollout([0.3, 0.3, 0.4], 1);
        let in_use = groups.in_use(&old.choices);
        for (logits, advantage, moves) in
            [([0.0, 0.1, 0.0], 1.0, true), ([0.0, 1.5, 0.0], 1.0, false), ([0.0, -1.5, 0.0], -1.0, false)]
        {
            let at = |logits: [f64; 3]| super::super::distribution::softmax(&logits);
            let value = |logits: [f64; 3]| {
                let p = at(logits);
                let ratio = p[1] / 0.3;
                let clipped = ratio.clamp(0.8, 1.2);
                let entropy: f64 = -p.iter().map(|p| p * libm::log(*p)).sum::<f64>();
                -(advantage * ratio).min(advantage * clipped) - 0.1 * entropy
            };
            let p = at(logits);
            let found = &controller.slopes(&in_use, &old, &rollout([p[0], p[1], p[2]], 1), advantage, 1)[0];
            for i in 0..3 {
                let moved = |step: f64| {
                    let mut changed = logits;
                    changed[i] += step;
                    value(changed)
                };
                let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((difference - found[i]).abs() < 1e-6, "{logits:?} {i}: {difference} {}", found[i]);
            }
            let without = Controller { config: ControllerConfig { entropy: 0.0, ..config }, ..controller.clone() };
            let slopes = &without.slopes(&in_use, &old, &rollout([p[0], p[1], p[2]], 1), advantage, 1)[0];
            assert_eq!(slopes.iter().any(|slope| *slope != 0.0), moves);
        }
    }

    #[test]
    fn what_is_rewarded_becomes_probable() {
        let (groups, rng) = (groups(), &mut ChaCha8Rng::seed_from_u64(2));
        let mut controller = Controller::new(ControllerConfig::ppo(), groups.sizes(), rng);
        let reward = |choices: &[usize]| choices.iter().filter(|choice| **choice == 1).count() as f64;
        let mean = |controller: &Controller, rng: &mut ChaCha8Rng| {
            (0..200).map(|_| reward(&controller.propose(rng))).sum::<f64>() / 200.0
        };
        let before = mean(&controller, rng);
        for _ in 0..400 {
            let choices = controller.propose(rng);
            let reward = reward(&choices);
            let in_use = groups.in_use(&choices);
            controller.tell(choices, in_use, reward);
        }
        let after = mean(&controller, rng);
        assert!(before < 3.5 && after > before + 3.0, "{before} {after}");
    }
}
