//! [`Nsga2`]: evolution towards a whole Pareto front.

use crate::strategies::draws::Draws;
use crate::{SearchError, SearchStrategy, Trial};
use ofa_model::{Arch, Mutation, SearchSpace};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Settings of [`Nsga2`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nsga2Config {
    /// Number of archs alive, and of children per generation.
    pub population: usize,
    /// Share of children that cross two parents before mutating; the rest only mutate.
    pub crossover_ratio: f64,
    /// Probability that a mutation redraws a choice, including the resolution.
    pub mutation_probability: f64,
}

impl Default for Nsga2Config {
    /// The crossover ratio is from Deb et al. They mutate one choice on average; this probability mutates about two.
    fn default() -> Self {
        Self { population: 100, crossover_ratio: 0.9, mutation_probability: 0.05 }
    }
}

/// NSGA-II (Deb et al., 2002): searches for the Pareto front of the score against the costs of all constraints.
///
/// Survivors are ordered by non-dominated rank, then by crowding distance. Each parent is the better of two drawn
/// archs. [`search()`](crate::search()) returns the best score; observe it with a [`Front`](crate::Front) to keep the
/// front. The limits of the constraints bound the part of interest.
#[derive(Clone, Debug, Default)]
pub struct Nsga2 {
    config: Nsga2Config,
    /// Best first.
    alive: Vec<Trial>,
    children: Vec<Trial>,
    draws: Draws,
}

impl Nsga2 {
    /// Starts from a random population.
    ///
    /// # Errors
    ///
    /// If the population is empty, or a ratio or probability is outside `[0, 1]`.
    pub fn new(config: Nsga2Config) -> Result<Self, SearchError> {
        let refuse = |setting, value: String, problem| Err(SearchError::InvalidSetting { setting, value, problem });
        if config.population == 0 {
            return refuse("population", "0".into(), "a generation needs at least one arch");
        }
        let shares =
            [("crossover_ratio", config.crossover_ratio), ("mutation_probability", config.mutation_probability)];
        match shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            Some((setting, share)) => refuse(setting, share.to_string(), "it must be between 0 and 1"),
            None => Ok(Self { config, ..Self::default() }),
        }
    }

    /// The better of two drawn archs.
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

/// Orders trials by non-dominated rank, then by crowding distance.
fn best_first(trials: Vec<Trial>) -> Vec<Trial> {
    let mut ordered = Vec::with_capacity(trials.len());
    for rank in ranks(&trials) {
        let room = room(&trials, &rank);
        let mut rank: Vec<(usize, f64)> = rank.into_iter().zip(room).collect();
        // The sort is stable: of two equal trials the older survives.
        rank.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        ordered.extend(rank.into_iter().map(|(i, _)| i));
    }
    let mut trials: Vec<Option<Trial>> = trials.into_iter().map(Some).collect();
    ordered.into_iter().map(|i| trials[i].take().expect("every trial has one rank")).collect()
}

/// Non-dominated ranks: trials that nothing beats, then trials that only those beat, and so on.
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

/// Crowding distance of each trial of a rank: the distance between its neighbours in score and in every cost, as a
/// share of the range, summed. Infinite at the ends.
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
        // Distances between neighbours, summed over both goals: 2 x 0.8 for 1.5, 2 x 0.85 for 9, 2 x 0.15 for 1.
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
