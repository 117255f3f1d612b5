//! [`ChoiceCosts`]: a cost that is a sum over choices, and its expectation over random choices.

use super::{ChoiceGroups, StageGroups};
use crate::{SearchSpace, Unit, UnitLayers};

/// What each choice of a block costs (latency, MACs), and what every network costs besides.
///
/// If choices are drawn independently, the expected cost is a polynomial of their probabilities, so it can be
/// differentiated exactly: `E = fixed + sum over stages and blocks of P(depth > block) * sum_c p_c cost_c` (ProxylessNAS,
/// arXiv:1812.00332, section 3.3.1, with depth as a choice of its own).
#[derive(Clone, Debug, PartialEq)]
pub struct ChoiceCosts {
    groups: ChoiceGroups,
    fixed: f64,
    /// By group and choice; 0 for depths, whose cost is that of their blocks.
    costs: Vec<Vec<f64>>,
}

impl ChoiceCosts {
    /// The costs of the networks of `space` with these groups, from the cost of each unit.
    ///
    /// # Errors
    ///
    /// Those of `cost`.
    ///
    /// # Panics
    ///
    /// If `groups` are not those of `space`.
    pub fn new<E>(
        space: &SearchSpace,
        groups: &ChoiceGroups,
        mut cost: impl FnMut(&Unit) -> Result<f64, E>,
    ) -> Result<Self, E> {
        let most = groups.stages().iter().map(|stage| stage.candidates.len()).max().unwrap_or_default();
        let mut costs = groups.filled(0.0);
        let mut fixed = 0.0;
        let stem = space.stem_units(groups.resolution()).len();
        for candidate in 0..most {
            // Candidates do not change the shapes of other blocks, so one deepest network per candidate has all units.
            let mut choices = Vec::new();
            for stage in groups.stages() {
                choices.push(stage.depths.len() - 1);
                choices.extend(stage.blocks().map(|_| candidate.min(stage.candidates.len() - 1)));
            }
            let mut blocks = groups.stages().iter().flat_map(StageGroups::blocks);
            for (i, unit) in space.units(&groups.arch(&choices)).iter().enumerate() {
                let is_fixed = i < stem || matches!(unit.layers, UnitLayers::MaxPool { .. } | UnitLayers::Head(_));
                if !is_fixed {
                    let block = blocks.next().expect("a network has as many blocks as groups");
                    costs[block][choices[block]] = cost(unit)?;
                } else if candidate == 0 {
                    fixed += cost(unit)?;
                }
            }
        }
        Ok(Self { groups: groups.clone(), fixed, costs })
    }

    /// Multiply-accumulate operations of a forward pass on one image.
    pub fn macs(space: &SearchSpace, groups: &ChoiceGroups) -> Self {
        let macs = Self::new(space, groups, |unit| Ok::<_, std::convert::Infallible>(unit.cost().macs as f64));
        macs.unwrap_or_else(|never| match never {})
    }

    /// These costs times `slope`, plus `intercept` once per network.
    pub fn scaled(mut self, slope: f64, intercept: f64) -> Self {
        self.costs.iter_mut().flatten().for_each(|cost| *cost *= slope);
        self.fixed = self.fixed * slope + intercept;
        self
    }

    /// The groups of choices.
    pub fn groups(&self) -> &ChoiceGroups {
        &self.groups
    }

    /// Cost of the network with these choices, an index per group.
    pub fn of(&self, choices: &[usize]) -> f64 {
        let of_stage = |stage: &StageGroups| {
            let blocks = stage.blocks().take(stage.depths[choices[stage.first]]);
            blocks.map(|block| self.costs[block][choices[block]]).sum::<f64>()
        };
        self.fixed + self.groups.stages().iter().map(of_stage).sum::<f64>()
    }

    /// Choices of the cheapest and of the most expensive network.
    pub fn extremes(&self) -> [Vec<usize>; 2] {
        // Costs times -1 make the most expensive network the cheapest.
        [1.0, -1.0].map(|sign| {
            let least = |costs: &mut dyn Iterator<Item = f64>| -> usize {
                let costs: Vec<f64> = costs.map(|cost| -sign * cost).collect();
                largest(&costs)
            };
            let mut choices: Vec<usize> = self.costs.iter().map(|costs| least(&mut costs.iter().copied())).collect();
            for stage in self.groups.stages() {
                let blocks =
                    |depth: &usize| stage.blocks().take(*depth).map(|block| self.costs[block][choices[block]]).sum();
                choices[stage.first] = least(&mut stage.depths.iter().map(blocks));
            }
            choices
        })
    }

    /// Costs of the cheapest and of the most expensive network.
    pub fn range(&self) -> [f64; 2] {
        self.extremes().map(|choices| self.of(&choices))
    }

    /// Expected cost if the choices of all groups are drawn independently with these probabilities, by group.
    pub fn expected(&self, probabilities: &[Vec<f64>]) -> f64 {
        let of_stage = |stage: &StageGroups| {
            let of_block = |(b, block): (usize, usize)| {
                deeper(stage, &probabilities[stage.first], b) * dot(&probabilities[block], &self.costs[block])
            };
            stage.blocks().enumerate().map(of_block).sum::<f64>()
        };
        self.fixed + self.groups.stages().iter().map(of_stage).sum::<f64>()
    }

    /// Derivative of [`expected`](Self::expected) by each probability.
    pub fn gradient(&self, probabilities: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut gradient = self.groups.filled(0.0);
        for stage in self.groups.stages() {
            for (b, block) in stage.blocks().enumerate() {
                let reached = deeper(stage, &probabilities[stage.first], b);
                gradient[block] = self.costs[block].iter().map(|cost| reached * cost).collect();
                let mean = dot(&probabilities[block], &self.costs[block]);
                let depths = stage.depths.iter().zip(&mut gradient[stage.first]);
                depths.filter(|(depth, _)| **depth > b).for_each(|(_, sum)| *sum += mean);
            }
        }
        gradient
    }

    /// The network of the most probable choices, changed until it costs at most `limit`: each change is the one that
    /// loses the least logarithm of probability for what it saves. `None` if the cheapest network costs more.
    pub fn most_probable(&self, probabilities: &[Vec<f64>], limit: f64) -> Option<Vec<usize>> {
        let mut choices: Vec<usize> = probabilities.iter().map(|group| largest(group)).collect();
        loop {
            let now = self.of(&choices);
            if now <= limit {
                return Some(choices);
            }
            let mut best: Option<(f64, usize, usize)> = None;
            for group in (0..choices.len()).filter(|&group| self.groups.in_use(&choices)[group]) {
                for other in 0..probabilities[group].len() {
                    let mut changed = choices.clone();
                    changed[group] = other;
                    let saved = now - self.of(&changed);
                    let odds =
                        probabilities[group][choices[group]] / probabilities[group][other].max(f64::MIN_POSITIVE);
                    let price = libm::log(odds) / saved;
                    if saved > 0.0 && best.is_none_or(|(least, ..)| price < least) {
                        best = Some((price, group, other));
                    }
                }
            }
            let (_, group, other) = best?;
            choices[group] = other;
        }
    }
}

/// Probability that a stage is deeper than `block` blocks, given those of its depths.
fn deeper(stage: &StageGroups, depths: &[f64], block: usize) -> f64 {
    stage.depths.iter().zip(depths).filter(|(depth, _)| **depth > block).map(|(_, probability)| probability).sum()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Index of the first greatest value.
fn largest(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn small() -> (SearchSpace, ChoiceCosts) {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let groups = ChoiceGroups::new(&space, 28).unwrap();
        let costs = ChoiceCosts::macs(&space, &groups);
        (space, costs)
    }

    fn probabilities(costs: &ChoiceCosts, seed: u64) -> Vec<Vec<f64>> {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut drawn = costs.groups().filled(0.0);
        for group in &mut drawn {
            group.iter_mut().for_each(|value| *value = rng.random_range(0.1..1.0));
            let sum: f64 = group.iter().sum();
            group.iter_mut().for_each(|value| *value /= sum);
        }
        drawn
    }

    #[test]
    fn a_network_costs_what_its_space_says() {
        let (space, costs) = small();
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        for _ in 0..50 {
            let arch = space.sample(rng).at_resolution(28);
            let choices = costs.groups().choices(&arch).unwrap();
            assert_eq!(costs.of(&choices), space.cost(&arch).macs as f64, "{arch}");
        }
        let ends = [space.smallest().at_resolution(28), space.largest()].map(|arch| space.cost(&arch).macs as f64);
        assert_eq!(costs.range(), ends);
        assert_eq!(costs.scaled(2.0, 5.0).range(), ends.map(|macs| macs * 2.0 + 5.0));
    }

    #[test]
    fn the_expectation_is_the_sum_over_all_networks_by_their_probabilities() {
        let (mut space, _) = small();
        space.stages.truncate(2);
        for stage in &mut space.stages {
            (stage.depths, stage.kernel_sizes) = (vec![1, 2], vec![3, 5]);
        }
        let groups = ChoiceGroups::new(&space, 28).unwrap();
        let costs = ChoiceCosts::macs(&space, &groups);
        let probabilities = probabilities(&costs, 5);
        let sizes = groups.sizes();
        let (mut sum, mut whole) = (0.0, 0.0);
        for number in 0..sizes.iter().product::<usize>() {
            let mut rest = number;
            let choices: Vec<usize> = sizes.iter().map(|size| (rest % size, rest /= size).0).collect();
            let share: f64 = choices.iter().zip(&probabilities).map(|(&choice, group)| group[choice]).product();
            whole += share;
            sum += share * costs.of(&choices);
        }
        assert!((whole - 1.0).abs() < 1e-9);
        assert!((sum / costs.expected(&probabilities) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let (_, costs) = small();
        let probabilities = probabilities(&costs, 7);
        let gradient = costs.gradient(&probabilities);
        for group in 0..probabilities.len() {
            for choice in 0..probabilities[group].len() {
                let at = |step: f64| {
                    let mut changed = probabilities.clone();
                    changed[group][choice] += step;
                    costs.expected(&changed)
                };
                let difference = (at(1e-3) - at(-1e-3)) / 2e-3;
                let found = gradient[group][choice];
                assert!((difference - found).abs() <= 1e-6 * found.abs(), "{group} {choice}: {difference} {found}");
            }
        }
    }

    #[test]
    fn the_most_probable_network_within_a_limit_keeps_it() {
        let (_, costs) = small();
        let probabilities = probabilities(&costs, 9);
        let [low, high] = costs.range();
        assert_eq!(costs.most_probable(&probabilities, low * 0.99), None);
        let free = costs.most_probable(&probabilities, high).unwrap();
        for (choice, group) in free.iter().zip(&probabilities) {
            assert!(group.iter().all(|other| *other <= group[*choice]));
        }
        for share in [0.0, 0.2, 0.5] {
            let limit = low + share * (high - low);
            assert!(costs.of(&costs.most_probable(&probabilities, limit).unwrap()) <= limit);
        }
    }
}
