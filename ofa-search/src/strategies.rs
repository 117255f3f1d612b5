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

/// One entry per strategy: what it is, its kind, and how to make it with default settings.
macro_rules! kinds {
    ($(#[$doc:meta] $kind:ident => |$table:pat_param| $strategy:expr,)*) => {
        /// The strategies of this crate, by their name in configurations.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum StrategyKind {
            $(#[$doc] $kind,)*
        }

        impl StrategyKind {
            /// All strategies.
            pub const ALL: [Self; [$(stringify!($kind)),*].len()] = [$(Self::$kind),*];

            /// A new strategy with default settings. `table` is used by the look-up only.
            pub fn init(self, table: &AccuracyTable) -> Box<dyn SearchStrategy> {
                match self {
                    $(Self::$kind => {
                        let $table = table;
                        Box::new($strategy)
                    })*
                }
            }
        }
    };
}

kinds! {
    /// [`TableLookup`]
    Table => |table| TableLookup::new(table),
    /// [`RandomSearch`]
    Random => |_| RandomSearch,
    /// [`Evolution`], the paper's search.
    Evolution => |_| Evolution::default(),
    /// [`AgeingEvolution`]
    AgeingEvolution => |_| AgeingEvolution::default(),
    /// [`LocalSearch`] that takes the first improvement.
    LocalSearch => |_| LocalSearch::default(),
    /// [`LocalSearch`] that takes the best improvement.
    SteepestAscent => |_| LocalSearch::new(Ascent::Steepest),
    /// [`Nsga2`]
    Nsga2 => |_| Nsga2::default(),
    /// [`Exhaustive`]
    Exhaustive => |_| Exhaustive::default(),
}

impl StrategyKind {
    /// Whether it reads its answers from the accuracy table, whose measurements are then its objective.
    pub fn looks_up(self) -> bool {
        self == Self::Table
    }
}
