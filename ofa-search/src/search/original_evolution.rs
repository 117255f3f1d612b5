//! [`original_evolution`]: the evolutionary search of the authors' code, as a baseline.

use crate::problem::finite;
use crate::{Budget, EvolutionConfig, Improvement, Problem, Rejected, SearchError, SearchOutcome, Stop, Trial};
use ofa_model::{Arch, BlockArch, SearchSpace, StageArch, StageSpace};
use rand::{Rng, RngExt};

/// Searches like `EvolutionFinder` of the authors' code, with the encoder of their mobile networks.
///
/// It is not a [`SearchStrategy`](crate::SearchStrategy), because it does what [`search()`](crate::search()) rules out:
///
/// - It scores an arch again, and pays for it, each time the arch is proposed.
/// - It draws children of the same parents until one is feasible.
/// - It carries genes of skipped blocks.
/// - It reports the best parent, so the last generation counts for nothing.
///
/// A block's kernel size and expand ratio mutate together, and parents are the best of any resolution. Random numbers
/// differ from the original's.
///
/// Only whole generations run, as many as the budget's queries allow. Where the original would draw forever, this gives
/// up after the budget's rejections in a row.
///
/// # Errors
///
/// Those of [`search()`](crate::search()), and [`SearchError::InvalidSetting`] if a setting is impossible, the budget
/// has fewer queries than two generations, or the space has elastic widths, which the authors' mobile networks lack.
pub fn original_evolution(
    problem: &Problem<'_>,
    config: EvolutionConfig,
    budget: Budget,
    rng: &mut dyn Rng,
) -> Result<SearchOutcome, SearchError> {
    config.validate()?;
    let refuse = |setting, value: String, problem| Err(SearchError::InvalidSetting { setting, value, problem });
    if budget.queries < 2 * config.population as u64 {
        return refuse("queries", budget.queries.to_string(), "it must cover two generations");
    }
    if problem.space.stages.iter().any(|stage| stage.widths.len() > 1) {
        return refuse("space", problem.space.name.clone(), "the original's mobile networks have no elastic widths");
    }
    problem.feasible_arch()?;
    let mut run = Run { problem, config, budget, queries: 0, rejected: Rejected::default() };
    run.generations(rng)
}

struct Run<'a> {
    problem: &'a Problem<'a>,
    config: EvolutionConfig,
    budget: Budget,
    queries: u64,
    rejected: Rejected,
}

impl Run<'_> {
    fn generations(&mut self, rng: &mut dyn Rng) -> Result<SearchOutcome, SearchError> {
        let config = self.config;
        let EvolutionConfig { population, parent_ratio, mutation_ratio, .. } = config;
        let parents = ((population as f64 * parent_ratio).round() as usize).max(1);
        let mutants = (population as f64 * mutation_ratio).round() as usize;
        let (mut alive, mut history) = (Vec::<(Trial, Genes)>::new(), Vec::new());
        let mut best: Option<Trial> = None;
        let stop = loop {
            let mut children = Vec::with_capacity(population);
            for child in 0..population {
                let mut parent = || alive.get(rng.random_range(0..alive.len().max(1))).map(|(_, genes)| genes);
                let parents = if child < mutants { (parent(), None) } else { (parent(), parent()) };
                let Some(made) = self.feasible(|space| match parents {
                    (None, _) => Genes::sample(space, rng),
                    (Some(parent), None) => parent.mutant(space, &config, rng),
                    (Some(a), Some(b)) => a.crossed(b, rng),
                })?
                else {
                    break;
                };
                children.push(made);
            }
            if children.len() < population {
                break Stop::Rejections;
            }
            alive.extend(self.score(children)?);
            if self.queries + population as u64 > self.budget.queries {
                break Stop::Budget;
            }
            // Of equal scores the later comes first, as in the original's sorted and reversed list.
            alive.reverse();
            alive.sort_by(|(a, _), (b, _)| b.score.total_cmp(&a.score));
            alive.truncate(parents);
            let first = &alive[0].0;
            if best.as_ref().is_none_or(|best| first.score > best.score) {
                history.push(Improvement { query: self.queries, score: first.score });
                best = Some(first.clone());
            }
        };
        let Self { queries, rejected, .. } = *self;
        let nothing = || SearchError::NothingFeasible { strategy: NAME.to_owned(), proposals: rejected.infeasible };
        Ok(SearchOutcome { best: best.ok_or_else(nothing)?, queries, rejected, history, stop })
    }

    /// The first feasible arch from `draw`, with its costs. `None` after too many rejections in a row.
    fn feasible(
        &mut self,
        mut draw: impl FnMut(&SearchSpace) -> Genes,
    ) -> Result<Option<(Genes, Vec<f64>)>, SearchError> {
        for _ in 0..self.budget.rejections_in_a_row {
            let genes = draw(self.problem.space);
            let costs = self.problem.costs(&genes.arch())?;
            if self.problem.allows(&costs) {
                return Ok(Some((genes, costs)));
            }
            self.rejected.infeasible += 1;
        }
        Ok(None)
    }

    fn score(&mut self, children: Vec<(Genes, Vec<f64>)>) -> Result<Vec<(Trial, Genes)>, SearchError> {
        let archs: Vec<Arch> = children.iter().map(|(genes, _)| genes.arch()).collect();
        let scores = self.problem.objective.predict(&archs)?;
        let scored = children.into_iter().zip(archs).zip(scores).map(|(((genes, costs), arch), score)| {
            self.queries += 1;
            Ok((Trial { score: finite("score", &arch, score)?, arch, costs, query: self.queries }, genes))
        });
        scored.collect()
    }
}

const NAME: &str = "original_evolution";

/// An arch, with genes for its skipped blocks too.
#[derive(Clone)]
struct Genes {
    resolution: usize,
    stages: Vec<StageGenes>,
}

#[derive(Clone)]
struct StageGenes {
    depth: usize,
    /// All blocks, as many as the greatest depth.
    stage: StageArch,
}

impl Genes {
    fn arch(&self) -> Arch {
        let live = |StageGenes { depth, stage }: &StageGenes| StageArch {
            width: stage.width,
            blocks: stage.blocks[..*depth].to_vec(),
        };
        Arch { resolution: self.resolution, stages: self.stages.iter().map(live).collect() }
    }

    fn sample(space: &SearchSpace, rng: &mut dyn Rng) -> Self {
        let stages = space.stages.iter().map(|offered| {
            let blocks = (0..offered.greatest_depth()).map(|_| block(offered, rng)).collect();
            StageGenes { depth: choose(&offered.depths, rng), stage: StageArch { width: offered.widths[0], blocks } }
        });
        Self { stages: stages.collect(), resolution: choose(&space.resolutions, rng) }
    }

    fn mutant(&self, space: &SearchSpace, config: &EvolutionConfig, rng: &mut dyn Rng) -> Self {
        let mut mutant = self.clone();
        if rng.random_bool(config.resolution_probability) {
            mutant.resolution = choose(&space.resolutions, rng);
        }
        for (genes, offered) in mutant.stages.iter_mut().zip(&space.stages) {
            for made in &mut genes.stage.blocks {
                if rng.random_bool(config.mutation_probability) {
                    *made = block(offered, rng);
                }
            }
            if rng.random_bool(config.mutation_probability) {
                genes.depth = choose(&offered.depths, rng);
            }
        }
        mutant
    }

    fn crossed(&self, other: &Self, rng: &mut dyn Rng) -> Self {
        let mut child = self.clone();
        if rng.random() {
            child.resolution = other.resolution;
        }
        for (genes, theirs) in child.stages.iter_mut().zip(&other.stages) {
            if rng.random() {
                genes.depth = theirs.depth;
            }
            for (made, theirs) in genes.stage.blocks.iter_mut().zip(&theirs.stage.blocks) {
                if rng.random() {
                    made.kernel_size = theirs.kernel_size;
                }
                if rng.random() {
                    made.expand_ratio = theirs.expand_ratio;
                }
            }
        }
        child
    }
}

fn block(offered: &StageSpace, rng: &mut dyn Rng) -> BlockArch {
    BlockArch { kernel_size: choose(&offered.kernel_sizes, rng), expand_ratio: choose(&offered.expand_ratios, rng) }
}

fn choose<T: Copy>(choices: &[T], rng: &mut dyn Rng) -> T {
    choices[rng.random_range(0..choices.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Constraint;
    use crate::testing::{additive_accuracy, two_stages};
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::cell::RefCell;

    fn run(space: &SearchSpace, limit: f64, queries: u64, seed: u64) -> Result<(SearchOutcome, Vec<f64>), SearchError> {
        let scores = RefCell::new(Vec::new());
        let objective = |arch: &Arch| {
            assert!(space.contains(arch) && space.cost(arch).macs as f64 <= limit, "{arch}");
            scores.borrow_mut().push(additive_accuracy(arch));
            additive_accuracy(arch)
        };
        let problem = Problem { space, objective: &objective, constraints: vec![Constraint::macs(space, limit)] };
        let (config, rng) = (EvolutionConfig::default(), &mut ChaCha8Rng::seed_from_u64(seed));
        let budget = Budget { queries, rejections_in_a_row: 5_000 };
        let outcome = original_evolution(&problem, config, budget, rng)?;
        Ok((outcome, scores.take()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn it_pays_for_whole_generations_and_forgets_the_last(seed: u64, queries in 200u64..1000) {
            let space = SearchSpace::small_mobilenet_v3(1, 10);
            let (outcome, scores) = run(&space, 3e6, queries, seed).unwrap();
            prop_assert_eq!((outcome.queries, outcome.stop), (queries / 100 * 100, Stop::Budget));
            prop_assert_eq!(scores.len() as u64, outcome.queries);
            let counted = &scores[..scores.len() - 100];
            prop_assert_eq!(outcome.best.score, counted.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            prop_assert!(outcome.history.iter().all(|step| step.query % 100 == 0 && step.query < outcome.queries));
            prop_assert_eq!(outcome, run(&space, 3e6, queries, seed).unwrap().0);
        }
    }

    #[test]
    fn what_it_cannot_do_is_named() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let message = |space: &SearchSpace, limit, queries| run(space, limit, queries, 1).unwrap_err().to_string();
        assert!(message(&space, 3e6, 199).starts_with("queries is 199"));
        assert!(message(&two_stages(), 3e6, 200).starts_with("space is tiny"));
        assert!(message(&space, 1.0, 200).starts_with("no arch has MACs <= 1"));
        // Feasible, but not found by chance: the original would draw forever.
        let cheapest = space.cost(&space.smallest()).macs as f64;
        let error = run(&space, cheapest, 200, 1).unwrap_err();
        assert!(error.to_string().contains("`original_evolution` found no arch"), "{error}");
        assert!(matches!(error, SearchError::NothingFeasible { proposals: 5_000, .. }), "{error:?}");
    }
}
