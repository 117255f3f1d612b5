//! Training cost: MACs of all passes over images, including the teacher's.

use ofa_model::SearchSpace;
use ofa_train::{Distillation, Phase, Schedule, StepKey};
use serde::{Deserialize, Serialize};
use std::iter::Sum;
use std::ops::Add;

/// Forward passes that a training step costs: the backward pass computes gradients of inputs and of weights, which
/// takes twice the products of the forward pass.
const PASSES: f64 = 3.0;
/// Steps sampled to estimate the mean MACs of a phase's subnets.
const STEPS: u64 = 400;

/// Cost of a training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Epochs times subnets per step.
    pub subnet_epochs: f64,
    /// Multiply-accumulate operations of all forward and backward passes of subnets, and of all forward passes of
    /// teachers.
    pub macs: f64,
}

impl Add for Budget {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { subnet_epochs: self.subnet_epochs + other.subnet_epochs, macs: self.macs + other.macs }
    }
}

impl Sum for Budget {
    fn sum<I: Iterator<Item = Self>>(budgets: I) -> Self {
        budgets.fold(Self::default(), Add::add)
    }
}

/// Expected cost of `schedule` with `images` training images per epoch.
pub fn expected_budget(schedule: &Schedule, space: &SearchSpace, images: usize) -> Budget {
    let phase = |(i, phase): (usize, &Phase)| Budget {
        subnet_epochs: phase.subnet_epochs() as f64,
        macs: phase.epochs as f64 * epoch_macs(phase, i, space) * images as f64,
    };
    schedule.phases.iter().enumerate().map(phase).sum()
}

/// Training MACs per image and epoch in a phase, the teacher's included.
pub(super) fn epoch_macs(phase: &Phase, index: usize, space: &SearchSpace) -> f64 {
    let subnets = mean_subnet_macs(phase, index, space) * phase.subnets_per_step as f64;
    PASSES * subnets + teacher_macs(phase, space)
}

/// The teacher's MACs per image in a phase; 0 without a teacher, or if it is one of the step's own subnets.
pub(super) fn teacher_macs(phase: &Phase, space: &SearchSpace) -> f64 {
    match phase.distillation {
        Distillation::Teacher(_) => {
            let largest = space.largest();
            let macs = space.resolutions.iter().map(|&side| space.cost(&largest.at_resolution(side)).macs as f64);
            macs.sum::<f64>() / space.resolutions.len() as f64
        }
        Distillation::None | Distillation::InPlace(_) => 0.0,
    }
}

fn mean_subnet_macs(phase: &Phase, index: usize, space: &SearchSpace) -> f64 {
    let opened = phase.opened.of(space);
    let sampler = phase.sampler.init(0);
    let mut sum = 0.0;
    for step in 0..STEPS {
        let side = opened.resolutions[step as usize % opened.resolutions.len()];
        let archs = sampler.sample(&opened, StepKey { phase: index, step }, phase.subnets_per_step);
        sum += archs.iter().map(|arch| space.cost(&arch.at_resolution(side)).macs as f64).sum::<f64>();
    }
    sum / (STEPS as f64 * phase.subnets_per_step as f64)
}

/// MACs of training on `images` images in a phase whose subnets have `mean_macs` on average.
pub(super) fn trained_macs(images: usize, mean_macs: f64, phase: &Phase, space: &SearchSpace) -> f64 {
    images as f64 * (PASSES * mean_macs * phase.subnets_per_step as f64 + teacher_macs(phase, space))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ofa_train::{ScheduleKind, ScheduleRecipe};

    #[test]
    fn the_full_network_costs_three_passes_of_its_mean_resolution() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let schedule = ScheduleKind::FullOnly.schedule(&space, &ScheduleRecipe::iclr2020());
        let budget = expected_budget(&schedule, &space, 1000);
        let largest = space.largest();
        let mean =
            [20, 24, 28].map(|side| space.cost(&largest.at_resolution(side)).macs as f64).iter().sum::<f64>() / 3.0;
        assert_eq!(budget.subnet_epochs, 180.0);
        assert!((budget.macs / (180.0 * 1000.0 * 3.0 * mean) - 1.0).abs() < 0.01, "{budget:?}");
    }

    #[test]
    fn a_teacher_costs_a_forward_pass_a_step() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let schedule = ScheduleKind::ProgressiveShrinking.schedule(&space, &ScheduleRecipe::iclr2020());
        let taught = &schedule.phases[1];
        let untaught = Phase { distillation: Distillation::None, ..taught.clone() };
        let largest = trained_macs(10, 1e6, taught, &space) - trained_macs(10, 1e6, &untaught, &space);
        let mean = [20, 24, 28].map(|side| space.cost(&space.largest().at_resolution(side)).macs as f64);
        assert!((largest - 10.0 * mean.iter().sum::<f64>() / 3.0).abs() < 1.0);
    }
}
