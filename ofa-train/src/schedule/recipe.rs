//! [`ScheduleRecipe`]: epochs and learning rates from which schedules of every kind are built.

use serde::{Deserialize, Serialize};

/// Epochs and learning rate of each phase of progressive shrinking. Other schedule kinds take theirs from it too.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRecipe {
    /// Images per step that the learning rates are tuned for.
    pub reference_batch_size: usize,
    /// Phase of the largest network alone.
    pub full: PhaseRecipe,
    /// Phase that opens the kernel sizes.
    pub kernel: PhaseRecipe,
    /// Phases that open the depths one after another, except the last.
    pub depth_first: PhaseRecipe,
    /// Last depth phase, with all depths open.
    pub depth_last: PhaseRecipe,
    /// Phases that open the expand ratios one after another, except the last.
    pub expand_first: PhaseRecipe,
    /// Last expand phase, with all expand ratios open.
    pub expand_last: PhaseRecipe,
    /// Weight of the distillation from the full network in all phases after the first; 0 disables it.
    pub distillation_weight: f64,
}

/// How long and how fast a phase learns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseRecipe {
    /// Passes over the training images; a phase of 0 epochs is skipped.
    pub epochs: usize,
    /// Learning rate after warm-up, at the reference batch size.
    pub learning_rate: f64,
    /// Epochs of linear warm-up.
    pub warmup_epochs: f64,
    /// Subnets per step; their gradients are summed.
    pub subnets_per_step: usize,
}

impl ScheduleRecipe {
    /// The paper's recipe for ImageNet (appendix B and the authors' code): 605 epochs, 1,205 subnet-epochs, learning
    /// rates for 64 images per step (the authors used 32 times as many).
    pub fn iclr2020() -> Self {
        let phase = |epochs, warmup_epochs, learning_rate, subnets_per_step| PhaseRecipe {
            epochs,
            learning_rate,
            warmup_epochs,
            subnets_per_step,
        };
        Self {
            reference_batch_size: 64,
            full: phase(180, 0.0, 0.081_25, 1),
            kernel: phase(125, 5.0, 0.03, 1),
            depth_first: phase(25, 0.0, 0.002_5, 2),
            depth_last: phase(125, 5.0, 0.007_5, 2),
            expand_first: phase(25, 0.0, 0.002_5, 4),
            expand_last: phase(125, 5.0, 0.007_5, 4),
            distillation_weight: 1.0,
        }
    }
}
