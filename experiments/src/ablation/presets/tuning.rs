//! How to shrink, and how to train without shrinking, selected on validation images at the smallest budget of the
//! ladder. No test image is seen.

use super::{QUESTION, Scale};
use crate::ablation::arms::{full_arm, shrinking_arms, shrunk_arm};
use crate::ablation::config::{AblationConfig, Arm};
use crate::config::few_epochs;
use crate::run::images::Images;
use TeacherStatistics::{Batch, Calibrated};
use anyhow::Result;
use ofa_train::{Annealing, Distillation, ScheduleRecipe, SoftTargets, TeacherConfig, TeacherStatistics};

/// Ways to shrink: epochs of the phases, weight and statistics of the teacher. All anneal once over the whole of
/// shrinking, from one rate.
const SHRUNK: [(&str, &str, [usize; 6], f64, TeacherStatistics); 5] = [
    ("shrunk", "the full network as long as in the paper's proportions", [3, 1, 1, 1, 1, 2], 1.0, Calibrated),
    ("shrunk_batch", "the teacher by statistics of the batch", [3, 1, 1, 1, 1, 2], 1.0, Batch),
    ("shrunk_half", "the teacher at half weight", [3, 1, 1, 1, 1, 2], 0.5, Calibrated),
    ("shrunk_early", "half of the full network", [2, 1, 1, 1, 1, 3], 1.0, Calibrated),
    ("shrunk_late", "half of the compute for the full network", [5, 1, 1, 1, 1, 1], 1.0, Calibrated),
];
/// Ways to train without shrinking: subnets per step, share of the epochs that is warm-up.
const NONE: [(&str, &str, usize, f64); 5] = [
    ("none", "two subnets per step, a tenth of warm-up", 2, 0.1),
    ("none_1", "one subnet per step", 1, 0.1),
    ("none_4", "four subnets per step", 4, 0.1),
    ("none_brisk", "a twentieth of warm-up", 2, 0.05),
    ("none_gentle", "a fifth of warm-up", 2, 0.2),
];
/// Learning rate of all phases of shrinking at factor 1.
const RATE: f64 = 0.05;

/// What guided the factors.
const TRIED: &str = "budget A of records/2026-11-30-shrinking (the same seed): best factors 4 (full), 8 (progressive), 8 \
                     (none); 16 diverged";

pub(super) fn tuning() -> Result<AblationConfig> {
    let scale = Scale::all_images()?;
    let images = Images::load(&scale.base, None)?.splits.train.len();
    let space = &scale.base.space;
    let mut arms: Vec<Arm> = Vec::new();
    for (name, description, phases, weight, statistics) in SHRUNK {
        let recipe = few_epochs(phases);
        let full = format!("full_{}", phases[0]);
        if !arms.iter().any(|arm| arm.name == full) {
            let arm = full_arm(space, &recipe);
            let description = format!("the largest network alone, {} epochs", phases[0]);
            arms.push(Arm { name: full.clone(), description, factors: Some(vec![2.0, 4.0]), ..arm });
        }
        let mut arm = shrunk_arm(space, &recipe, name, description);
        (arm.start, arm.teacher) = (Some(full.clone()), Some(full));
        (arm.schedule.annealing, arm.factors) = (Annealing::Schedule, Some(vec![4.0, 8.0]));
        for phase in &mut arm.schedule.phases {
            phase.learning_rate = RATE;
            let soft = SoftTargets { weight, ..SoftTargets::default() };
            phase.distillation = Distillation::Teacher(TeacherConfig { soft, statistics });
        }
        arms.push(arm);
    }
    for (name, description, subnets, warmup) in NONE {
        let mut recipe: ScheduleRecipe = few_epochs([3, 1, 1, 1, 1, 2]);
        recipe.expand_last.subnets_per_step = subnets;
        let all = shrinking_arms(space, &recipe, images);
        let mut arm = all.into_iter().find(|arm| arm.name == "none").expect("`none` is an arm of shrinking");
        for phase in &mut arm.schedule.phases {
            phase.warmup_epochs = warmup * phase.epochs as f64;
        }
        (arm.name, arm.description, arm.factors) = (name.into(), description.into(), Some(vec![4.0, 8.0]));
        arms.push(arm);
    }
    let mut config = scale.ablation(QUESTION, &[["shrunk", "none"]], arms)?;
    config.question = "How should one shrink, and how not?".into();
    config.tried = vec![TRIED.into()];
    config.seeds = Vec::new();
    // Every way gets the same number of trainings, wherever the better of two factors lies.
    config.selection.extensions = 1;
    config.validate()?;
    Ok(config)
}
