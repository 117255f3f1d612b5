//! [`SearchStrategy`]: how the next arch to try is chosen.

use crate::{
    AccuracyTable, AgeingEvolution, Ascent, Evolution, Exhaustive, LocalSearch, Nsga2, RandomSearch, TableLookup, Trial,
};
use ofa_model::{Arch, SearchSpace};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Proposes archs and hears how good they are.
///
/// [`search`](crate::search()) owns feasibility, budget and counting, so that strategies differ in their proposals alone.
/// A value serves one search.
pub trait SearchStrategy {
    /// Name in reports.
    fn name(&self) -> &str;

    /// How many more proposals the strategy can make before it needs to hear how good the last ones are.
    fn batch_size(&self) -> usize;

    /// Hears of an arch that meets every constraint, before it is asked for the first time.
    fn start(&mut self, feasible: &Arch) {
        let _ = feasible;
    }

    /// The next arch to try, or `None` if there is nothing left to propose.
    fn ask(&mut self, space: &SearchSpace, rng: &mut dyn Rng) -> Option<Arch>;

    /// Hears that the last proposal was not tried: it violates a constraint or was proposed before.
    fn reject(&mut self, arch: &Arch) {
        let _ = arch;
    }

    /// Hears how good a proposal is.
    fn tell(&mut self, trial: Trial);
}

/// The strategies of this crate, by the name they have in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyKind {
    /// [`TableLookup`]
    Table,
    /// [`RandomSearch`]
    Random,
    /// [`Evolution`] as in the paper.
    Evolution,
    /// [`AgeingEvolution`]
    AgeingEvolution,
    /// [`LocalSearch`] that takes the first step up.
    LocalSearch,
    /// [`LocalSearch`] that takes the steepest step up.
    SteepestAscent,
    /// [`Nsga2`]
    Nsga2,
    /// [`Exhaustive`]
    Exhaustive,
}

impl StrategyKind {
    /// Every strategy.
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

    /// A fresh strategy; the table is what a look-up looks up in.
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
