//! Fine-tuning of one extracted subnet.

use crate::step::step;
use crate::teacher::check_teacher;
use crate::train::check_labels;
use crate::weights::are_finite;
use crate::{Recipe, SoftTargets, StepKey, StepOutput, StepRules, Teaching, TrainError, gradients, teacher_logits};
use burn::tensor::{Device, Tensor};
use ofa_data::{ImageBatch, Loader};
use ofa_model::{ElasticNetwork, FixedNetwork, Statistics, in_pool};
use serde::{Deserialize, Serialize};

/// Phase index for the dropout masks of fine-tuning, which has no phase.
const PHASE: usize = usize::MAX;

/// How long and how fast a subnet is fine-tuned.
///
/// The papers fine-tune for 25 and 75 epochs but give no recipe. Ours is the training recipe with a small learning rate
/// that decays to zero along a cosine, and with the full network as the teacher. Two settings of the training recipe
/// are ignored: the moving average of the weights, because the last steps, at a learning rate near zero, already act as
/// an average, and `zero_last_gamma`, because the weights already exist.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FineTune {
    /// Passes over the training images; 0 leaves the subnet unchanged.
    pub epochs: usize,
    /// Learning rate of the first step; finite and not negative.
    pub learning_rate: f64,
    /// Weight of the distillation term; finite and not negative.
    pub distillation_weight: f64,
}

impl FineTune {
    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`TrainError::InvalidRecipe`] names the key and the value.
    pub fn validate(&self) -> Result<(), TrainError> {
        let values = [
            ("fine_tune.learning_rate", self.learning_rate),
            ("fine_tune.distillation_weight", self.distillation_weight),
        ];
        match values.into_iter().find(|(_, value)| !(*value >= 0.0 && value.is_finite())) {
            Some((key, value)) => Err(TrainError::InvalidRecipe { key, value, expected: "finite and not negative" }),
            None => Ok(()),
        }
    }

    /// Learning rate of step `step` (from 0) out of `steps`.
    fn learning_rate_at(&self, step: usize, steps: usize) -> f64 {
        0.5 * self.learning_rate * (1.0 + libm::cos(std::f64::consts::PI * step as f64 / steps as f64))
    }

    /// Rules of step `step` (from 0).
    fn rules(&self, recipe: &Recipe, teacher: Option<Tensor<2>>, seed: u64, step: usize) -> StepRules<'static> {
        let soft = SoftTargets { weight: self.distillation_weight, ..SoftTargets::default() };
        let teaching = teacher.map_or(Teaching::None, |logits| Teaching::Logits(logits, soft));
        recipe.rules(teaching, seed, StepKey { phase: PHASE, step: step as u64 })
    }
}

/// Fine-tunes `subnet` at its own resolution; `seed` seeds dropout. Calibrate its batch-norm statistics again
/// afterwards, unless it is [`StraightThrough`](ofa_model::StraightThrough), which is how a network learns to compute in
/// 8-bit integers.
///
/// # Errors
///
/// If the configuration or the recipe is invalid, the device does not support its precision, the subnet has too few classes
/// for the labels, the teacher does not fit the images, or an image cannot be read; [`TrainError::NonFiniteFineTuning`] if the loss or the weights become
/// non-finite.
pub fn fine_tune<S: FixedNetwork>(
    subnet: S,
    teacher: Option<&impl ElasticNetwork>,
    config: &FineTune,
    recipe: &Recipe,
    loader: &Loader,
    seed: u64,
    device: &Device,
) -> Result<S, TrainError> {
    config.validate()?;
    recipe.validate()?;
    recipe.precision.check(device)?;
    check_labels(loader, subnet.space().classes)?;
    let arch = subnet.arch().clone();
    let resolution = arch.resolution;
    if let Some(teacher) = teacher {
        check_teacher(teacher.space(), subnet.space(), &[resolution])?;
    }
    let mut subnet = subnet.train();
    let mut optimizer = recipe.optimizer();
    let steps = loader.batches_per_epoch();
    let total = config.epochs * steps;
    for epoch in 0..config.epochs {
        let mut batches = loader.epoch(epoch as u64, 0, move |_| resolution, device);
        for i in 0.. {
            let Some(batch) = batches.next() else { break };
            let (batch, done) = (batch?, epoch * steps + i);
            let opinion = teacher.map(|teacher| teacher_logits(teacher, batch.images.clone(), recipe.precision));
            let StepOutput { gradients, numbers } =
                fine_tune_step(&subnet, &batch, &config.rules(recipe, opinion, seed, done));
            let learning_rate = config.learning_rate_at(done, total);
            let gradients = gradients::clipped(gradients, &subnet, recipe.clip_norm);
            subnet = optimizer.step(learning_rate, subnet, gradients);
            // Read once the whole step is queued.
            batches.send_ahead();
            let loss = numbers.read().loss;
            if !loss.is_finite() || done + 1 == total && !are_finite(&subnet) {
                let (arch, epoch, step) = (arch.to_string(), epoch + 1, i + 1);
                return Err(TrainError::NonFiniteFineTuning { loss, arch, epoch, step, learning_rate });
            }
        }
    }
    Ok(subnet.valid())
}

fn fine_tune_step(subnet: &impl FixedNetwork, batch: &ImageBatch, rules: &StepRules) -> StepOutput {
    in_pool(|| {
        step(subnet, 1, subnet.space().classes, batch, rules, |subnet, _, images, features| {
            subnet.forward_with(images, &mut Statistics::Batch, features)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_values_are_named() {
        let good = FineTune { epochs: 1, learning_rate: 0.01, distillation_weight: 0.0 };
        good.validate().unwrap();
        let cases = [
            (FineTune { learning_rate: -0.1, ..good }, "fine_tune.learning_rate is -0.1, but must be finite"),
            (FineTune { learning_rate: f64::INFINITY, ..good }, "fine_tune.learning_rate is inf"),
            (FineTune { distillation_weight: f64::NAN, ..good }, "fine_tune.distillation_weight is NaN"),
        ];
        for (config, expected) in cases {
            let message = config.validate().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn the_learning_rate_falls_to_zero_by_a_cosine() {
        let config = FineTune { epochs: 1, learning_rate: 0.5, distillation_weight: 1.0 };
        assert_eq!(config.learning_rate_at(0, 100), 0.5);
        assert!((config.learning_rate_at(50, 100) - 0.25).abs() < 1e-12);
        assert!(config.learning_rate_at(99, 100) < 1e-3);
    }
}
