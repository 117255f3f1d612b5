//! [`Exhaustive`]: tries every arch.

use crate::{SearchStrategy, Trial};
use ofa_model::{Arch, SearchSpace, StageArch, StageSpace};
use rand::Rng;

/// Proposes every arch of a space once, at every resolution.
///
/// The answer is the optimum if the search ends as [`Stop::Finished`](crate::Stop::Finished). Otherwise it stopped at
/// the budget, or after too many infeasible archs in a row.
#[derive(Clone, Debug, Default)]
pub struct Exhaustive {
    last: Option<Arch>,
}

impl SearchStrategy for Exhaustive {
    fn name(&self) -> &str {
        "exhaustive"
    }

    fn batch_size(&self) -> usize {
        256
    }

    fn ask(&mut self, space: &SearchSpace, _: &mut dyn Rng) -> Option<Arch> {
        let next = match &self.last {
            None => space.smallest(),
            Some(last) => following(space, last)?,
        };
        self.last = Some(next.clone());
        Some(next)
    }

    fn tell(&mut self, _: Trial) {}
}

/// The arch after `arch`, resolutions counting fastest. `None` after the last.
fn following(space: &SearchSpace, arch: &Arch) -> Option<Arch> {
    let mut arch = arch.clone();
    let counted = advance(&mut arch.resolution, &space.resolutions)
        || arch.stages.iter_mut().zip(&space.stages).any(|(stage, choices)| advance_stage(stage, choices));
    counted.then_some(arch)
}

/// Advances the blocks' choices, then the width, then the depth. Returns `false` if the stage wrapped around.
fn advance_stage(stage: &mut StageArch, choices: &StageSpace) -> bool {
    let counted = stage.blocks.iter_mut().any(|block| {
        advance(&mut block.kernel_size, &choices.kernel_sizes)
            || advance(&mut block.expand_ratio, &choices.expand_ratios)
    });
    if counted || advance(&mut stage.width, &choices.widths) {
        return true;
    }
    // All blocks have wrapped around to their first choice.
    let (mut depth, first) = (stage.blocks.len(), stage.blocks[0]);
    let counted = advance(&mut depth, &choices.depths);
    stage.blocks.resize(depth, first);
    counted
}

/// Advances to the next choice, or wraps around to the first and returns `false`.
fn advance<T: Copy + PartialEq>(made: &mut T, choices: &[T]) -> bool {
    let next = choices.iter().skip_while(|choice| *choice != made).nth(1);
    *made = next.copied().unwrap_or(choices[0]);
    next.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{additive_accuracy, all_archs, two_stages};
    use crate::{Budget, Constraint, Problem, Stop, search};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::collections::HashSet;

    #[test]
    fn every_arch_is_tried_once_and_the_best_is_the_optimum() {
        let space = two_stages();
        let archs = all_archs(&space);
        assert_eq!(archs.len(), 2 * 20 * 40);
        for limit in [7e4, 1e5, 1e9] {
            let constraints = vec![Constraint::macs(&space, limit)];
            let problem = Problem { space: &space, objective: &additive_accuracy, constraints };
            let (rng, mut tried) = (&mut ChaCha8Rng::seed_from_u64(1), HashSet::new());
            let observe = |trial: &Trial| assert!(tried.insert(trial.arch.clone()), "{} again", trial.arch);
            let outcome = search(&problem, &mut Exhaustive::default(), Budget::new(2000), rng, observe).unwrap();
            let feasible = |arch: &&Arch| space.cost(arch).macs as f64 <= limit;
            let expected: HashSet<Arch> = archs.iter().filter(feasible).cloned().collect();
            assert_eq!(tried, expected);
            assert_eq!((outcome.stop, outcome.rejected.duplicate), (Stop::Finished, 0));
            let optimum = expected.iter().map(additive_accuracy).fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(outcome.best.score, optimum);
        }
    }

    #[test]
    fn a_larger_space_ends_with_the_budget() {
        let space = SearchSpace::mobilenet_v3(1.0, 1000);
        let problem = Problem { space: &space, objective: &additive_accuracy, constraints: vec![] };
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let outcome = search(&problem, &mut Exhaustive::default(), Budget::new(300), rng, |_| ()).unwrap();
        assert_eq!((outcome.stop, outcome.queries), (Stop::Budget, 300));
    }
}
