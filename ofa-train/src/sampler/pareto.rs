//! [`ParetoSampler`]: sampling near the Pareto front.

use super::{ArchSampler, StepKey};
use ofa_data::random::Purpose;
use ofa_model::{Arch, SearchSpace};
use rand::Rng;

/// Attentive sampling, written from the AttentiveNAS paper (Wang et al., CVPR 2021, section 4). Draws target MACs from
/// their distribution over random networks, draws `candidates` networks near the target, and trains the one with the
/// best (or worst) score. The first subnet is the largest and the last the smallest, as in that paper.
///
/// Each candidate is the network closest to the target among `pool` uniform draws.
pub struct ParetoSampler<F> {
    /// Seed of the draws.
    pub seed: u64,
    /// Networks of similar MACs to compare; 1 compares none, the paper uses 50.
    pub candidates: usize,
    /// Uniform draws per candidate, at least 1; more draws come closer to the target.
    pub pool: usize,
    /// Which candidate is trained.
    pub pick: Pick,
    /// Predicted accuracy of an arch, or anything that ranks archs the same way. Must not change during training.
    pub score: F,
}

/// Which candidate is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The best, so training follows the front that will be deployed.
    Best,
    /// The worst, so training improves the weakest networks.
    Worst,
}

impl<F: Fn(&Arch) -> f64> ParetoSampler<F> {
    fn attend(&self, space: &SearchSpace, rng: &mut impl Rng) -> Arch {
        let target = space.cost(&at_largest(space, space.sample(rng))).macs;
        let candidates = (0..self.candidates.max(1)).map(|_| {
            let arch = self.near(space, target, rng);
            ((self.score)(&arch), arch)
        });
        let best = candidates.reduce(|best, next| {
            let better = match self.pick {
                Pick::Best => next.0 > best.0,
                Pick::Worst => next.0 < best.0,
            };
            if better { next } else { best }
        });
        best.expect("there is at least one candidate").1
    }

    fn near(&self, space: &SearchSpace, target: u64, rng: &mut impl Rng) -> Arch {
        let draws = std::iter::repeat_with(|| at_largest(space, space.sample(rng))).take(self.pool.max(1));
        let nearest = draws.min_by_key(|arch| space.cost(arch).macs.abs_diff(target));
        nearest.expect("a pool has at least one draw")
    }
}

/// Batches set the resolution, so networks are compared at the same one.
fn at_largest(space: &SearchSpace, arch: Arch) -> Arch {
    arch.at_resolution(space.resolutions[space.resolutions.len() - 1])
}

impl<F: Fn(&Arch) -> f64> ArchSampler for ParetoSampler<F> {
    fn sample(&self, space: &SearchSpace, key: StepKey, count: usize) -> Vec<Arch> {
        let mut rng = key.stream(self.seed, Purpose::Archs);
        let mut archs = vec![space.largest()];
        archs.extend((0..count.saturating_sub(2)).map(|_| self.attend(space, &mut rng)));
        archs.push(space.smallest());
        archs.truncate(count);
        archs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depths(arch: &Arch) -> f64 {
        arch.depths().iter().sum::<usize>() as f64
    }

    fn drawn(candidates: usize, pool: usize, pick: Pick) -> Vec<Arch> {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let sampler = ParetoSampler { seed: 5, candidates, pool, pick, score: depths };
        (0..40).flat_map(|step| sampler.sample(&space, StepKey { phase: 0, step }, 4)[1..3].to_vec()).collect()
    }

    fn mean(archs: &[Arch], value: impl Fn(&Arch) -> f64) -> f64 {
        archs.iter().map(value).sum::<f64>() / archs.len() as f64
    }

    #[test]
    fn the_picked_ones_score_better_at_the_same_macs() {
        let (best, worst) = (drawn(8, 64, Pick::Best), drawn(8, 64, Pick::Worst));
        let gain = mean(&best, depths) - mean(&worst, depths);
        assert!(gain > 0.5, "{gain}");
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let macs = |arch: &Arch| space.cost(arch).macs as f64;
        let ratio = mean(&best, macs) / mean(&worst, macs);
        assert!((0.95..1.05).contains(&ratio), "{ratio}");
    }

    #[test]
    fn targets_are_spread_as_random_networks_are() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let macs = |arch: &Arch| space.cost(arch).macs as f64;
        let deviation = |archs: &[Arch]| {
            let m = mean(archs, macs);
            (mean(archs, |arch| (macs(arch) - m).powi(2))).sqrt()
        };
        let uniform = drawn(1, 1, Pick::Best);
        let attended = drawn(1, 32, Pick::Best);
        let ratio = deviation(&attended) / deviation(&uniform);
        assert!((0.7..1.4).contains(&ratio), "{ratio}");
    }
}
