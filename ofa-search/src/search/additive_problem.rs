//! [`AdditiveProblem`]: the proven optimum of a score and a cost that are sums over blocks.

mod graph;

use crate::SearchError;
use crate::cost::AdditiveCost;
use crate::problem::finite;
use graph::{Graph, Path};
use ofa_model::{Arch, SearchSpace};

/// Maximises an additive score under a limit on an additive cost.
///
/// Needs no search: [`AdditiveProblem::solve`] finds the optimum of 2e19 networks in milliseconds. Use it to judge
/// search strategies, or as the answer itself when scores are learned per block.
#[derive(Clone, Copy, Debug)]
pub struct AdditiveProblem<'a> {
    /// The archs to choose from.
    pub space: &'a SearchSpace,
    /// What to maximise.
    pub score: &'a AdditiveCost,
    /// What is constrained.
    pub cost: &'a AdditiveCost,
    /// Name of the cost, e.g. `latency`.
    pub name: &'a str,
    /// Unit of the cost, e.g. `ms`.
    pub unit: &'a str,
    /// The highest cost allowed.
    pub limit: f64,
}

/// The solution of an [`AdditiveProblem`].
#[derive(Clone, Debug, PartialEq)]
pub struct Optimum {
    /// The arch.
    pub arch: Arch,
    /// Its score. No feasible arch exceeds it by more than rounding.
    pub score: f64,
    /// Its cost.
    pub cost: f64,
}

impl AdditiveProblem<'_> {
    /// Solves the problem exactly.
    ///
    /// Dynamic programming over the blocks of each resolution keeps the partial archs with the best trade-offs between
    /// cost and score. It drops those that cannot beat the best known arch, by the Lagrangian bound: the highest score
    /// minus price times cost, at the best price for the resolution.
    ///
    /// # Errors
    ///
    /// [`SearchError::Infeasible`], naming the cheapest arch, if nothing meets the limit;
    /// [`SearchError::InvalidSetting`] if the limit is not finite; [`SearchError::NotFinite`] if the score or cost of
    /// the solution is not.
    ///
    /// # Panics
    ///
    /// If score or cost belongs to a space that lacks a choice of this one.
    pub fn solve(&self) -> Result<Optimum, SearchError> {
        if !self.limit.is_finite() {
            let problem = "a limit must be finite";
            return Err(SearchError::InvalidSetting { setting: "limit", value: self.limit.to_string(), problem });
        }
        let (mut open, mut cheapest) = (Vec::new(), None::<Path>);
        for &resolution in &self.space.resolutions {
            let graph = Graph::new(self, resolution);
            match graph.relax(self.limit) {
                Ok(relaxation) => open.push((graph, relaxation)),
                Err(path) if cheapest.as_ref().is_none_or(|other| path.sums.cost < other.sums.cost) => {
                    cheapest = Some(path)
                }
                Err(_) => (),
            }
        }
        // Start with the most promising resolution: its optimum rules out most others by their bounds alone.
        open.sort_by(|(_, a), (_, b)| b.bound.total_cmp(&a.bound));
        let known = open.iter().map(|(_, relaxation)| &relaxation.known);
        let Some(mut best) = known.max_by(|a, b| a.sums.score.total_cmp(&b.sums.score)).cloned() else {
            return Err(self.infeasible(&cheapest.expect("a valid space offers a resolution")));
        };
        for (graph, relaxation) in &open {
            if let Some(better) = graph.better_than(best.sums.score, relaxation, self.limit) {
                best = better;
            }
        }
        let arch = best.arch(self.space);
        let score = finite("score", &arch, self.score.of(&arch))?;
        let cost = finite(self.name, &arch, self.cost.of(&arch))?;
        Ok(Optimum { arch, score, cost })
    }

    fn infeasible(&self, cheapest: &Path) -> SearchError {
        SearchError::Infeasible {
            constraint: self.name.to_owned(),
            unit: self.unit.to_owned(),
            limit: self.limit,
            arch: cheapest.arch(self.space).to_string(),
            cost: cheapest.sums.cost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::PlacedBlock;
    use crate::testing::{additive_accuracy, all_archs, tiny_space, two_stages};
    use crate::{Budget, Constraint, Exhaustive, Problem, Stop, search};
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Scores and costs of either sign, with many ties, at limits from infeasible to loose.
        #[test]
        fn the_optimum_is_that_of_trying_every_arch(seed: u64, share in -0.05..1.05f64, coarse: bool) {
            let space = two_stages();
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let mut draw = || {
                let value: f64 = rng.random_range(-1.0..3.0);
                if coarse { value.round() } else { value }
            };
            let score = AdditiveCost::by_block(&space, |_| 0.0, |_| draw());
            let cost = AdditiveCost::by_block(&space, |resolution| resolution as f64 / 4.0, |_| draw());
            let archs = all_archs(&space);
            let (low, high) = archs.iter().map(|arch| cost.of(arch)).fold((f64::MAX, f64::MIN), |(low, high), cost| {
                (low.min(cost), high.max(cost))
            });
            let limit = low + share * (high - low);
            let problem = AdditiveProblem { space: &space, score: &score, cost: &cost, name: "energy", unit: "mJ", limit };
            let feasible = archs.iter().filter(|arch| cost.of(arch) <= limit);
            let highest = feasible.map(|arch| score.of(arch)).max_by(f64::total_cmp);
            match (problem.solve(), highest) {
                (Ok(found), Some(highest)) => {
                    prop_assert!((found.score - highest).abs() < 1e-9, "{} against {highest}", found.score);
                    prop_assert!(found.cost <= limit && space.contains(&found.arch));
                    prop_assert_eq!((found.score, found.cost), (score.of(&found.arch), cost.of(&found.arch)));
                }
                (Err(SearchError::Infeasible { cost, .. }), None) => prop_assert!((cost - low).abs() < 1e-9),
                (found, highest) => prop_assert!(false, "{found:?} against {highest:?}"),
            }
        }
    }

    #[test]
    fn macs_of_networks_with_elastic_widths_add_up_as_exhaustive_search_says() {
        let space = two_stages();
        let macs = AdditiveCost::macs(&space);
        let sums = AdditiveCost::by_block(
            &space,
            |resolution| 0.5 + 0.05 * (resolution as f64).ln(),
            |placed| {
                let PlacedBlock { block, choices, .. } = placed;
                (choices.kernel_size as f64).ln() * 0.004 / (block + 1) as f64
                    + choices.expand_ratio.value().sqrt() * 0.006
            },
        );
        for limit in [7e4, 8e4, 1e5, 2e5] {
            let constraints = vec![Constraint::macs(&space, limit)];
            let problem = Problem { space: &space, objective: &additive_accuracy, constraints };
            let rng = &mut ChaCha8Rng::seed_from_u64(1);
            let outcome = search(&problem, &mut Exhaustive::default(), Budget::new(2000), rng, |_| ()).unwrap();
            assert_eq!(outcome.stop, Stop::Finished);
            let problem =
                AdditiveProblem { space: &space, score: &sums, cost: &macs, name: "MACs", unit: "MACs", limit };
            let found = problem.solve().unwrap();
            assert!((found.score - outcome.best.score).abs() < 1e-12, "{} at {limit}", outcome.best.score);
        }
    }

    #[test]
    fn the_published_space_is_solved_and_no_single_change_is_better() {
        let space = SearchSpace::mobilenet_v3(1.0, 1000);
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let score = AdditiveCost::by_block(&space, |resolution| resolution as f64 / 100.0, |_| rng.random());
        let (cost, limit) = (AdditiveCost::macs(&space), 2e8);
        let problem = AdditiveProblem { space: &space, score: &score, cost: &cost, name: "MACs", unit: "MACs", limit };
        let found = problem.solve().unwrap();
        assert!(found.cost <= limit);
        for change in crate::strategies::Change::all(&space, &found.arch) {
            let other = change.of(&found.arch);
            assert!(cost.of(&other) > limit || score.of(&other) <= found.score, "{other}");
        }
    }

    #[test]
    fn a_limit_that_is_not_finite_is_refused() {
        let space = tiny_space();
        let cost = AdditiveCost::macs(&space);
        let limit = f64::NAN;
        let problem = AdditiveProblem { space: &space, score: &cost, cost: &cost, name: "MACs", unit: "MACs", limit };
        assert!(problem.solve().unwrap_err().to_string().starts_with("limit is NaN"));
    }
}
