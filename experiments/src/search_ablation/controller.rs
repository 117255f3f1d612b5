//! [`controller_search`]: MnasNet's controller with a predictor in place of trainings.

use ofa_model::{Arch, ChoiceGroups};
use ofa_search::{Budget, Improvement, Problem, Rejected, SearchError, SearchOutcome, Stop, Trial};
use ofa_train::baselines::{Controller, ControllerConfig};
use rand::Rng;
use std::collections::HashMap;

/// Searches with a controller that learns from `score * (cost / limit)^-1` beyond a limit and from the score within:
/// the hard constraint of MnasNet (arXiv:1807.11626, section 3). The resolution is one more choice.
///
/// It is not a [`SearchStrategy`](ofa_search::SearchStrategy), since it learns from networks beyond the limit, and pays
/// for them. A network that is drawn again earns its reward again, without a query.
///
/// # Errors
///
/// Those of [`search()`](ofa_search::search()).
pub fn controller_search(
    problem: &Problem<'_>,
    config: ControllerConfig,
    budget: Budget,
    rng: &mut dyn Rng,
) -> Result<SearchOutcome, SearchError> {
    problem.feasible_arch()?;
    let of_resolution = |&resolution: &usize| ChoiceGroups::new(problem.space, resolution).map_err(SearchError::from);
    let groups = problem.space.resolutions.iter().map(of_resolution).collect::<Result<Vec<_>, _>>()?;
    let sizes = [vec![groups.len()], groups[0].sizes()].concat();
    let mut controller = Controller::new(config, sizes, rng);
    let mut rewards: HashMap<Arch, f64> = HashMap::new();
    let (mut best, mut history): (Option<Trial>, _) = (None, Vec::new());
    let (mut queries, mut rejected, mut known_in_a_row) = (0, Rejected::default(), 0);
    while queries < budget.queries && known_in_a_row < budget.rejections_in_a_row {
        let choices = controller.propose(rng);
        let (own, blocks) = (&groups[choices[0]], &choices[1..]);
        let in_use = [vec![true], own.in_use(blocks)].concat();
        let arch = own.arch(blocks);
        if let Some(&reward) = rewards.get(&arch) {
            (known_in_a_row, rejected.duplicate) = (known_in_a_row + 1, rejected.duplicate + 1);
            controller.tell(choices, in_use, reward);
            continue;
        }
        known_in_a_row = 0;
        let costs = problem.costs(&arch)?;
        let score = problem.objective.predict(std::slice::from_ref(&arch))?[0];
        queries += 1;
        let beyond = problem.constraints.iter().zip(&costs).map(|(limit, cost)| (cost / limit.limit).max(1.0));
        let reward = score / beyond.product::<f64>();
        controller.tell(choices, in_use, reward);
        if !problem.allows(&costs) {
            rejected.infeasible += 1;
        } else if best.as_ref().is_none_or(|best| score > best.score) {
            history.push(Improvement { query: queries, score });
            best = Some(Trial { arch: arch.clone(), score, costs, query: queries });
        }
        rewards.insert(arch, reward);
    }
    let stop = if queries == budget.queries { Stop::Budget } else { Stop::Rejections };
    let proposals = queries + rejected.duplicate;
    let best = best.ok_or(SearchError::NothingFeasible { strategy: NAME.into(), proposals })?;
    Ok(SearchOutcome { best, queries, rejected, history, stop })
}

/// Its name in tables.
pub(super) const NAME: &str = "mnas_controller";

#[cfg(test)]
mod tests {
    use super::*;
    use ofa_model::SearchSpace;
    use ofa_search::cost::AdditiveCost;
    use ofa_search::{Constraint, RandomSearch, search};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn it_beats_random_search_at_equal_queries_and_stays_within_the_limit() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let macs = AdditiveCost::macs(&space);
        let kernels =
            AdditiveCost::by_block(&space, |resolution| resolution as f64, |block| block.choices.kernel_size as f64);
        let limit = 2.5e6;
        let constraints = vec![Constraint::at_most("MACs", limit, "MACs", |arch| macs.of(arch))];
        let problem = Problem { space: &space, objective: &kernels, constraints };
        let budget = Budget::new(600);
        let (mut ours, mut others) = (0.0, 0.0);
        for seed in 1..=3 {
            let rng = || ChaCha8Rng::seed_from_u64(seed);
            let config = ControllerConfig { hidden: 16, ..ControllerConfig::ppo() };
            let found = controller_search(&problem, config, budget, &mut rng()).unwrap();
            assert!(found.best.costs[0] <= limit && found.queries == 600, "{found:?}");
            assert!(found.history.windows(2).all(|pair| pair[0].score < pair[1].score));
            assert!(found.rejected.infeasible > 0, "networks beyond the limit are paid for");
            ours += found.best.score;
            others += search(&problem, &mut RandomSearch, budget, &mut rng(), |_| ()).unwrap().best.score;
        }
        assert!(ours > others, "{ours} {others}");
    }
}
