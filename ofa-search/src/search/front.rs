//! [`Front`]: the best trade-offs found by a search.

use crate::Trial;
use crate::statistics::hypervolume;

/// Pareto front over the score and all costs. Fill it from the `observe` callback of any [`search()`](crate::search()).
///
/// ```
/// use ofa_model::{Arch, SearchSpace};
/// use ofa_search::*;
/// use rand::SeedableRng;
/// use rand_chacha::ChaCha8Rng;
///
/// let space = SearchSpace::small_mobilenet_v3(1, 10);
/// let depth = |arch: &Arch| arch.depths().iter().sum::<usize>() as f64;
/// let constraints = vec![Constraint::macs(&space, 4e6), Constraint::parameters(&space, 1e6)];
/// let problem = Problem { space: &space, objective: &depth, constraints };
/// let (rng, mut front) = (&mut ChaCha8Rng::seed_from_u64(1), Front::default());
/// search(&problem, &mut Nsga2::default(), Budget::new(500), rng, |trial| front.add(trial))?;
/// let [shallowest, .., deepest] = front.trials() else { panic!("one trade-off") };
/// assert!(shallowest.costs[0] < deepest.costs[0]);
/// # Ok::<(), SearchError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Front {
    trials: Vec<Trial>,
}

impl Front {
    /// Adds `trial` unless a trial of the front beats it, and drops those it beats. Of equal trials the first stays.
    pub fn add(&mut self, trial: &Trial) {
        let equals = |other: &Trial| other.score == trial.score && other.costs == trial.costs;
        if self.trials.iter().any(|other| equals(other) || other.beats(trial)) {
            return;
        }
        self.trials.retain(|other| !trial.beats(other));
        let cheaper = |other: &Trial| other.costs.iter().partial_cmp(&trial.costs).is_some_and(|order| order.is_lt());
        let place = self.trials.partition_point(cheaper);
        self.trials.insert(place, trial.clone());
    }

    /// All trials, by ascending costs.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The [`hypervolume`] of the first cost and the score, relative to a reference `(cost, score)`.
    ///
    /// # Panics
    ///
    /// If a trial has no cost.
    pub fn hypervolume(&self, reference: (f64, f64)) -> f64 {
        hypervolume(&self.trials.iter().map(|trial| (trial.costs[0], trial.score)).collect::<Vec<_>>(), reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::pareto_front;
    use proptest::prelude::*;

    fn trial(query: usize, score: f64, costs: Vec<f64>) -> Trial {
        Trial { arch: "r8-k3e3".parse().unwrap(), score, costs, query: query as u64 }
    }

    proptest! {
        #[test]
        fn with_one_cost_it_is_the_pareto_front(points in proptest::collection::vec((0u8..9, 0u8..9), 1..40)) {
            let points: Vec<(f64, f64)> = points.iter().map(|&(c, s)| (c.into(), s.into())).collect();
            let mut front = Front::default();
            for (query, &(cost, score)) in points.iter().enumerate() {
                front.add(&trial(query, score, vec![cost]));
            }
            let found: Vec<usize> = front.trials().iter().map(|trial| trial.query as usize).collect();
            prop_assert_eq!(found, pareto_front(&points));
        }

        #[test]
        fn with_two_costs_it_is_what_nothing_beats(points in proptest::collection::vec((0u8..5, 0u8..5, 0u8..5), 1..40)) {
            let trials: Vec<Trial> = (points.iter().enumerate())
                .map(|(i, &(a, b, score))| trial(i, score.into(), vec![a.into(), b.into()]))
                .collect();
            let mut front = Front::default();
            trials.iter().for_each(|trial| front.add(trial));
            for trial in &trials {
                let beaten = trials.iter().any(|other| other.beats(trial));
                let kept = front.trials().iter().any(|other| (other.score, &other.costs) == (trial.score, &trial.costs));
                prop_assert_eq!(kept, !beaten);
            }
            prop_assert!(front.trials().windows(2).all(|pair| pair[0].costs < pair[1].costs));
        }
    }
}
