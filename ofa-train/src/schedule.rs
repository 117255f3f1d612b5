//! [`ShrinkSchedule`]: training as a list of stages, as plain data.

mod check;
mod kind;
mod opened;
mod recipe;
mod scale;
mod trained;

pub use kind::ScheduleKind;
pub use opened::{ChoiceCounts, Opened};
pub use recipe::{Phase, ShrinkRecipe};

use crate::{Distillation, Sampler};
use ofa_model::Importance;
use serde::{Deserialize, Serialize};

/// Stages trained one after another on the same weights.
///
/// Nothing in it is tied to one search space: a stage says how much of the supernet's space is [`Opened`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShrinkSchedule {
    /// Name used in messages and files.
    pub name: String,
    /// Images a step, over all ranks, that the learning rates are for; they grow in proportion to the real number.
    pub reference_batch_size: usize,
    /// The stages, first to last.
    pub stages: Vec<ShrinkStage>,
}

/// One stage: the space it samples from and how long and how fast it learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShrinkStage {
    /// Name used in messages and files.
    pub name: String,
    /// Passes over the training images.
    pub epochs: usize,
    /// Learning rate after warm-up, at the reference batch size of the schedule.
    pub learning_rate: f64,
    /// Epochs of linear warm-up; a cosine to zero follows.
    pub warmup_epochs: f64,
    /// Subnets whose gradients are summed in every step.
    pub subnets_per_step: usize,
    /// Whether channels are sorted before the stage, and by what importance. They stay within the widths that the stages
    /// before it opened, whose subnets are trained; before the first stage of a schedule these are taken for all that it
    /// opens but the narrowest expand ratio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_channels: Option<Importance>,
    /// Whether the matrices between kernel sizes stay what they are: the identity, where nothing has trained them, so that
    /// a smaller kernel is the centre of the larger one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fixed_kernel_transforms: bool,
    /// Whether the largest subnet at the end of the stage becomes the teacher of later stages; the stage must open it.
    #[serde(default)]
    pub becomes_teacher: bool,
    /// The choices that are open.
    pub opened: Opened,
    /// Which of the open subnets a step trains.
    #[serde(default)]
    pub sampler: Sampler,
    /// What they learn from besides labels.
    #[serde(default)]
    pub distillation: Distillation,
}

impl ShrinkSchedule {
    /// Sum of epochs over all stages.
    pub fn epochs(&self) -> usize {
        self.epochs_before(self.stages.len())
    }

    /// Epochs before stage `stage`.
    pub fn epochs_before(&self, stage: usize) -> usize {
        self.stages[..stage].iter().map(|stage| stage.epochs).sum()
    }

    /// Epochs times subnets a step, over all stages: what training costs, in passes of a subnet over the images.
    pub fn subnet_epochs(&self) -> usize {
        self.stages.iter().map(ShrinkStage::subnet_epochs).sum()
    }

    /// Learning rate of step `step` (from 0) of stage `stage`, at `batch_size` images a step over all ranks.
    pub fn learning_rate_at(&self, stage: usize, step: usize, steps_per_epoch: usize, batch_size: usize) -> f64 {
        let scale = batch_size as f64 / self.reference_batch_size as f64;
        scale * self.stages[stage].learning_rate_at(step, steps_per_epoch)
    }
}

impl ShrinkStage {
    /// A stage that trains uniformly drawn subnets of what is opened on labels alone.
    pub fn new(name: impl Into<String>, phase: &Phase, opened: Opened) -> Self {
        Self {
            name: name.into(),
            epochs: phase.epochs,
            learning_rate: phase.learning_rate,
            warmup_epochs: phase.warmup_epochs,
            subnets_per_step: phase.subnets_per_step,
            sort_channels: None,
            fixed_kernel_transforms: false,
            becomes_teacher: false,
            opened,
            sampler: Sampler::Uniform,
            distillation: Distillation::None,
        }
    }

    /// Epochs times subnets a step.
    pub fn subnet_epochs(&self) -> usize {
        self.epochs * self.subnets_per_step
    }

    /// Learning rate of step `step` (from 0) of `steps_per_epoch * epochs` at the reference batch size: linear warm-up from
    /// zero, then a cosine to zero.
    ///
    /// A departure: the original's code warms up from a `warmup_lr`, which its script sets to the rate of one GPU, 1/32 of
    /// the one that is reached there.
    pub fn learning_rate_at(&self, step: usize, steps_per_epoch: usize) -> f64 {
        let total = (steps_per_epoch * self.epochs) as f64;
        let warmup = (self.warmup_epochs * steps_per_epoch as f64).round();
        let step = step as f64;
        if step < warmup {
            return self.learning_rate * (step + 1.0) / warmup;
        }
        let progress = (step - warmup) / (total - warmup).max(1.0);
        0.5 * self.learning_rate * (1.0 + libm::cos(std::f64::consts::PI * progress))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ofa_model::SearchSpace;

    #[test]
    fn learning_rate_warms_up_and_falls_to_zero() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let recipe = ShrinkRecipe { reference_batch_size: 32, ..ShrinkRecipe::iclr2020() };
        let schedule = ShrinkSchedule::progressive_shrinking(&space, &recipe);
        // Kernel stage: 5 epochs of warm-up, 120 of cosine.
        let rate = |step| schedule.learning_rate_at(1, step, 100, 64) / 2.0;
        assert_eq!(rate(0), 0.03 / 500.0);
        assert_eq!(rate(499), 0.03);
        assert_eq!(rate(500), 0.03);
        assert!((rate(6500) - 0.015).abs() < 1e-12, "half-way of the cosine");
        assert!(rate(12_499) < 1e-8 && rate(12_499) > 0.0);
    }
}
