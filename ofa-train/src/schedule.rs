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
    /// What the learning rate falls to zero over.
    #[serde(default, skip_serializing_if = "Annealing::is_default")]
    pub annealing: Annealing,
    /// The stages, first to last.
    pub stages: Vec<ShrinkStage>,
}

/// What the cosine of the learning rate spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Annealing {
    /// Every stage by itself, as in the paper.
    #[default]
    Stage,
    /// All stages behind the last that becomes the teacher together (all stages, if none does): warm-up of the first of
    /// them, then one cosine to the end of the schedule, times the learning rate of each stage. Stages up to the teacher
    /// have their own.
    Schedule,
}

impl Annealing {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
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
        scale * self.rate_at_reference(stage, step, steps_per_epoch)
    }

    fn rate_at_reference(&self, stage: usize, step: usize, steps_per_epoch: usize) -> f64 {
        let first = self.stages.iter().rposition(|stage| stage.becomes_teacher).map_or(0, |teacher| teacher + 1);
        if self.annealing == Annealing::Stage || stage < first {
            return self.stages[stage].learning_rate_at(step, steps_per_epoch);
        }
        let before = self.epochs_before(stage) - self.epochs_before(first);
        let joined = ShrinkStage {
            epochs: self.epochs() - self.epochs_before(first),
            warmup_epochs: self.stages[first].warmup_epochs,
            learning_rate: self.stages[stage].learning_rate,
            ..self.stages[stage].clone()
        };
        joined.learning_rate_at(before * steps_per_epoch + step, steps_per_epoch)
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

    #[test]
    fn the_stages_behind_the_teacher_can_share_one_cosine() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let mut schedule = ShrinkSchedule::progressive_shrinking(&space, &ShrinkRecipe::iclr2020());
        let teacher = schedule.learning_rate_at(0, 500, 100, 64);
        schedule.annealing = Annealing::Schedule;
        for stage in &mut schedule.stages[1..] {
            stage.learning_rate = 0.1;
        }
        let rate = |stage, step| schedule.learning_rate_at(stage, step, 100, 64);
        assert_eq!(rate(0, 500), teacher);
        // 425 epochs behind the teacher, five of them warm-up, which later stages have no more of.
        assert_eq!((rate(1, 0), rate(1, 500)), (0.1 / 500.0, 0.1));
        assert!((rate(3, 6_000) - 0.05).abs() < 1e-3, "half-way, without a jump: {}", rate(3, 6_000));
        assert!((rate(2, 0) - rate(1, 12_499)).abs() < 1e-4 && rate(5, 12_499) < 1e-8);
        // Where no stage becomes the teacher, all share it.
        schedule.stages.remove(0);
        assert_eq!(schedule.learning_rate_at(0, 500, 100, 64), 0.1);
        // A schedule of the paper is written as it always was: checkpoints hash it.
        let paper = ShrinkSchedule::progressive_shrinking(&space, &ShrinkRecipe::iclr2020());
        assert!(!serde_json::to_string(&paper).unwrap().contains("annealing"));
    }
}
