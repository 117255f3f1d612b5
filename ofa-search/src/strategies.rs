//! Search strategies, and their names in configurations.

mod ageing_evolution;
mod change;
mod draws;
mod evolution;
mod exhaustive;
mod local_search;
mod nsga2;
mod random;
mod strategy;
mod table;

pub use ageing_evolution::{AgeingConfig, AgeingEvolution};
#[cfg(test)]
pub(crate) use change::Change;
pub use evolution::{Evolution, EvolutionConfig};
pub use exhaustive::Exhaustive;
pub use local_search::{Ascent, LocalSearch};
pub use nsga2::{Nsga2, Nsga2Config};
pub use random::RandomSearch;
pub use strategy::SearchStrategy;
pub use table::{TableAccuracy, TableLookup};

use crate::AccuracyTable;
use serde::{Deserialize, Serialize};

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

    /// Whether it reads its answers from the accuracy table, whose measurements are then its objective.
    pub fn looks_up(self) -> bool {
        self == Self::Table
    }

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
