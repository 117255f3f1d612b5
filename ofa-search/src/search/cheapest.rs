//! The cheapest arch of a space: detects an impossible budget before a search starts.

use crate::problem::finite;
use crate::{Constraint, Problem, SearchError};
use ofa_model::{Arch, BlockArch, SearchSpace, StageArch};

/// The cheapest arch found, and its cost.
///
/// Coordinate descent from the smallest arch at each resolution: changes one width, one depth or one block's (kernel
/// size, expand ratio) pair at a time while that lowers the cost. The result is the global minimum if the cost never
/// falls when a choice grows (MACs, parameters). It is also the global minimum if widths do not vary and the cost is a
/// sum of non-negative terms that each depend on the resolution and one block (latency by table). Otherwise it is a
/// local minimum.
///
/// # Panics
///
/// If the space is invalid.
pub fn cheapest_arch(space: &SearchSpace, cost: impl Fn(&Arch) -> f64) -> (Arch, f64) {
    let smallest = space.smallest();
    let descents = space.resolutions.iter().map(|&r| descend(space, smallest.at_resolution(r), &cost));
    descents.min_by(|(_, a), (_, b)| a.total_cmp(b)).expect("a valid space offers a resolution")
}

impl Problem<'_> {
    /// Looks for an arch that meets every constraint, without querying the objective. `None` if it finds none.
    ///
    /// # Errors
    ///
    /// [`SearchError::Infeasible`] or [`SearchError::TooCheap`] if a single constraint cannot be met, as judged by
    /// [`cheapest_arch`]; [`SearchError::InvalidSetting`] if a limit or lower bound makes no sense.
    pub fn feasible_arch(&self) -> Result<Option<Arch>, SearchError> {
        for &Constraint { limit, lower, .. } in &self.constraints {
            let refuse = |setting, value: f64, problem| {
                Err(SearchError::InvalidSetting { setting, value: value.to_string(), problem })
            };
            if !(limit.is_finite() && limit > 0.0) {
                return refuse("limit", limit, "a limit must be positive and finite");
            }
            if lower.is_nan() || lower > limit {
                return refuse("lower", lower, "the lowest cost must not exceed the limit");
            }
        }
        for &resolution in &self.space.resolutions {
            let arch = self.space.smallest().at_resolution(resolution);
            if self.allows(&self.costs(&arch)?) {
                return Ok(Some(arch));
            }
        }
        self.constraints.iter().try_for_each(|constraint| constraint.check_ends(self.space))?;
        let excess = |arch: &Arch| {
            let excesses = self.constraints.iter().map(|constraint| constraint.excess((constraint.cost)(arch)));
            excesses.fold(f64::NEG_INFINITY, f64::max)
        };
        let (arch, _) = cheapest_arch(self.space, excess);
        Ok(self.allows(&self.costs(&arch)?).then_some(arch))
    }
}

impl Constraint<'_> {
    /// Refuses a limit below the cheapest arch, and a lower bound above the most expensive one.
    fn check_ends(&self, space: &SearchSpace) -> Result<(), SearchError> {
        let Self { name, unit, limit, lower, cost } = self;
        let (arch, lowest) = cheapest_arch(space, cost);
        if finite(name, &arch, lowest)? > *limit {
            let (constraint, unit, arch) = (name.clone(), unit.clone(), arch.to_string());
            return Err(SearchError::Infeasible { constraint, unit, limit: *limit, arch, cost: lowest });
        }
        if *lower > f64::NEG_INFINITY {
            let (arch, negative) = cheapest_arch(space, |arch| -cost(arch));
            if finite(name, &arch, -negative)? < *lower {
                let (constraint, unit, arch) = (name.clone(), unit.clone(), arch.to_string());
                return Err(SearchError::TooCheap { constraint, unit, lower: *lower, arch, cost: -negative });
            }
        }
        Ok(())
    }
}

fn descend(space: &SearchSpace, start: Arch, cost: &impl Fn(&Arch) -> f64) -> (Arch, f64) {
    let mut lowest = cost(&start);
    let mut arch = start;
    loop {
        let before = lowest;
        for stage in 0..space.stages.len() {
            for place in 0..=arch.stages[stage].blocks.len() {
                // The last place stands for the depth and the width.
                for change in changes(space, &arch, stage, place) {
                    let cost = cost(&change);
                    if cost < lowest {
                        (arch, lowest) = (change, cost);
                    }
                }
            }
        }
        if lowest >= before || lowest.is_nan() {
            return (arch, lowest);
        }
    }
}

/// `arch` with each alternative for one block, or for the depth and width of the stage if `place` is past its last
/// block.
fn changes(space: &SearchSpace, arch: &Arch, stage: usize, place: usize) -> Vec<Arch> {
    let choices = &space.stages[stage];
    let with = |change: &dyn Fn(&mut StageArch)| {
        let mut arch = arch.clone();
        change(&mut arch.stages[stage]);
        arch
    };
    let blocks = &arch.stages[stage].blocks;
    if place >= blocks.len() {
        let last = blocks[blocks.len() - 1];
        let depths = choices.depths.iter().map(|&depth| with(&|stage| stage.blocks.resize(depth, last)));
        return depths.chain(choices.widths.iter().map(|&width| with(&|stage| stage.width = width))).collect();
    }
    let pairs = choices.kernel_sizes.iter().flat_map(|&kernel_size| {
        choices.expand_ratios.iter().map(move |&expand_ratio| BlockArch { kernel_size, expand_ratio })
    });
    pairs.map(|block| with(&|stage| stage.blocks[place] = block)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::AdditiveCost;
    use crate::testing::{all_archs, tiny_space};
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn problem<'a>(space: &'a SearchSpace, constraints: Vec<Constraint<'a>>) -> Problem<'a> {
        Problem { space, objective: &|_: &Arch| 0.0, constraints }
    }

    proptest! {
        /// Guarantee: the minimum of any non-negative sum over blocks is found, however odd the sum.
        #[test]
        fn the_cheapest_arch_of_a_random_sum_is_found(seed: u64) {
            let space = tiny_space();
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let cost = AdditiveCost::new(&space, |_| rng.random::<f64>());
            let (arch, lowest) = cheapest_arch(&space, |arch| cost.of(arch));
            let true_lowest = all_archs(&space).iter().map(|arch| cost.of(arch)).fold(f64::INFINITY, f64::min);
            prop_assert_eq!(lowest, true_lowest, "{}", arch);
        }
    }

    #[test]
    fn an_infeasible_limit_names_the_cheapest_arch() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let cheapest = space.smallest();
        let macs = space.cost(&cheapest).macs as f64;
        let error = problem(&space, vec![Constraint::macs(&space, macs - 1.0)]).feasible_arch().unwrap_err();
        let SearchError::Infeasible { constraint, arch, cost, .. } = &error else { panic!("{error}") };
        assert_eq!((constraint.as_str(), arch.as_str(), *cost), ("MACs", cheapest.to_string().as_str(), macs));
        assert_eq!(problem(&space, vec![Constraint::macs(&space, macs)]).feasible_arch().unwrap(), Some(cheapest));
    }

    #[test]
    fn a_feasible_arch_is_found_where_the_smallest_is_not_feasible() {
        let space = tiny_space();
        // Larger kernels are cheaper here, and MACs are constrained too.
        let kernels = |arch: &Arch| 20.0 - arch.stages[0].blocks.iter().map(|b| b.kernel_size as f64).sum::<f64>();
        let constraints = vec![Constraint::at_most("odd", 15.0, "points", kernels), Constraint::macs(&space, 1e6)];
        let problem = problem(&space, constraints);
        let arch = problem.feasible_arch().unwrap().unwrap();
        assert!(problem.allows(&problem.costs(&arch).unwrap()), "{arch}");
    }

    proptest! {
        /// A band around the cost of any arch is met.
        #[test]
        fn a_feasible_arch_is_found_in_a_band(seed: u64) {
            let space = SearchSpace::mobilenet_v3(1.0, 1000);
            let macs = AdditiveCost::macs(&space);
            let middle = macs.of(&space.sample(&mut ChaCha8Rng::seed_from_u64(seed)));
            let problem = problem(&space, vec![Constraint::macs(&space, 1.01 * middle).at_least(0.99 * middle)]);
            let arch = problem.feasible_arch().unwrap().expect("the band holds many archs");
            prop_assert!((0.99 * middle..=1.01 * middle).contains(&macs.of(&arch)));
        }
    }

    #[test]
    fn a_band_above_the_dearest_arch_names_it() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let dearest = space.largest();
        let macs = space.cost(&dearest).macs as f64;
        let band = |lower| problem(&space, vec![Constraint::macs(&space, 2.0 * macs).at_least(lower)]).feasible_arch();
        let error = band(macs + 1.0).unwrap_err();
        let SearchError::TooCheap { constraint, arch, cost, .. } = &error else { panic!("{error}") };
        assert_eq!((constraint.as_str(), arch.as_str(), *cost), ("MACs", dearest.to_string().as_str(), macs));
        assert_eq!(band(macs).unwrap(), Some(dearest));
        assert!(band(3.0 * macs).unwrap_err().to_string().starts_with("lower is "));
        assert!(band(f64::NAN).unwrap_err().to_string().starts_with("lower is NaN"));
    }

    #[test]
    fn impossible_limits_and_costs_are_named() {
        let space = tiny_space();
        let refuse = |limit, cost: fn(&Arch) -> f64| {
            problem(&space, vec![Constraint::at_most("energy", limit, "mJ", cost)])
                .feasible_arch()
                .unwrap_err()
                .to_string()
        };
        assert!(refuse(0.0, |_| 1.0).starts_with("limit is 0"));
        assert!(refuse(f64::NAN, |_| 1.0).starts_with("limit is NaN"));
        assert!(refuse(1.0, |_| f64::NAN).starts_with("energy of arch `r8-k3e3` is NaN"));
    }
}
