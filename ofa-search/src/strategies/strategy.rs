//! [`SearchStrategy`]: proposes the next arch to try.

use crate::Trial;
use ofa_model::{Arch, SearchSpace};
use rand::Rng;

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
