//! [`AgeingEvolution`]: regularised evolution.

use super::change::Change;
use super::draws::Draws;
use crate::{SearchError, SearchStrategy, Trial};
use ofa_model::{Arch, SearchSpace};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Settings of [`AgeingEvolution`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgeingConfig {
    /// Number of archs alive.
    pub population: usize,
    /// Archs drawn per tournament, with replacement. The best becomes the parent.
    pub tournament: usize,
}

impl Default for AgeingConfig {
    /// The values of Real et al. (arXiv:1802.01548, section 3).
    fn default() -> Self {
        Self { population: 100, tournament: 25 }
    }
}

/// Regularised evolution: replaces the oldest arch of a population with a mutant of the tournament winner (Real et al.,
/// arXiv:1802.01548).
///
/// A mutant differs from its parent in one choice. Every arch dies of age, so an arch with a lucky score is forgotten;
/// [`search()`](crate::search()) still returns the best arch ever seen. No arch is tried twice, so in a small or
/// tightly constrained space the search may end with only rejections, once all neighbours of the population are known.
#[derive(Clone, Debug, Default)]
pub struct AgeingEvolution {
    config: AgeingConfig,
    /// Oldest first.
    alive: VecDeque<Trial>,
    draws: Draws,
}

impl AgeingEvolution {
    /// Starts from a random population.
    ///
    /// # Errors
    ///
    /// If the population or the tournament is empty.
    pub fn new(config: AgeingConfig) -> Result<Self, SearchError> {
        let refuse = |setting, problem| Err(SearchError::InvalidSetting { setting, value: "0".into(), problem });
        match config {
            AgeingConfig { population: 0, .. } => refuse("population", "it needs at least one arch"),
            AgeingConfig { tournament: 0, .. } => refuse("tournament", "it needs at least one arch"),
            _ => Ok(Self { config, ..Self::default() }),
        }
    }

    fn winner(&self, rng: &mut dyn Rng) -> &Arch {
        let drawn = (0..self.config.tournament).map(|_| &self.alive[rng.random_range(0..self.alive.len())]);
        &drawn.max_by(|a, b| a.score.total_cmp(&b.score)).expect("a tournament is not empty").arch
    }
}

impl SearchStrategy for AgeingEvolution {
    fn name(&self) -> &str {
        "ageing_evolution"
    }

    fn batch_size(&self) -> usize {
        (self.config.population - self.alive.len()).max(1)
    }

    fn start(&mut self, feasible: &Arch) {
        self.draws.start(feasible);
    }

    fn ask(&mut self, space: &SearchSpace, rng: &mut dyn Rng) -> Option<Arch> {
        self.draws.ask();
        if self.alive.len() < self.config.population {
            return Some(self.draws.draw(space, rng));
        }
        let parent = self.winner(rng);
        let changes = Change::all(space, parent);
        // A space of one arch has no mutants.
        (!changes.is_empty()).then(|| changes[rng.random_range(0..changes.len())].of(parent))
    }

    fn reject(&mut self, _: &Arch) {
        self.draws.reject();
    }

    fn tell(&mut self, trial: Trial) {
        self.alive.push_back(trial);
        if self.alive.len() > self.config.population {
            self.alive.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{all_archs, tiny_space};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_oldest_dies_however_good_it_is() {
        let space = tiny_space();
        let archs = all_archs(&space);
        let mut evolution = AgeingEvolution::new(AgeingConfig { population: 3, tournament: 50 }).unwrap();
        let tell = |evolution: &mut AgeingEvolution, i: usize, score| {
            evolution.tell(Trial { arch: archs[i].clone(), score, costs: vec![], query: i as u64 + 1 });
        };
        for (i, score) in [9.0, 1.0, 2.0].into_iter().enumerate() {
            tell(&mut evolution, i, score);
        }
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        assert_eq!(evolution.winner(rng), &archs[0]);
        tell(&mut evolution, 3, 0.0);
        assert_eq!(evolution.winner(rng), &archs[2]);
        let child = evolution.ask(&space, rng).unwrap();
        assert!(Change::all(&space, &archs[2]).iter().any(|change| change.of(&archs[2]) == child));
    }

    #[test]
    fn impossible_settings_are_named() {
        let refused = |population, tournament| {
            AgeingEvolution::new(AgeingConfig { population, tournament }).unwrap_err().to_string()
        };
        assert!(refused(0, 1).starts_with("population is 0"));
        assert!(refused(1, 0).starts_with("tournament is 0"));
    }
}
