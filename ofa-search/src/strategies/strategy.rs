//! [`SearchStrategy`]: how the next arch to try is chosen.

use crate::Trial;
use ofa_model::{Arch, SearchSpace};
use rand::Rng;

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
