//! [`RandomSearch`]: the random baseline.

use crate::{SearchStrategy, Trial};
use ofa_model::{Arch, SearchSpace};
use rand::Rng;

/// Proposes archs with every choice drawn uniformly, whatever their scores.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomSearch;

impl SearchStrategy for RandomSearch {
    fn name(&self) -> &str {
        "random"
    }

    fn batch_size(&self) -> usize {
        256
    }

    fn ask(&mut self, space: &SearchSpace, rng: &mut dyn Rng) -> Option<Arch> {
        Some(space.sample(rng))
    }

    fn tell(&mut self, _: Trial) {}
}
