//! The search methods under comparison.

use super::controller::{NAME, controller_search};
use ofa_search::{
    AccuracyTable, Budget, Evolution, EvolutionConfig, Problem, SearchError, SearchOutcome, StrategyKind,
    original_evolution, search,
};
use ofa_train::baselines::ControllerConfig;
use rand::Rng;

/// A search method under comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contestant {
    /// A strategy with its default settings.
    Strategy(StrategyKind),
    /// The evolution of the authors' code, with its default settings.
    Original,
    /// [`Evolution`] with `resolution_share` 1: parents may all have the same resolution.
    AnyParents,
    /// [`controller_search`].
    Controller,
}

/// Hidden values of the controller's LSTM: with more, a search takes minutes.
const HIDDEN: usize = 16;

impl Contestant {
    /// The searching contestants that take seconds. Exhaustive search is omitted: at equal queries it cannot compete, and
    /// it has no randomness.
    pub const SEARCHING: [Self; 8] = [
        Self::Strategy(StrategyKind::Random),
        Self::Original,
        Self::AnyParents,
        Self::Strategy(StrategyKind::Evolution),
        Self::Strategy(StrategyKind::AgeingEvolution),
        Self::Strategy(StrategyKind::LocalSearch),
        Self::Strategy(StrategyKind::SteepestAscent),
        Self::Strategy(StrategyKind::Nsga2),
    ];

    /// Whether it reads its answers from the accuracy table.
    pub(super) fn looks_up(self) -> bool {
        matches!(self, Self::Strategy(kind) if kind.looks_up())
    }

    /// Runs the search and returns the contestant's name with the outcome.
    pub(super) fn search(
        self,
        problem: &Problem<'_>,
        table: &AccuracyTable,
        budget: Budget,
        rng: &mut dyn Rng,
    ) -> Result<(String, SearchOutcome), SearchError> {
        match self {
            Self::Original => {
                let outcome = original_evolution(problem, EvolutionConfig::default(), budget, rng)?;
                Ok(("original_evolution".to_owned(), outcome))
            }
            Self::AnyParents => {
                let config = EvolutionConfig { resolution_share: 1.0, ..EvolutionConfig::default() };
                let outcome = search(problem, &mut Evolution::new(config)?, budget, rng, |_| ())?;
                Ok(("evolution_any_parents".to_owned(), outcome))
            }
            Self::Controller => {
                let config = ControllerConfig { hidden: HIDDEN, ..ControllerConfig::ppo() };
                Ok((NAME.to_owned(), controller_search(problem, config, budget, rng)?))
            }
            Self::Strategy(kind) => {
                let mut strategy = kind.init(table);
                let outcome = search(problem, &mut *strategy, budget, rng, |_| ())?;
                Ok((strategy.name().to_owned(), outcome))
            }
        }
    }
}
