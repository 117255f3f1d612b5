//! Arms for the question that the papers leave open: what does progressive shrinking itself add?

use super::budget::expected_budget;
use super::config::Arm;
use super::reported::{corner_name, corners};
use ofa_model::SearchSpace;
use ofa_train::{Annealing, Distillation, Opened, Phase, PhaseRecipe, Sampler, Schedule, ScheduleKind, ScheduleRecipe};

/// The arm that trains the full network. Other arms start from its weights or use it as teacher.
const FULL: &str = "full";

/// Name prefix of arms that train one network alone.
pub(super) const INDEPENDENT: &str = "independent_";
/// Half of the corners of the small space, including the smallest. Each choice of depth, expand ratio and kernel size
/// occurs twice, once with each choice of every other kind.
pub(super) const ALONE: [&str; 4] =
    ["independent_d2w3k3", "independent_d2w6k7", "independent_d4w3k7", "independent_d4w6k3"];

/// Progressive shrinking, and what remains when parts of it are removed, for `images` training images per epoch.
///
/// `warm_taught`, `none_taught`, `none` and `sandwich` cost as many MACs as `progressive`, including the training of
/// the full network and the teacher's passes; `progressive_untaught` keeps the phases and saves the teacher. Each
/// `independent` arm trains one corner of the space for as many epochs as the full network and `progressive` together.
pub fn shrinking_arms(space: &SearchSpace, recipe: &ScheduleRecipe, images: usize) -> Vec<Arm> {
    let shrink = shrink_phases(space, recipe);
    let full = ScheduleKind::FullOnly.schedule(space, recipe);
    let macs = |schedule: &Schedule| expected_budget(schedule, space, images).macs;
    let (full_macs, shrink_macs) = (macs(&full), macs(&shrink));
    let long = |phase: Phase, budget: f64| {
        let schedule = single(recipe, phase);
        let epochs = (budget / macs(&schedule)).round().max(1.0) as usize;
        single(recipe, with_epochs(&schedule.phases[0], epochs))
    };
    let taught = Distillation::teacher(recipe.distillation_weight);
    let whole = |name: &str, rate: f64, distillation: &Distillation| Phase {
        distillation: distillation.clone(),
        ..whole_space(name, rate, recipe)
    };
    let (fast, slow) = (recipe.full.learning_rate, recipe.expand_last.learning_rate);
    let total = full_macs + shrink_macs;
    let random = whole("random", fast, &Distillation::None);
    let sandwich = ScheduleKind::Sandwich.schedule(space, recipe).phases.remove(0);
    let with_full = |arm: Arm| Arm { start: Some(FULL.into()), ..arm };
    let by_full = |arm: Arm| Arm { teacher: Some(FULL.into()), ..arm };
    let mut arms = vec![
        full_arm(space, recipe),
        shrunk_arm(
            space,
            recipe,
            "progressive",
            "progressive shrinking: from the full network, opened step by step, taught",
        ),
        with_full(arm("progressive_untaught", "progressive shrinking without a teacher", without_teacher(&shrink))),
        by_full(with_full(arm(
            "warm_taught",
            "from the full network, the whole space opened at once, taught",
            long(whole("warm", slow, &taught), shrink_macs),
        ))),
        by_full(arm(
            "none_taught",
            "no shrinking: random weights, the whole space, taught",
            long(whole("random", fast, &taught), shrink_macs),
        )),
        arm("none", "no shrinking: random weights, the whole space, labels alone", long(random, total)),
        arm(
            "sandwich",
            "largest, smallest and random subnets in every step, the largest teaches",
            long(with_epochs(&sandwich, 1), total),
        ),
    ];
    let epochs = full.epochs() + shrink.epochs();
    arms.extend(corners(space).into_iter().map(|corner| {
        let name = corner_name(&corner);
        let phase = PhaseRecipe { epochs, warmup_epochs: 0.1 * epochs as f64, ..recipe.full };
        let phase = Phase { sampler: Sampler::Fixed(vec![corner]), ..Phase::new("alone", &phase, Opened::All) };
        arm(
            &format!("{INDEPENDENT}{}", name.to_lowercase().replace(' ', "")),
            &format!("{name} trained alone"),
            single(recipe, phase),
        )
    }));
    arms
}

/// The arm that trains the full network: the first arm of every ablation of shrinking.
pub fn full_arm(space: &SearchSpace, recipe: &ScheduleRecipe) -> Arm {
    arm(FULL, "the largest network alone", ScheduleKind::FullOnly.schedule(space, recipe))
}

/// Progressive shrinking that starts from [`full_arm`] and is taught by it; callers modify the result.
pub fn shrunk_arm(space: &SearchSpace, recipe: &ScheduleRecipe, name: &str, description: &str) -> Arm {
    let full = || Some(FULL.to_owned());
    Arm { start: full(), teacher: full(), ..arm(name, description, shrink_phases(space, recipe)) }
}

/// The phases of progressive shrinking after that of the full network.
fn shrink_phases(space: &SearchSpace, recipe: &ScheduleRecipe) -> Schedule {
    let mut schedule = Schedule::progressive_shrinking(space, recipe);
    schedule.phases.remove(0);
    schedule
}

fn without_teacher(schedule: &Schedule) -> Schedule {
    let mut untaught = schedule.clone();
    untaught.phases.iter_mut().for_each(|phase| phase.distillation = Distillation::None);
    untaught
}

fn whole_space(name: &str, learning_rate: f64, recipe: &ScheduleRecipe) -> Phase {
    let phase = PhaseRecipe { epochs: 1, warmup_epochs: 0.1, learning_rate, ..recipe.expand_last };
    Phase::new(name, &phase, Opened::All)
}

/// The phase with `epochs` epochs, a tenth of them warm-up.
fn with_epochs(phase: &Phase, epochs: usize) -> Phase {
    Phase { epochs, warmup_epochs: 0.1 * epochs as f64, ..phase.clone() }
}

fn single(recipe: &ScheduleRecipe, phase: Phase) -> Schedule {
    Schedule {
        name: phase.name.clone(),
        reference_batch_size: recipe.reference_batch_size,
        annealing: Annealing::default(),
        phases: vec![phase],
    }
}

fn arm(name: &str, description: &str, schedule: Schedule) -> Arm {
    Arm {
        name: name.into(),
        description: description.into(),
        seeds: None,
        factors: None,
        start: None,
        teacher: None,
        schedule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::{Budget, expected_budget};

    const IMAGES: usize = 10_000;

    fn of(space: &SearchSpace) -> Vec<Arm> {
        shrinking_arms(space, &ScheduleRecipe::iclr2020(), IMAGES)
    }

    #[test]
    fn arms_cost_as_much_as_progressive_shrinking() {
        for space in [SearchSpace::small_mobilenet_v3(1, 10), SearchSpace::mobilenet_v3(1.0, 1000)] {
            let arms = of(&space);
            let cost = |name: &str| -> Budget {
                let arm = arms.iter().find(|arm| arm.name == name).unwrap();
                let own = expected_budget(&arm.schedule, &space, IMAGES);
                // Every arm that starts from another one, or is taught, needs the full network.
                if arm.start.is_some() || arm.teacher.is_some() {
                    own + expected_budget(&arms[0].schedule, &space, IMAGES)
                } else {
                    own
                }
            };
            let whole = cost("progressive");
            for name in ["warm_taught", "none_taught", "none", "sandwich"] {
                assert!((cost(name).macs / whole.macs - 1.0).abs() < 0.02, "{name}: {:?} {whole:?}", cost(name));
            }
        }
    }

    #[test]
    fn an_independent_arm_trains_its_corner_alone() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let arms = of(&space);
        let alone: Vec<&Arm> = arms.iter().filter(|arm| arm.name.starts_with("independent")).collect();
        assert_eq!(alone.len(), 8);
        assert_eq!(alone[0].name, "independent_d2w3k3");
        assert!(
            alone
                .iter()
                .all(|arm| matches!(&arm.schedule.phases[0].sampler, Sampler::Fixed(archs) if archs.len() == 1))
        );
    }
}
