//! Random initial archs that also work under a tight constraint.

use ofa_model::{Arch, SearchSpace};
use rand::Rng;

/// Draws random archs. After several rejections in a row, crosses them with a known feasible arch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draws {
    feasible: Option<Arch>,
    /// Rejections since the last accepted proposal.
    rejections_in_a_row: u32,
    last_was_rejected: bool,
}

impl Draws {
    /// Receives an arch that meets every constraint.
    pub fn start(&mut self, feasible: &Arch) {
        self.feasible = Some(feasible.clone());
    }

    /// Must be called before each proposal.
    pub fn ask(&mut self) {
        if !std::mem::take(&mut self.last_was_rejected) {
            self.rejections_in_a_row = 0;
        }
    }

    /// Must be called when the last proposal was rejected.
    pub fn reject(&mut self) {
        self.rejections_in_a_row += 1;
        self.last_was_rejected = true;
    }

    /// A random arch of `space`; the more rejections in a row, the closer it is to the feasible one.
    pub fn draw(&self, space: &SearchSpace, rng: &mut dyn Rng) -> Arch {
        /// Rejected draws per additional crossover.
        const PATIENCE: u32 = 10;
        /// After this many crossovers a draw is almost the feasible arch.
        const CLOSEST: u32 = 8;
        let draw = space.sample(rng);
        let Some(feasible) = &self.feasible else { return draw };
        // Each crossover takes about half of the remaining choices from the feasible arch. If even the closest draws
        // are rejected (as duplicates), it starts over.
        let crossovers = self.rejections_in_a_row / PATIENCE % (CLOSEST + 1);
        (0..crossovers).fold(draw, |arch, _| space.crossover(&arch, feasible, rng))
    }
}
