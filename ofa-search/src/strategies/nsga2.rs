//! [`Nsga2`]: evolution towards a whole front.

use crate::strategies::draws::Draws;
use crate::{SearchError, SearchStrategy, Trial};
use ofa_model::{Arch, Mutation, SearchSpace};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Settings of [`Nsga2`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nsga2Config {
    /// Archs alive, and children of a generation.
    pub population: usize,
    /// Share of children that are crossovers of two parents before they mutate; the others mutate alone.
    pub crossover_ratio: f64,
    /// Probability that a mutation draws a choice anew, the resolution too.
    pub mutation_probability: f64,
}

impl Default for Nsga2Config {
    /// The crossover ratio is that of Deb et al.; they mutate one choice on average, which here is about two.
    fn default() -> Self {
        Self { population: 100, crossover_ratio: 0.9, mutation_probability: 0.05 }
    }
}

/// NSGA-II (Deb et al., 2002): looks for the front of score against all costs of the constraints.
///
/// Those survive that fewer others beat, and among equals those in the emptier part of the front; parents are the better of
/// two. [`search()`](crate::search()) returns the best score; a [`Front`](crate::Front) that observes it keeps the front.
/// The limits of the constraints bound the part of it that is of interest.
#[derive(Clone, Debug, Default)]
pub struct Nsga2 {
    config: Nsga2Config,
    /// Best first.
    alive: Vec<Trial>,
    children: Vec<Trial>,
    draws: Draws,
}

impl Nsga2 {
    /// NSGA-II from a random population.
    ///
    /// # Errors
    ///
    /// If the population is empty or a ratio or probability is not between 0 and 1.
    pub fn new(config: Nsga2Config) -> Result<Self, SearchError> {
        let refuse = |setting, value: String, problem| Err(SearchError::InvalidSetting { setting, value, problem });
        if config.population == 0 {
            return refuse("population", "0".into(), "a generation needs an arch");
        }
        let shares =
            [("crossover_ratio", config.crossover_ratio), ("mutation_probability", config.mutation_probability)];
        match shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            Some((setting, share)) => refuse(setting, share.to_string(), "it must be between 0 and 1"),
            None => Ok(Self { config, ..Self::default() }),
        }
    }

    /// The better of two drawn ones.
    fn parent(&self, rng: &mut dyn Rng) -> &Arch {
        let mut draw = || rng.random_range(0..self.alive.len());
        let (a, b) = (draw(), draw());
        &self.alive[a.min(b)].arch
    }

    fn child(&self, space: &SearchSpace, rng: &mut dyn Rng) -> Arch {
        let parent = self.parent(rng);
        let probability = self.config.mutation_probability;
        let mutation = Mutation { choice_probability: probability, resolution_probability: probability };
        if rng.random_bool(self.config.crossover_ratio) {
            let crossed = space.crossover(parent, self.parent(rng), rng);
            return space.mutate(&crossed, mutation, rng);
        }
        space.mutate(parent, mutation, rng)
    }
}

impl SearchStrategy for Nsga2 {
    fn name(&self) -> &str {
        "nsga2"
    }

    fn batch_size(&self) -> usize {
        self.config.population - self.children.len()
    }

    fn start(&mut self, feasible: &Arch) {
        self.draws.start(feasible);
    }

    fn ask(&mut self, space: &SearchSpace, rng: &mut dyn Rng) -> Option<Arch> {
        self.draws.ask();
        Some(if self.alive.is_empty() { self.draws.draw(space, rng) } else { self.child(space, rng) })
    }

    fn reject(&mut self, _: &Arch) {
        self.draws.reject();
    }

    fn tell(&mut self, trial: Trial) {
        self.children.push(trial);
        if self.children.len() == self.config.population {
            self.alive.append(&mut self.children);
            self.alive = best_first(std::mem::take(&mut self.alive));
            self.alive.truncate(self.config.population);
        }
    }
}

/// Orders trials by rank, and those of a rank by how much room there is around them.
fn best_first(trials: Vec<Trial>) -> Vec<Trial> {
    let mut ordered = Vec::with_capacity(trials.len());
    for rank in ranks(&trials) {
        let room = room(&trials, &rank);
        let mut rank: Vec<(usize, f64)> = rank.into_iter().zip(room).collect();
        // A stable sort: of two equals the older one survives.
        rank.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        ordered.extend(rank.into_iter().map(|(i, _)| i));
    }
    let mut trials: Vec<Option<Trial>> = trials.into_iter().map(Some).collect();
    ordered.into_iter().map(|i| trials[i].take().expect("every trial has one rank")).collect()
}

/// Fronts within fronts: those that nothing beats, those that only the former beat, and so on.
fn ranks(trials: &[Trial]) -> Vec<Vec<usize>> {
    let mut beaten_by = vec![0; trials.len()];
    let mut beaten: Vec<Vec<usize>> = vec![Vec::new(); trials.len()];
    for (i, a) in trials.iter().enumerate() {
        for (j, _) in trials.iter().enumerate().filter(|(_, b)| a.beats(b)) {
            beaten[i].push(j);
            beaten_by[j] += 1;
        }
    }
    let mut ranks = Vec::new();
    let mut rank: Vec<usize> = (0..trials.len()).filter(|&i| beaten_by[i] == 0).collect();
    while !rank.is_empty() {
        let mut next = Vec::new();
        for &j in rank.iter().flat_map(|&i| &beaten[i]) {
            beaten_by[j] -= 1;
            if beaten_by[j] == 0 {
                next.push(j);
            }
        }
        next.sort_unstable();
        ranks.push(std::mem::replace(&mut rank, next));
    }
    ranks
}

/// The crowding distance of the trials of a rank: how far apart their neighbours are in score and in every cost, as shares of
/// the whole; infinite at the ends.
fn room(trials: &[Trial], rank: &[usize]) -> Vec<f64> {
    let mut room = vec![0.0; rank.len()];
    for goal in 0..=trials[rank[0]].costs.len() {
        let value = |place: usize| match &trials[rank[place]] {
            Trial { score, .. } if goal == 0 => *score,
            Trial { costs, .. } => costs[goal - 1],
        };
        let mut order: Vec<usize> = (0..rank.len()).collect();
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
        let (first, last) = (order[0], order[order.len() - 1]);
        let whole = value(last) - value(first);
        if whole > 0.0 {
            for three in order.windows(3) {
                room[three[1]] += (value(three[2]) - value(three[0])) / whole;
            }
        }
        room[first] = f64::INFINITY;
        room[last] = f64::INFINITY;
    }
    room
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(score: f64, costs: &[f64]) -> Trial {
        Trial { arch: "r8-k3e3".parse().unwrap(), score, costs: costs.to_vec(), query: 1 }
    }

    #[test]
    fn fronts_lie_within_fronts() {
        let trials = [
            trial(1.0, &[1.0]),
            trial(3.0, &[3.0]),
            trial(0.5, &[1.0]),
            trial(2.0, &[3.0]),
            trial(0.1, &[3.0]),
            trial(2.0, &[2.0]),
        ];
        assert_eq!(ranks(&trials), [vec![0, 1, 5], vec![2, 3], vec![4]]);
    }

    #[test]
    fn the_ends_survive_and_then_those_with_room() {
        let trials = [0.0, 1.0, 1.5, 9.0, 10.0].map(|x| trial(x, &[x]));
        let scores: Vec<f64> = best_first(trials.to_vec()).iter().map(|trial| trial.score).collect();
        // Of their neighbours' distances in both goals: 1.5 has 2 x 0.8, 9 has 2 x 0.85, 1 has 2 x 0.15.
        assert_eq!(scores, [0.0, 10.0, 9.0, 1.5, 1.0]);
    }

    #[test]
    fn impossible_settings_are_named() {
        let refused = |config| Nsga2::new(config).unwrap_err().to_string();
        let config = Nsga2Config::default;
        assert!(refused(Nsga2Config { population: 0, ..config() }).starts_with("population is 0"));
        assert!(refused(Nsga2Config { crossover_ratio: -0.1, ..config() }).starts_with("crossover_ratio is -0.1"));
        let nan = Nsga2Config { mutation_probability: f64::NAN, ..config() };
        assert!(refused(nan).starts_with("mutation_probability is NaN"));
    }
}
