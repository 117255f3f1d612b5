//! Random archs to begin with that do not wait for luck under a tight constraint.

use ofa_model::{Arch, SearchSpace};
use rand::Rng;

/// Draws archs; after some rejections in a row, crosses them with a known feasible arch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draws {
    feasible: Option<Arch>,
    /// Rejections since the last proposal that was tried.
    rejections_in_a_row: u32,
    last_was_rejected: bool,
}

impl Draws {
    /// Hears of an arch that meets every constraint.
    pub fn start(&mut self, feasible: &Arch) {
        self.feasible = Some(feasible.clone());
    }

    /// Hears that a proposal is about to be made.
    pub fn ask(&mut self) {
        if !std::mem::take(&mut self.last_was_rejected) {
            self.rejections_in_a_row = 0;
        }
    }

    /// Hears that the last proposal was rejected.
    pub fn reject(&mut self) {
        self.rejections_in_a_row += 1;
        self.last_was_rejected = true;
    }

    /// An arch of `space`, the closer to the feasible one the more proposals were rejected.
    pub fn draw(&self, space: &SearchSpace, rng: &mut dyn Rng) -> Arch {
        /// Rejected draws for each further crossover.
        const PATIENCE: u32 = 10;
        /// Crossovers after which a draw is all but the feasible arch.
        const CLOSEST: u32 = 8;
        let draw = space.sample(rng);
        let Some(feasible) = &self.feasible else { return draw };
        // Each crossover takes about half of the remaining choices from the feasible arch. When even the closest draws
        // are rejected, as known, it starts over.
        let crossovers = self.rejections_in_a_row / PATIENCE % (CLOSEST + 1);
        (0..crossovers).fold(draw, |arch, _| space.crossover(&arch, feasible, rng))
    }
}
