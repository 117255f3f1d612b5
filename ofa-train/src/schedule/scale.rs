//! Scaling of schedules to another length.

use super::Schedule;

impl Schedule {
    /// Scales the schedule to `subnet_epochs`, as closely as whole epochs allow. Phases keep approximately their
    /// proportions and at least one epoch each. Warm-up keeps its share of each phase. Learning rates are unchanged:
    /// short schedules may need other values.
    pub fn scale_to(&self, subnet_epochs: usize) -> Self {
        let factor = subnet_epochs as f64 / self.subnet_epochs() as f64;
        let mut scaled = self.clone();
        for phase in &mut scaled.phases {
            phase.epochs = ((phase.epochs as f64 * factor).round() as usize).max(1);
        }
        scaled.mend_rounding(self, factor, subnet_epochs);
        for (phase, whole) in scaled.phases.iter_mut().zip(&self.phases) {
            phase.warmup_epochs = whole.warmup_epochs * phase.epochs as f64 / whole.epochs as f64;
        }
        scaled
    }

    /// Adds or removes one epoch at a time, at the phase furthest below or above its ideal length, while that brings
    /// the total closer to `wanted`.
    fn mend_rounding(&mut self, whole: &Self, factor: f64, wanted: usize) {
        loop {
            let now = self.subnet_epochs();
            let missing = wanted as f64 - now as f64;
            let excess = |i: usize| self.phases[i].epochs as f64 - factor * whole.phases[i].epochs as f64;
            let helps = |i: &usize| {
                let change = self.phases[*i].subnets_per_step as f64;
                (missing.abs() - change).abs() < missing.abs() && (missing > 0.0 || self.phases[*i].epochs > 1)
            };
            let phases = (0..self.phases.len()).filter(helps);
            let by_excess = |a: &usize, b: &usize| excess(*a).total_cmp(&excess(*b));
            let chosen = if missing > 0.0 { phases.min_by(by_excess) } else { phases.max_by(by_excess) };
            match chosen {
                Some(i) if missing > 0.0 => self.phases[i].epochs += 1,
                Some(i) => self.phases[i].epochs -= 1,
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{ScheduleKind, ScheduleRecipe};
    use ofa_model::SearchSpace;

    #[test]
    fn proportions_stay_and_the_sum_is_met() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        for &kind in ScheduleKind::ALL {
            let whole = kind.schedule(&space, &ScheduleRecipe::iclr2020());
            for wanted in [40, 100, 333, 1205, 3000] {
                let scaled = whole.scale_to(wanted);
                let widest = scaled.phases.iter().map(|phase| phase.subnets_per_step).max().unwrap();
                assert!(
                    scaled.subnet_epochs().abs_diff(wanted) < widest,
                    "{kind} {wanted}: {}",
                    scaled.subnet_epochs()
                );
                let factor = wanted as f64 / whole.subnet_epochs() as f64;
                for (a, b) in scaled.phases.iter().zip(&whole.phases) {
                    let (found, ideal) = (a.epochs as f64, b.epochs as f64 * factor);
                    assert!((found - ideal).abs() <= 2.5 || found == 1.0, "{kind} {wanted}: {found} for {ideal}");
                    let share = |phase: &crate::Phase| phase.warmup_epochs / phase.epochs as f64;
                    assert!((share(a) - share(b)).abs() < 1e-12);
                }
                scaled.validate(&space, false).unwrap();
            }
        }
    }

    #[test]
    fn no_phase_vanishes() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let whole = ScheduleKind::ProgressiveShrinking.schedule(&space, &ScheduleRecipe::iclr2020());
        let least = whole.scale_to(1);
        assert!(least.phases.iter().all(|phase| phase.epochs == 1));
        assert_eq!(whole.scale_to(1205), whole);
    }
}
