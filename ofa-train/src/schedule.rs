//! [`Schedule`]: training as plain data, a list of phases.

mod check;
mod kind;
mod opened;
mod recipe;
mod scale;
mod trained;

pub use kind::ScheduleKind;
pub use opened::{ChoiceCounts, Opened};
pub use recipe::{PhaseRecipe, ScheduleRecipe};

use crate::{Distillation, Sampler};
use ofa_model::Importance;
use serde::{Deserialize, Serialize};

/// Phases trained one after another on the same weights.
///
/// A schedule is not tied to a search space: each phase says how much of the supernet's space is [`Opened`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Name for messages and files.
    pub name: String,
    /// Images per step, over all ranks, that the learning rates are tuned for; they scale linearly with the actual
    /// number.
    pub reference_batch_size: usize,
    /// Span over which the learning rate decays to zero.
    #[serde(default, skip_serializing_if = "Annealing::is_default")]
    pub annealing: Annealing,
    /// Phases of the training, first to last. Written as `stages`.
    #[serde(rename = "stages")]
    pub phases: Vec<Phase>,
}

/// Span of the learning-rate cosine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Annealing {
    /// One cosine per phase, as in the paper.
    #[default]
    #[serde(rename = "stage")]
    Phase,
    /// One cosine for all phases after the last one that becomes the teacher (all phases if none does), scaled by the
    /// learning rate of each phase. It starts with the warm-up of the first of them and runs to the end of the
    /// schedule. Phases up to the teacher have their own cosines.
    Schedule,
}

impl Annealing {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One phase: the space it samples from, and how long and how fast it learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Name for messages and files.
    pub name: String,
    /// Passes over the training images.
    pub epochs: usize,
    /// Learning rate after warm-up, at the reference batch size of the schedule.
    pub learning_rate: f64,
    /// Epochs of linear warm-up, followed by a cosine to zero.
    pub warmup_epochs: f64,
    /// Subnets per step; their gradients are summed.
    pub subnets_per_step: usize,
    /// Importance by which channels are sorted before the phase; `None` leaves their order. Channels stay within the
    /// widths that earlier phases opened, whose subnets are trained. For the first phase, these default to all it opens
    /// except the narrowest expand ratio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_channels: Option<Importance>,
    /// Whether the matrices between kernel sizes are frozen. If never trained, they are the identity, so a smaller
    /// kernel is the centre of the larger one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fixed_kernel_transforms: bool,
    /// Whether the largest subnet becomes the teacher of later phases at the end of this one. The phase must open it.
    #[serde(default)]
    pub becomes_teacher: bool,
    /// Choices that are open.
    pub opened: Opened,
    /// Which of the open subnets each step trains.
    #[serde(default)]
    pub sampler: Sampler,
    /// What they learn from besides labels.
    #[serde(default)]
    pub distillation: Distillation,
}

impl Schedule {
    /// Total epochs over all phases.
    pub fn epochs(&self) -> usize {
        self.epochs_before(self.phases.len())
    }

    /// Total epochs of the phases before `phase` (from 0).
    pub fn epochs_before(&self, phase: usize) -> usize {
        self.phases[..phase].iter().map(|phase| phase.epochs).sum()
    }

    /// Total training cost, in passes of one subnet over the training images: epochs times subnets per step, summed
    /// over phases.
    pub fn subnet_epochs(&self) -> usize {
        self.phases.iter().map(Phase::subnet_epochs).sum()
    }

    /// Learning rate of step `step` (from 0) of phase `phase` (from 0), at `batch_size` images per step over all ranks.
    pub fn learning_rate_at(&self, phase: usize, step: usize, steps_per_epoch: usize, batch_size: usize) -> f64 {
        let scale = batch_size as f64 / self.reference_batch_size as f64;
        scale * self.rate_at_reference(phase, step, steps_per_epoch)
    }

    fn rate_at_reference(&self, phase: usize, step: usize, steps_per_epoch: usize) -> f64 {
        let first = self.phases.iter().rposition(|phase| phase.becomes_teacher).map_or(0, |teacher| teacher + 1);
        if self.annealing == Annealing::Phase || phase < first {
            return self.phases[phase].learning_rate_at(step, steps_per_epoch);
        }
        let before = self.epochs_before(phase) - self.epochs_before(first);
        let joined = self.epochs() - self.epochs_before(first);
        let warmup = self.phases[first].warmup_epochs;
        let rate = self.phases[phase].learning_rate;
        annealed(rate, joined, warmup, before * steps_per_epoch + step, steps_per_epoch)
    }
}

impl Phase {
    /// A phase that trains uniformly sampled subnets of the opened space, on labels only.
    pub fn new(name: impl Into<String>, phase: &PhaseRecipe, opened: Opened) -> Self {
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

    /// Epochs times subnets per step.
    pub fn subnet_epochs(&self) -> usize {
        self.epochs * self.subnets_per_step
    }

    /// Learning rate of step `step` (from 0) of `steps_per_epoch * epochs`, at the reference batch size: linear warm-up
    /// from zero, then a cosine to zero.
    ///
    /// Departure from the original: its code warms up from `warmup_lr`, which its script sets to the rate for one GPU,
    /// 1/32 of the rate that warm-up reaches there.
    pub fn learning_rate_at(&self, step: usize, steps_per_epoch: usize) -> f64 {
        annealed(self.learning_rate, self.epochs, self.warmup_epochs, step, steps_per_epoch)
    }
}

/// Learning rate of step `step` (from 0) of `epochs`: linear warm-up to `rate`, then a cosine to zero.
fn annealed(rate: f64, epochs: usize, warmup_epochs: f64, step: usize, steps_per_epoch: usize) -> f64 {
    let total = (steps_per_epoch * epochs) as f64;
    let warmup = (warmup_epochs * steps_per_epoch as f64).round();
    let step = step as f64;
    if step < warmup {
        return rate * (step + 1.0) / warmup;
    }
    let progress = (step - warmup) / (total - warmup).max(1.0);
    0.5 * rate * (1.0 + libm::cos(std::f64::consts::PI * progress))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ofa_model::SearchSpace;

    #[test]
    fn learning_rate_warms_up_and_falls_to_zero() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let recipe = ScheduleRecipe { reference_batch_size: 32, ..ScheduleRecipe::iclr2020() };
        let schedule = Schedule::progressive_shrinking(&space, &recipe);
        // Kernel phase: 5 epochs of warm-up, 120 of cosine.
        let rate = |step| schedule.learning_rate_at(1, step, 100, 64) / 2.0;
        assert_eq!(rate(0), 0.03 / 500.0);
        assert_eq!(rate(499), 0.03);
        assert_eq!(rate(500), 0.03);
        assert!((rate(6500) - 0.015).abs() < 1e-12, "halfway along the cosine");
        assert!(rate(12_499) < 1e-8 && rate(12_499) > 0.0);
    }

    #[test]
    fn the_phases_behind_the_teacher_can_share_one_cosine() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let mut schedule = Schedule::progressive_shrinking(&space, &ScheduleRecipe::iclr2020());
        let teacher = schedule.learning_rate_at(0, 500, 100, 64);
        schedule.annealing = Annealing::Schedule;
        for phase in &mut schedule.phases[1..] {
            phase.learning_rate = 0.1;
        }
        let rate = |phase, step| schedule.learning_rate_at(phase, step, 100, 64);
        assert_eq!(rate(0, 500), teacher);
        // 425 epochs after the teacher, of which the first five are warm-up; later phases have none.
        assert_eq!((rate(1, 0), rate(1, 500)), (0.1 / 500.0, 0.1));
        assert!((rate(3, 6_500) - 0.05).abs() < 1e-12, "halfway: {}", rate(3, 6_500));
        assert!((rate(2, 0) - rate(1, 12_499)).abs() < 1e-4 && rate(5, 12_499) < 1e-8);
        // If no phase becomes the teacher, all share one cosine.
        schedule.phases.remove(0);
        assert_eq!(schedule.learning_rate_at(0, 500, 100, 64), 0.1);
        // The paper's schedule must serialise as before, because checkpoints hash it.
        let paper = Schedule::progressive_shrinking(&space, &ScheduleRecipe::iclr2020());
        assert!(!serde_json::to_string(&paper).unwrap().contains("annealing"));
    }
}
