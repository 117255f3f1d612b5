//! The choices trained before a phase.

use super::Schedule;
use ofa_model::{SearchSpace, StageSpace};

impl Schedule {
    /// The union of the choices of `whole` that the phases before `phase` (from 0) open, at all its resolutions.
    ///
    /// What was trained before the first phase is unknown. It is assumed to be what that phase opens, except the
    /// narrowest expand ratio if there are several: what progressive shrinking has trained when it opens that ratio.
    pub(crate) fn trained_before(&self, phase: usize, whole: &SearchSpace) -> SearchSpace {
        if phase == 0 {
            return without_narrowest(self.phases[0].opened.of(whole));
        }
        let opened: Vec<SearchSpace> = self.phases[..phase].iter().map(|phase| phase.opened.of(whole)).collect();
        let mut trained = whole.clone();
        for (s, stage) in trained.stages.iter_mut().enumerate() {
            let opened: Vec<&StageSpace> = opened.iter().map(|space| &space.stages[s]).collect();
            keep(&mut stage.widths, &opened, |stage| &stage.widths);
            keep(&mut stage.depths, &opened, |stage| &stage.depths);
            keep(&mut stage.kernel_sizes, &opened, |stage| &stage.kernel_sizes);
            keep(&mut stage.expand_ratios, &opened, |stage| &stage.expand_ratios);
        }
        trained
    }
}

/// Keeps the `choices` that at least one of the stages offers.
fn keep<T: PartialEq>(choices: &mut Vec<T>, stages: &[&StageSpace], offered: fn(&StageSpace) -> &Vec<T>) {
    choices.retain(|choice| stages.iter().any(|stage| offered(stage).contains(choice)));
}

fn without_narrowest(mut space: SearchSpace) -> SearchSpace {
    for stage in &mut space.stages {
        let narrowest = usize::from(stage.expand_ratios.len() > 1);
        stage.expand_ratios.drain(..narrowest);
    }
    space
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChoiceCounts, Opened, ScheduleKind, ScheduleRecipe};
    use ofa_model::Ratio;

    fn schedule(kind: ScheduleKind, space: &SearchSpace) -> Schedule {
        kind.schedule(space, &ScheduleRecipe::iclr2020())
    }

    /// Index of the phase `name`.
    fn index(schedule: &Schedule, name: &str) -> usize {
        schedule.phases.iter().position(|phase| phase.name == name).unwrap()
    }

    fn ratios(values: &[u16]) -> Vec<Ratio> {
        values.iter().map(|&value| Ratio::from(value)).collect()
    }

    #[test]
    fn before_an_expand_phase_of_mobile_networks_all_but_its_narrowest_ratio_was_trained() {
        for space in [SearchSpace::small_mobilenet_v3(1, 10), SearchSpace::mobilenet_v3(1.0, 1000)] {
            let schedule = schedule(ScheduleKind::ProgressiveShrinking, &space);
            for (name, expected) in [("expand 1", &[6][..]), ("expand 2", &[4, 6][..])] {
                let phase = index(&schedule, name);
                let trained = schedule.trained_before(phase, &space);
                assert!(trained.is_within(&space));
                assert!(trained.stages.iter().all(|stage| stage.expand_ratios == ratios(expected)), "{name}");
                // Equal to the guess made before schedules were consulted, so training results do not change.
                assert_eq!(trained, without_narrowest(schedule.phases[phase].opened.of(&space)), "{name}");
            }
        }
    }

    #[test]
    fn before_the_first_compound_phase_the_widest_ratio_alone_was_trained() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let schedule = schedule(ScheduleKind::Compofa, &space);
        let trained = schedule.trained_before(index(&schedule, "compound 1"), &space);
        assert_eq!(trained, Opened::Largest(ChoiceCounts::ONE).of(&space));
        assert_eq!(schedule.trained_before(index(&schedule, "compound 2"), &space), space);
    }

    #[test]
    fn before_the_first_expand_phase_of_resnets_their_full_width_alone_was_trained() {
        let space = SearchSpace::resnet50d(10);
        let schedule = schedule(ScheduleKind::ProgressiveShrinking, &space);
        let trained = schedule.trained_before(index(&schedule, "expand 1"), &space);
        assert!(trained.stages.iter().all(|stage| stage.widths == [Ratio::ONE]));
        assert!(trained.stages.iter().all(|stage| stage.expand_ratios.len() == 1));
        let trained = schedule.trained_before(index(&schedule, "expand 2"), &space);
        let widths = [0.8, 1.0].map(|width| Ratio::try_from(width).unwrap());
        assert!(trained.stages.iter().all(|stage| stage.widths == widths));
    }

    #[test]
    fn stages_with_fewer_ratios_have_trained_all_of_theirs_earlier() {
        let mut space = SearchSpace::small_mobilenet_v3(1, 10);
        space.stages[1].expand_ratios = ratios(&[4, 6]);
        let schedule = schedule(ScheduleKind::ProgressiveShrinking, &space);
        let trained = schedule.trained_before(index(&schedule, "expand 2"), &space);
        assert!(trained.stages.iter().all(|stage| stage.expand_ratios == ratios(&[4, 6])));
    }

    #[test]
    fn what_any_phase_opened_counts_and_the_first_is_a_guess() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let mut schedule = schedule(ScheduleKind::ProgressiveShrinking, &space);
        schedule.phases.truncate(3);
        schedule.phases[0].opened = Opened::Smallest(ChoiceCounts::ONE);
        schedule.phases[1].opened = Opened::Largest(ChoiceCounts::ONE);
        let trained = schedule.trained_before(2, &space);
        assert!(trained.stages.iter().all(|stage| stage.expand_ratios == ratios(&[3, 6])));
        assert_eq!((&trained.stages[0].depths[..], &trained.stages[0].kernel_sizes[..]), (&[2, 4][..], &[3, 7][..]));
        schedule.phases[0].opened = Opened::All;
        assert!(schedule.trained_before(0, &space).stages.iter().all(|stage| stage.expand_ratios == ratios(&[4, 6])));
    }
}
