//! [`LocalSearch`]: hill climbing, one choice at a time.

use super::change::Change;
use super::draws::Draws;
use crate::{SearchStrategy, Trial};
use ofa_model::{Arch, Mutation, SearchSpace};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// The better neighbour from which [`LocalSearch`] continues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ascent {
    /// The first found.
    #[default]
    First,
    /// The best of all neighbours.
    Steepest,
}

/// Hill climbing: tries the neighbours of an arch, which differ in one choice, in random order and continues from a
/// better one.
///
/// If no neighbour is better it restarts: with equal probability from a random arch or from a mutant of the best arch
/// known.
#[derive(Clone, Debug, Default)]
pub struct LocalSearch {
    ascent: Ascent,
    best: Option<Trial>,
    /// Current position. `None` until the start has been tried.
    place: Option<Trial>,
    /// The best improvement on it so far.
    step: Option<Trial>,
    /// Neighbours of the current position not yet proposed.
    untried: Vec<Change>,
    draws: Draws,
}

impl LocalSearch {
    /// Starts from a random arch.
    pub fn new(ascent: Ascent) -> Self {
        Self { ascent, ..Self::default() }
    }

    fn start_again(&self, space: &SearchSpace, rng: &mut dyn Rng) -> Arch {
        match &self.best {
            Some(best) if rng.random_bool(0.5) => space.mutate(&best.arch, Mutation::default(), rng),
            _ => self.draws.draw(space, rng),
        }
    }
}

impl SearchStrategy for LocalSearch {
    fn name(&self) -> &str {
        match self.ascent {
            Ascent::First => "local_search",
            Ascent::Steepest => "steepest_ascent",
        }
    }

    fn batch_size(&self) -> usize {
        1
    }

    fn start(&mut self, feasible: &Arch) {
        self.draws.start(feasible);
    }

    fn ask(&mut self, space: &SearchSpace, rng: &mut dyn Rng) -> Option<Arch> {
        self.draws.ask();
        if self.untried.is_empty()
            && let Some(step) = self.step.take()
        {
            self.untried = Change::all(space, &step.arch);
            self.untried.shuffle(rng);
            self.place = Some(step);
        }
        if let (Some(place), Some(change)) = (&self.place, self.untried.pop()) {
            return Some(change.of(&place.arch));
        }
        self.place = None;
        Some(self.start_again(space, rng))
    }

    fn reject(&mut self, _: &Arch) {
        self.draws.reject();
    }

    fn tell(&mut self, trial: Trial) {
        let better_than = |other: &Option<Trial>| other.as_ref().is_none_or(|other| trial.score > other.score);
        if better_than(&self.best) {
            self.best = Some(trial.clone());
        }
        if better_than(&self.place) && better_than(&self.step) {
            self.step = Some(trial);
            if self.ascent == Ascent::First {
                self.untried.clear();
            }
        }
    }
}
