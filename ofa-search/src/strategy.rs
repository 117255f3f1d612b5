//! [`SearchStrategy`]: proposes the next arch to try.

use crate::{
    AccuracyTable, AgeingEvolution, Ascent, Evolution, Exhaustive, LocalSearch, Nsga2, RandomSearch, TableLookup, Trial,
};
use ofa_model::{Arch, SearchSpace};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Proposes archs and receives their scores.
///
/// [`search`](crate::search()) checks feasibility, counts queries and enforces the budget, so strategies differ only in
/// their proposals. Use a fresh value for every search.
pub trait SearchStrategy {
    /// Name in reports and errors.
    fn name(&self) -> &str;

    /// Number of further proposals the strategy can make before it needs the scores of the last ones.
    fn batch_size(&self) -> usize;

    /// Receives an arch that meets every constraint, before the first call of `ask`, if one is known.
    fn start(&mut self, feasible: &Arch) {
        let _ = feasible;
    }

    /// The next arch to try, or `None` if there is nothing left to propose.
    fn ask(&mut self, space: &SearchSpace, rng: &mut dyn Rng) -> Option<Arch>;

    /// Called if the last proposal was not evaluated: it violates a constraint or is a duplicate.
    fn reject(&mut self, arch: &Arch) {
        let _ = arch;
    }

    /// Receives the score of a proposal.
    fn tell(&mut self, trial: Trial);
}

/// The strategies of this crate, by their name in configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyKind {
    /// [`TableLookup`]
    Table,
    /// [`RandomSearch`]
    Random,
    /// [`Evolution`], the paper's search.
    Evolution,
    /// [`AgeingEvolution`]
    AgeingEvolution,
    /// [`LocalSearch`] that takes the first improvement.
    LocalSearch,
    /// [`LocalSearch`] that takes the best improvement.
    SteepestAscent,
    /// [`Nsga2`]
    Nsga2,
    /// [`Exhaustive`]
    Exhaustive,
}

impl StrategyKind {
    /// All strategies.
    pub const ALL: [Self; 8] = [
        Self::Table,
        Self::Random,
        Self::Evolution,
        Self::AgeingEvolution,
        Self::LocalSearch,
        Self::SteepestAscent,
        Self::Nsga2,
        Self::Exhaustive,
    ];

    /// A new strategy with default settings. `table` is used by the look-up only.
    pub fn init(self, table: &AccuracyTable) -> Box<dyn SearchStrategy> {
        match self {
            Self::Table => Box::new(TableLookup::new(table)),
            Self::Random => Box::new(RandomSearch),
            Self::Evolution => Box::new(Evolution::default()),
            Self::AgeingEvolution => Box::new(AgeingEvolution::default()),
            Self::LocalSearch => Box::new(LocalSearch::default()),
            Self::SteepestAscent => Box::new(LocalSearch::new(Ascent::Steepest)),
            Self::Nsga2 => Box::new(Nsga2::default()),
            Self::Exhaustive => Box::new(Exhaustive::default()),
        }
    }
}
