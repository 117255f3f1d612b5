//! [`ShrinkSchedule`]: training as a list of stages, as plain data.

use crate::TrainError;
use ofa_model::SearchSpace;
use serde::{Deserialize, Serialize};

/// Stages trained one after another on the same weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShrinkSchedule {
    /// Name used in messages and files.
    pub name: String,
    /// The stages, first to last.
    pub stages: Vec<ShrinkStage>,
}

/// One stage: the space it samples from and how long and how fast it learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShrinkStage {
    /// Name used in messages and files.
    pub name: String,
    /// The choices that are open.
    pub space: SearchSpace,
    /// Passes over the training images.
    pub epochs: usize,
    /// Learning rate after warm-up, at the batch size of the run.
    pub learning_rate: f64,
    /// Epochs of linear warm-up; a cosine to zero follows.
    pub warmup_epochs: f64,
    /// Subnets whose gradients are summed in every step.
    pub subnets_per_step: usize,
    /// Weight of the distillation from the teacher; 0 trains on labels alone.
    pub distillation_weight: f64,
    /// Whether channels are sorted by importance before the stage.
    pub sort_channels: bool,
    /// Whether the largest subnet at the end of the stage becomes the teacher of later stages.
    pub becomes_teacher: bool,
}

/// Epochs and learning rate of each phase of progressive shrinking.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShrinkRecipe {
    /// The largest network alone.
    pub full: Phase,
    /// Kernel sizes open.
    pub kernel: Phase,
    /// Depths open one after another; the last of them is `depth_last`.
    pub depth_first: Phase,
    /// All depths open.
    pub depth_last: Phase,
    /// Expand ratios open one after another; the last of them is `expand_last`.
    pub expand_first: Phase,
    /// All expand ratios open.
    pub expand_last: Phase,
    /// Weight of the distillation from the full network in all phases after the first.
    pub distillation_weight: f64,
}

/// How long and how fast a phase learns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Passes over the training images; a phase of 0 epochs is left out.
    pub epochs: usize,
    /// Learning rate after warm-up, at the batch size of the run.
    pub learning_rate: f64,
    /// Epochs of linear warm-up.
    pub warmup_epochs: f64,
    /// Subnets whose gradients are summed in every step.
    pub subnets_per_step: usize,
}

impl ShrinkSchedule {
    /// Progressive shrinking (paper, section 3.3): the full network, then kernel size, then depth, then expand ratio
    /// open step by step, from large to small, always with elastic resolution.
    pub fn progressive_shrinking(space: &SearchSpace, recipe: &ShrinkRecipe) -> Self {
        let mut opened = full_network(space);
        let mut stages = vec![stage("full", &opened, &recipe.full, 0.0, false)];
        stages[0].becomes_teacher = true;
        let weight = recipe.distillation_weight;

        opened.stages.iter_mut().zip(&space.stages).for_each(|(o, s)| o.kernel_sizes = s.kernel_sizes.clone());
        stages.push(stage("kernel", &opened, &recipe.kernel, weight, false));

        let steps = most(space, |stage| stage.depths.len()) - 1;
        for step in 1..=steps {
            opened.stages.iter_mut().zip(&space.stages).for_each(|(o, s)| o.depths = largest(&s.depths, step + 1));
            let phase = if step == steps { &recipe.depth_last } else { &recipe.depth_first };
            stages.push(stage(&format!("depth {step}"), &opened, phase, weight, false));
        }
        let steps = most(space, |stage| stage.expand_ratios.len()) - 1;
        for step in 1..=steps {
            opened
                .stages
                .iter_mut()
                .zip(&space.stages)
                .for_each(|(o, s)| o.expand_ratios = largest(&s.expand_ratios, step + 1));
            let phase = if step == steps { &recipe.expand_last } else { &recipe.expand_first };
            stages.push(stage(&format!("expand {step}"), &opened, phase, weight, true));
        }
        stages.retain(|stage| stage.epochs > 0);
        Self { name: "progressive_shrinking".into(), stages }
    }

    /// Sum of epochs over all stages.
    pub fn epochs(&self) -> usize {
        self.stages.iter().map(|stage| stage.epochs).sum()
    }

    /// Epochs before stage `stage`.
    pub fn epochs_before(&self, stage: usize) -> usize {
        self.stages[..stage].iter().map(|stage| stage.epochs).sum()
    }

    /// Checks the schedule against the space of the supernet it is to train.
    ///
    /// # Errors
    ///
    /// [`TrainError::InvalidSchedule`] names the first stage that cannot be trained.
    pub fn validate(&self, space: &SearchSpace) -> Result<(), TrainError> {
        let refuse = |problem| Err(TrainError::InvalidSchedule { schedule: self.name.clone(), problem });
        if self.stages.is_empty() {
            return refuse("it has no stages with epochs".to_owned());
        }
        let mut has_teacher = false;
        for stage in &self.stages {
            let name = &stage.name;
            if let Err(error) = stage.space.validate() {
                return refuse(format!("stage `{name}`: {error}"));
            }
            if !stage.space.is_within(space) {
                return refuse(format!("stage `{name}`: its space is not within `{}`", space.name));
            }
            let rate = stage.learning_rate;
            if !(rate > 0.0 && rate.is_finite()) {
                return refuse(format!("stage `{name}`: learning_rate {rate} must be positive"));
            }
            if stage.epochs == 0 || stage.subnets_per_step == 0 {
                return refuse(format!("stage `{name}`: epochs and subnets_per_step must be positive"));
            }
            if !(0.0..=stage.epochs as f64).contains(&stage.warmup_epochs) {
                let (warmup, epochs) = (stage.warmup_epochs, stage.epochs);
                return refuse(format!("stage `{name}`: warmup_epochs {warmup} is not between 0 and {epochs} epochs"));
            }
            let weight = stage.distillation_weight;
            if !(weight >= 0.0 && weight.is_finite()) {
                return refuse(format!("stage `{name}`: distillation_weight {weight} must not be negative"));
            }
            if weight > 0.0 && !has_teacher {
                return refuse(format!("stage `{name}` distils, but no earlier stage becomes the teacher"));
            }
            has_teacher |= stage.becomes_teacher;
        }
        Ok(())
    }
}

impl ShrinkStage {
    /// Learning rate of step `step` (from 0) of `steps_per_epoch * epochs`: linear warm-up, then a cosine to zero.
    pub fn learning_rate_at(&self, step: usize, steps_per_epoch: usize) -> f64 {
        let total = (steps_per_epoch * self.epochs) as f64;
        let warmup = (self.warmup_epochs * steps_per_epoch as f64).round();
        let step = step as f64;
        if step < warmup {
            return self.learning_rate * (step + 1.0) / warmup;
        }
        let progress = (step - warmup) / (total - warmup).max(1.0);
        0.5 * self.learning_rate * (1.0 + (std::f64::consts::PI * progress).cos())
    }
}

fn stage(name: &str, space: &SearchSpace, phase: &Phase, distillation_weight: f64, sort_channels: bool) -> ShrinkStage {
    ShrinkStage {
        name: name.to_owned(),
        space: space.clone(),
        epochs: phase.epochs,
        learning_rate: phase.learning_rate,
        warmup_epochs: phase.warmup_epochs,
        subnets_per_step: phase.subnets_per_step,
        distillation_weight,
        sort_channels,
        becomes_teacher: false,
    }
}

/// The space with only its largest choices, but every resolution.
fn full_network(space: &SearchSpace) -> SearchSpace {
    let mut full = space.clone();
    for stage in &mut full.stages {
        stage.depths = largest(&stage.depths, 1);
        stage.kernel_sizes = largest(&stage.kernel_sizes, 1);
        stage.expand_ratios = largest(&stage.expand_ratios, 1);
    }
    full
}

fn largest<T: Copy>(choices: &[T], count: usize) -> Vec<T> {
    choices[choices.len().saturating_sub(count)..].to_vec()
}

fn most(space: &SearchSpace, count: impl Fn(&ofa_model::StageSpace) -> usize) -> usize {
    space.stages.iter().map(count).max().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> ShrinkRecipe {
        let phase = |epochs, learning_rate, warmup_epochs, subnets_per_step| Phase {
            epochs,
            learning_rate,
            warmup_epochs,
            subnets_per_step,
        };
        ShrinkRecipe {
            full: phase(4, 0.1, 0.5, 1),
            kernel: phase(2, 0.04, 0.5, 1),
            depth_first: phase(1, 0.01, 0.0, 2),
            depth_last: phase(2, 0.01, 0.5, 2),
            expand_first: phase(1, 0.01, 0.0, 4),
            expand_last: phase(2, 0.01, 0.5, 4),
            distillation_weight: 1.0,
        }
    }

    #[test]
    fn progressive_shrinking_opens_one_dimension_after_another() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let schedule = ShrinkSchedule::progressive_shrinking(&space, &recipe());
        schedule.validate(&space).unwrap();
        let opened: Vec<_> = schedule
            .stages
            .iter()
            .map(|stage| {
                let s = &stage.space.stages[0];
                (stage.name.as_str(), s.kernel_sizes.len(), s.depths.clone(), s.expand_ratios.len())
            })
            .collect();
        assert_eq!(
            opened,
            [
                ("full", 1, vec![4], 1),
                ("kernel", 3, vec![4], 1),
                ("depth 1", 3, vec![3, 4], 1),
                ("depth 2", 3, vec![2, 3, 4], 1),
                ("expand 1", 3, vec![2, 3, 4], 2),
                ("expand 2", 3, vec![2, 3, 4], 3),
            ]
        );
        assert_eq!(schedule.stages.last().unwrap().space, space);
        assert_eq!((schedule.epochs(), schedule.epochs_before(2)), (12, 6));
    }

    #[test]
    fn learning_rate_warms_up_and_falls_to_zero() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let stage = &ShrinkSchedule::progressive_shrinking(&space, &recipe()).stages[0];
        let rate = |step| stage.learning_rate_at(step, 100);
        assert_eq!(rate(0), 0.1 / 50.0);
        assert_eq!(rate(49), 0.1);
        assert_eq!(rate(50), 0.1);
        assert!((rate(225) - 0.05).abs() < 1e-12, "half-way of the cosine");
        assert!(rate(399) < 1e-4 && rate(399) > 0.0);
    }

    #[test]
    fn impossible_schedules_are_refused() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let good = ShrinkSchedule::progressive_shrinking(&space, &recipe());
        type Change = fn(&mut ShrinkSchedule);
        let break_it: [(&str, Change); 5] = [
            ("no stages", |s| s.stages.clear()),
            ("not within", |s| s.stages[1].space.stages[0].kernel_sizes = vec![9]),
            ("learning_rate NaN", |s| s.stages[0].learning_rate = f64::NAN),
            ("no earlier stage becomes the teacher", |s| s.stages[0].becomes_teacher = false),
            ("warmup_epochs 9", |s| s.stages[0].warmup_epochs = 9.0),
        ];
        for (expected, change) in break_it {
            let mut broken = good.clone();
            change(&mut broken);
            let message = broken.validate(&space).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
