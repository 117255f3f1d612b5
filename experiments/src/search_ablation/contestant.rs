//! Who searches in an ablation of search.

use ofa_search::{
    AccuracyTable, Budget, Evolution, EvolutionConfig, Problem, SearchError, SearchOutcome, StrategyKind,
    original_evolution, search,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Who searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contestant {
    /// A strategy with its default settings.
    Strategy(StrategyKind),
    /// The evolution of the authors' code, with its own.
    Original,
    /// [`Evolution`] whose parents may all have the same resolution.
    AnyParents,
}

impl Contestant {
    /// Those that search; exhaustive search has no chance at equal queries and nothing random.
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

    /// Its name and what it finds.
    pub(super) fn search(
        self,
        problem: &Problem<'_>,
        table: &AccuracyTable,
        budget: Budget,
        seed: u64,
    ) -> Result<(String, SearchOutcome), SearchError> {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
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
            Self::Strategy(kind) => {
                let mut strategy = kind.init(table);
                let outcome = search(problem, &mut *strategy, budget, rng, |_| ())?;
                Ok((strategy.name().to_owned(), outcome))
            }
        }
    }
}
