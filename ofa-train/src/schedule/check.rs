//! Validation of schedules.

use super::{Phase, Schedule};
use crate::{Distillation, TrainError};
use ofa_model::SearchSpace;

impl Schedule {
    /// Checks the schedule against `space`, the space of the supernet it is to train. `has_teacher` says whether there
    /// is an external teacher.
    ///
    /// # Errors
    ///
    /// [`TrainError::InvalidSchedule`] names the first phase that cannot be trained.
    pub fn validate(&self, space: &SearchSpace, has_teacher: bool) -> Result<(), TrainError> {
        self.first_problem(space, has_teacher)
            .map_or(Ok(()), |problem| Err(TrainError::InvalidSchedule { schedule: self.name.clone(), problem }))
    }

    fn first_problem(&self, space: &SearchSpace, mut has_teacher: bool) -> Option<String> {
        if self.phases.is_empty() {
            return Some("it has no phases with epochs".into());
        }
        if self.reference_batch_size == 0 {
            return Some("reference_batch_size is 0, but must be positive".into());
        }
        self.phases.iter().find_map(|phase| {
            let problem = phase.problem_with_space(space).or_else(|| phase.problem_with_numbers());
            let problem = problem.or_else(|| phase.problem_with_teacher(has_teacher));
            let problem = problem.or_else(|| phase.problem_as_teacher(space));
            has_teacher |= phase.becomes_teacher;
            problem.map(|problem| format!("phase `{}`: {problem}", phase.name))
        })
    }

    /// Whether a phase learns from an external teacher: it distils from a teacher, and no earlier phase becomes one.
    pub(crate) fn learns_from_elsewhere(&self) -> bool {
        let mut has_own = false;
        self.phases.iter().any(|phase| {
            let learns = !has_own && matches!(phase.distillation, Distillation::Teacher(_));
            has_own |= phase.becomes_teacher;
            learns
        })
    }
}

impl Phase {
    fn problem_with_space(&self, whole: &SearchSpace) -> Option<String> {
        let open = self.opened.of(whole);
        if let Err(error) = open.validate() {
            return Some(format!("invalid opened choices: {error}"));
        }
        if !open.is_within(whole) {
            return Some(format!("its space is not within that of the supernet, `{}`", whole.name));
        }
        self.sampler.problem(&open)
    }

    fn problem_with_numbers(&self) -> Option<String> {
        let rate = self.learning_rate;
        if !(rate > 0.0 && rate.is_finite()) {
            return Some(format!("learning_rate {rate} must be finite and positive"));
        }
        if self.epochs == 0 || self.subnets_per_step == 0 {
            return Some("epochs and subnets_per_step must be positive".into());
        }
        let (warmup, epochs) = (self.warmup_epochs, self.epochs);
        (!(0.0..=epochs as f64).contains(&warmup))
            .then(|| format!("warmup_epochs {warmup} must be between 0 and epochs ({epochs})"))
    }

    fn problem_with_teacher(&self, has_teacher: bool) -> Option<String> {
        match &self.distillation {
            Distillation::None => None,
            Distillation::Teacher(_) if !has_teacher => {
                Some("it distils, but no earlier phase becomes the teacher and none is given".into())
            }
            Distillation::InPlace(_) if self.subnets_per_step < 2 => Some(
                "in-place distillation needs teacher and student in a step: subnets_per_step must be at least 2".into(),
            ),
            Distillation::Teacher(teacher) => teacher.soft.problem(),
            Distillation::InPlace(soft) => soft.problem(),
        }
    }

    /// The supernet's largest network is the one that teaches, so a phase that becomes the teacher must open it.
    fn problem_as_teacher(&self, whole: &SearchSpace) -> Option<String> {
        if !self.becomes_teacher {
            return None;
        }
        let (opened, teacher) = (self.opened.of(whole).largest(), whole.largest());
        (opened.stages != teacher.stages).then(|| {
            format!(
                "it becomes the teacher, but the largest network it opens is {opened}, not {teacher}, which would \
                 teach: open the largest choices or remove becomes_teacher"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChoiceCounts, Opened, Sampler, ScheduleRecipe, SoftTargets};

    #[test]
    fn impossible_schedules_are_refused() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let good = Schedule::progressive_shrinking(&space, &ScheduleRecipe::iclr2020());
        good.validate(&space, false).unwrap();
        type Change = fn(&mut Schedule);
        let soft = |weight| SoftTargets { weight, temperature: 1.0, label_weight: 1.0 };
        let cases: [(&str, Change); 13] = [
            ("no phases", |s| s.phases.clear()),
            ("reference_batch_size is 0", |s| s.reference_batch_size = 0),
            ("not within", |s| s.phases[1].opened = Opened::Space(Box::new(SearchSpace::mobilenet_v3(1.0, 10)))),
            ("depths", |s| s.phases[1].opened = Opened::Largest(ChoiceCounts { depths: 0, ..ChoiceCounts::ONE })),
            ("no archs", |s| s.phases[1].sampler = Sampler::Fixed(vec![])),
            ("outside", |s| {
                s.phases[0].sampler = Sampler::Fixed(vec![SearchSpace::small_mobilenet_v3(1, 10).smallest()])
            }),
            ("learning_rate NaN", |s| s.phases[0].learning_rate = f64::NAN),
            ("no earlier phase becomes the teacher", |s| s.phases[0].becomes_teacher = false),
            ("the largest network it opens is r28-k3e3.k3e3-", |s| {
                (s.phases[1].opened, s.phases[1].becomes_teacher) = (Opened::Smallest(ChoiceCounts::ONE), true);
            }),
            ("it becomes the teacher, but", |s| {
                let mut narrower = SearchSpace::small_mobilenet_v3(1, 10);
                narrower.stages[2].kernel_sizes.pop();
                s.phases[0].opened = Opened::Space(Box::new(narrower));
            }),
            ("warmup_epochs 999", |s| s.phases[0].warmup_epochs = 999.0),
            ("at least 2", |s| s.phases[1].distillation = Distillation::InPlace(SoftTargets::default())),
            ("temperature 0", |s| {
                s.phases[2].distillation =
                    Distillation::InPlace(SoftTargets { temperature: 0.0, ..SoftTargets::default() });
            }),
        ];
        for (expected, change) in cases {
            let mut broken = good.clone();
            change(&mut broken);
            let message = broken.validate(&space, false).unwrap_err().to_string();
            assert!(message.contains(expected), "{expected}: {message}");
        }
        let mut without_full = good.clone();
        without_full.phases.remove(0);
        assert!(without_full.validate(&space, false).is_err());
        without_full.validate(&space, true).unwrap();
        assert!(soft(-1.0).problem().unwrap().contains("weight -1"));
        assert_eq!(soft(2.0).problem(), None);
    }

    #[test]
    fn a_teacher_may_be_trained_at_some_resolutions_alone() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let mut schedule = Schedule::progressive_shrinking(&space, &ScheduleRecipe::iclr2020());
        let lowest = SearchSpace { resolutions: vec![20], ..schedule.phases[0].opened.of(&space) };
        schedule.phases[0].opened = Opened::Space(Box::new(lowest));
        schedule.validate(&space, false).unwrap();
    }

    #[test]
    fn phases_learn_from_elsewhere_until_one_of_them_becomes_the_teacher() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let mut schedule = Schedule::progressive_shrinking(&space, &ScheduleRecipe::iclr2020());
        assert!(!schedule.learns_from_elsewhere());
        schedule.phases[0].distillation = Distillation::teacher(1.0);
        assert!(schedule.learns_from_elsewhere(), "it becomes the teacher only at its end");
        schedule.phases[0].distillation = Distillation::None;
        schedule.phases[0].becomes_teacher = false;
        assert!(schedule.learns_from_elsewhere());
    }
}
