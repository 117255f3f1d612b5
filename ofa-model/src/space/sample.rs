//! Random sampling, mutation and crossover of archs.

use super::{SearchSpace, StageSpace};
use crate::{Arch, BlockArch, Ratio, StageArch};
use rand::distr::Open01;
use rand::{Rng, RngExt};

/// Probability that a mutation redraws each kind of choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mutation {
    /// Probability of redrawing a width, depth, kernel size or expand ratio, each choice on its own.
    pub choice_probability: f64,
    /// Probability of redrawing the resolution.
    pub resolution_probability: f64,
}

impl Default for Mutation {
    /// The values of the paper's evolutionary search: 0.1, and 0.5 for the resolution.
    fn default() -> Self {
        Self { choice_probability: 0.1, resolution_probability: 0.5 }
    }
}

impl SearchSpace {
    /// Draws every choice uniformly, as training does (paper, section 3.3).
    ///
    /// This is *not* uniform over networks: a deep stage stands for many more networks than a shallow one, yet all
    /// depths are equally likely here. See [`SearchSpace::sample_network`].
    pub fn sample(&self, rng: &mut (impl Rng + ?Sized)) -> Arch {
        let resolution = choose(&self.resolutions, rng);
        let stages = self.stages.iter().map(|stage| {
            let depth = choose(&stage.depths, rng);
            stage.sample(depth, rng)
        });
        Arch { resolution, stages: stages.collect() }
    }

    /// Draws a network uniformly from all networks of the space; its resolution is also uniform.
    pub fn sample_network(&self, rng: &mut (impl Rng + ?Sized)) -> Arch {
        let resolution = choose(&self.resolutions, rng);
        let stages = self.stages.iter().map(|stage| {
            let depth = stage.depth_by_networks(rng);
            stage.sample(depth, rng)
        });
        Arch { resolution, stages: stages.collect() }
    }

    /// Redraws some choices of `arch`, which must be in this space. Blocks added by a greater depth are drawn
    /// uniformly. (If `arch` is outside the space, the result may be too.)
    ///
    /// # Panics
    ///
    /// If a probability of `mutation` is not between 0 and 1.
    pub fn mutate(&self, arch: &Arch, mutation: Mutation, rng: &mut (impl Rng + ?Sized)) -> Arch {
        debug_assert!(self.contains(arch), "{arch}");
        let mut redraws = Redraws::new(mutation.choice_probability, rng);
        let mut child = arch.clone();
        if rng.random_bool(mutation.resolution_probability) {
            child.resolution = choose(&self.resolutions, rng);
        }
        for (stage, space) in child.stages.iter_mut().zip(&self.stages) {
            if space.widths.len() > 1 && redraws.next(rng) {
                stage.width = choose(&space.widths, rng);
            }
            if redraws.next(rng) {
                let depth = choose(&space.depths, rng);
                stage.blocks.truncate(depth);
                while stage.blocks.len() < depth {
                    stage.blocks.push(space.sample_block(rng));
                }
            }
            for block in &mut stage.blocks {
                if redraws.next(rng) {
                    block.kernel_size = choose(&space.kernel_sizes, rng);
                }
                if redraws.next(rng) {
                    block.expand_ratio = choose(&space.expand_ratios, rng);
                }
            }
        }
        child
    }

    /// Takes every choice from either parent with equal probability. Both parents must be in this space; otherwise
    /// choices outside it may be inherited.
    pub fn crossover(&self, a: &Arch, b: &Arch, rng: &mut (impl Rng + ?Sized)) -> Arch {
        debug_assert!(self.contains(a) && self.contains(b), "{a} {b}");
        let mut coins = Coins::default();
        let mut heads = || coins.toss(rng);
        let resolution = if heads() { a.resolution } else { b.resolution };
        let stages = a.stages.iter().zip(&b.stages).map(|(a, b)| {
            let (deep, other) = if heads() { (a, b) } else { (b, a) };
            let blocks = deep.blocks.iter().enumerate().map(|(i, &block)| {
                let mate = other.blocks.get(i).copied().unwrap_or(block);
                BlockArch {
                    kernel_size: if heads() { block.kernel_size } else { mate.kernel_size },
                    expand_ratio: if heads() { block.expand_ratio } else { mate.expand_ratio },
                }
            });
            let blocks = blocks.collect();
            let width = if a.width == b.width || heads() { a.width } else { b.width };
            StageArch { width, blocks }
        });
        Arch { resolution, stages: stages.collect() }
    }
}

/// Fair coin tosses, 64 per random draw.
#[derive(Default)]
struct Coins {
    /// Remaining tosses; the lowest bit is the next one.
    bits: u64,
    left: u32,
}

impl Coins {
    fn toss(&mut self, rng: &mut (impl Rng + ?Sized)) -> bool {
        if self.left == 0 {
            (self.bits, self.left) = (rng.next_u64(), u64::BITS);
        }
        let heads = self.bits & 1 == 1;
        (self.bits, self.left) = (self.bits >> 1, self.left - 1);
        heads
    }
}

/// Decides which of a sequence of choices to redraw, each with the same probability. It draws one random number per
/// redraw instead of one per choice, since most choices stay.
struct Redraws {
    /// Logarithm of the probability that a choice stays.
    ln_stays: f64,
    /// Number of choices that stay before the next redraw.
    gap: u64,
}

impl Redraws {
    fn new(probability: f64, rng: &mut (impl Rng + ?Sized)) -> Self {
        assert!((0.0..=1.0).contains(&probability), "choice_probability is {probability}, it must be between 0 and 1");
        let mut redraws = Self { ln_stays: (-probability).ln_1p(), gap: 0 };
        redraws.gap = redraws.draw(rng);
        redraws
    }

    /// Whether to redraw the next choice.
    fn next(&mut self, rng: &mut (impl Rng + ?Sized)) -> bool {
        if self.gap > 0 {
            self.gap -= 1;
            return false;
        }
        self.gap = self.draw(rng);
        true
    }

    /// A gap from the geometric distribution, by inversion.
    fn draw(&self, rng: &mut (impl Rng + ?Sized)) -> u64 {
        // With probability 0 this is infinite and saturates at the largest integer; with probability 1 it is 0.
        (rng.sample::<f64, _>(Open01).ln() / self.ln_stays) as u64
    }
}

impl StageSpace {
    fn sample(&self, depth: usize, rng: &mut (impl Rng + ?Sized)) -> StageArch {
        let blocks = (0..depth).map(|_| self.sample_block(rng)).collect();
        StageArch { width: self.sample_width(rng), blocks }
    }

    /// Draws a width only if there are several, so a space with a single width uses no random number for it.
    fn sample_width(&self, rng: &mut (impl Rng + ?Sized)) -> Ratio {
        if let [only] = self.widths[..] { only } else { choose(&self.widths, rng) }
    }

    fn sample_block(&self, rng: &mut (impl Rng + ?Sized)) -> BlockArch {
        BlockArch { kernel_size: choose(&self.kernel_sizes, rng), expand_ratio: choose(&self.expand_ratios, rng) }
    }

    /// Draws a depth with probability proportional to the number of stages of that depth.
    fn depth_by_networks(&self, rng: &mut (impl Rng + ?Sized)) -> usize {
        let deepest = self.greatest_depth();
        // Weights relative to the deepest stay finite for any number of blocks.
        let ratio = 1.0 / (self.kernel_sizes.len() * self.expand_ratios.len()) as f64;
        let weights: Vec<f64> = self.depths.iter().map(|&d| ratio.powi((deepest - d) as i32)).collect();
        let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
        for (&depth, weight) in self.depths.iter().zip(weights) {
            left -= weight;
            if left < 0.0 {
                return depth;
            }
        }
        deepest
    }
}

fn choose<T: Copy>(choices: &[T], rng: &mut (impl Rng + ?Sized)) -> T {
    choices[rng.random_range(0..choices.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #[test]
        fn every_operation_stays_inside(seed: u64) {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let space = match seed % 2 {
                0 => SearchSpace::mobilenet_v3(1.0, 1000),
                _ => SearchSpace::resnet50d(1000),
            };
            let (a, b) = (space.sample(rng), space.sample_network(rng));
            let mutant = space.mutate(&a, Mutation { choice_probability: 0.5, resolution_probability: 0.5 }, rng);
            let child = space.crossover(&a, &b, rng);
            for arch in [a, b, mutant, child] {
                prop_assert!(space.contains(&arch));
                prop_assert_eq!(&arch.to_string().parse::<Arch>().unwrap(), &arch);
            }
        }

        #[test]
        fn a_mutation_of_probability_zero_changes_nothing(seed: u64) {
            let space = SearchSpace::small_mobilenet_v3(1, 10);
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let arch = space.sample(rng);
            let none = Mutation { choice_probability: 0.0, resolution_probability: 0.0 };
            prop_assert_eq!(space.mutate(&arch, none, rng), arch);
        }
    }

    #[test]
    fn choices_are_drawn_anew_with_their_probability_each_for_itself() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        for probability in [0.0, 0.1, 0.5, 1.0] {
            let redraws = &mut Redraws::new(probability, rng);
            let n = 40_000;
            let drawn: Vec<bool> = (0..n).map(|_| redraws.next(rng)).collect();
            let share = |count: usize, of: usize| count as f64 / of as f64;
            let marginal = share(drawn.iter().filter(|&&drawn| drawn).count(), n);
            let both = share(drawn.windows(2).filter(|pair| pair[0] && pair[1]).count(), n - 1);
            assert!((marginal - probability).abs() < 0.01, "{probability}: {marginal}");
            assert!((both - probability * probability).abs() < 0.01, "{probability}: {both} of neighbouring pairs");
        }
    }

    #[test]
    #[should_panic(expected = "choice_probability is 1.5, it must be between 0 and 1")]
    fn a_probability_above_one_is_refused() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let mutation = Mutation { choice_probability: 1.5, ..Mutation::default() };
        space.mutate(&space.smallest(), mutation, &mut ChaCha8Rng::seed_from_u64(1));
    }

    #[test]
    #[should_panic(expected = "choice_probability is NaN")]
    fn a_probability_that_is_no_number_is_refused() {
        Redraws::new(f64::NAN, &mut ChaCha8Rng::seed_from_u64(1));
    }

    #[test]
    fn the_two_distributions_differ_as_documented() {
        let space = SearchSpace::mobilenet_v3(1.0, 1000);
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let all_deep = |arch: &Arch| arch.depths().iter().all(|&depth| depth == 4);
        let n = 4000;
        let share = |count: usize| count as f64 / f64::from(n);
        // Per choice (1/3)^5 = 0.4 %; over networks (6561/7371)^5 = 56 %.
        let per_choice = share((0..n).filter(|_| all_deep(&space.sample(rng))).count());
        let per_network = share((0..n).filter(|_| all_deep(&space.sample_network(rng))).count());
        assert!(per_choice < 0.01, "{per_choice}");
        assert!((0.52..0.60).contains(&per_network), "{per_network}");
    }

    #[test]
    fn either_parent_hands_down_half_of_the_choices_one_by_one() {
        let space = SearchSpace::mobilenet_v3(1.0, 1000);
        let (least, most) = (space.smallest(), space.largest());
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        // More tosses than one draw holds, so the test includes a refill.
        let coins = &mut Coins::default();
        let heads = (0..20_000).filter(|_| coins.toss(rng)).count();
        assert!((9_700..10_300).contains(&heads), "{heads}");
        let n = 2_000;
        let (mut wide, mut deep, mut both) = (0, 0, 0);
        for _ in 0..n {
            let child = space.crossover(&least, &most, rng);
            let is_wide = child.stages[0].blocks[0].expand_ratio == most.stages[0].blocks[0].expand_ratio;
            let is_deep = child.stages[0].blocks.len() == most.stages[0].blocks.len();
            (wide, deep, both) =
                (wide + usize::from(is_wide), deep + usize::from(is_deep), both + usize::from(is_wide && is_deep));
        }
        assert!((900..1_100).contains(&wide) && (900..1_100).contains(&deep), "{wide} {deep}");
        assert!((430..570).contains(&both), "{both}: choices are independent");
    }

    #[test]
    fn same_seed_same_arch() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let draw = |seed| space.sample(&mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
