//! [`SearchSpace`]: what may vary, as plain data.

mod filter;
mod membership;
mod presets;
mod sample;
mod stage;

pub use filter::{Choice, ChoiceMask, ChoiceRank};
pub use sample::Mutation;
pub use stage::{BlockKind, StageSpace};

use crate::{Activation, Arch, BlockArch, ModelError, StageArch};
use num_bigint::BigUint;
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// A family of networks that share one set of weights.
///
/// A network is a sequence of stages and a head. Width and depth vary per stage, kernel size and expand ratio per
/// block, resolution per network. A narrower space over the same weights (a stage of progressive shrinking) has this
/// type too: see [`SearchSpace::is_within`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchSpace {
    /// Name, used in messages and files.
    pub name: String,
    /// Channels of the input images.
    pub image_channels: usize,
    /// Number of classes.
    pub classes: usize,
    /// Input heights and widths in pixels, ascending.
    pub resolutions: Vec<usize>,
    /// Constant added to the variance in every batch norm.
    pub norm_epsilon: f64,
    /// Stages before the elastic ones. They do not vary, and archs do not mention them.
    #[serde(default)]
    pub stem: Vec<StageSpace>,
    /// The elastic stages, first to last.
    pub stages: Vec<StageSpace>,
    /// The layers after the last stage; they do not vary.
    pub head: Head,
}

/// Head of a network: optional expansion, pooling, optional feature mixing, classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Output channels of the 1x1 convolution before pooling (mobile networks); `None` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expand_channels: Option<usize>,
    /// Output channels of the 1x1 convolution after pooling (MobileNetV3); `None` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix_channels: Option<usize>,
    /// Activation after both 1x1 convolutions.
    pub activation: Activation,
}

impl SearchSpace {
    /// Checks that the space describes at least one network and does not contradict itself.
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidSpace`] names the first contradiction.
    pub fn validate(&self) -> Result<(), ModelError> {
        self.first_contradiction()
            .map_or(Ok(()), |problem| Err(ModelError::InvalidSpace { space: self.name.clone(), problem }))
    }

    fn first_contradiction(&self) -> Option<String> {
        let positive = [
            ("image_channels", self.image_channels),
            ("classes", self.classes),
            ("head.expand_channels", self.head.expand_channels.unwrap_or(1)),
            ("head.mix_channels", self.head.mix_channels.unwrap_or(1)),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Some(format!("{name} is 0"));
        }
        if let Some((name, value)) = positive.iter().find(|(_, value)| *value > MOST_CHANNELS) {
            return Some(format!("{name} is {value}, more than {MOST_CHANNELS}"));
        }
        if self.classes == 1 {
            return Some("classes is 1: with one class there is nothing to learn".into());
        }
        if !(self.norm_epsilon > 0.0 && self.norm_epsilon.is_finite()) {
            return Some(format!("norm_epsilon is {}, it must be positive", self.norm_epsilon));
        }
        if self.stages.is_empty() {
            return Some("it has no stages".into());
        }
        let in_stages = |name: &str, stages: &[StageSpace]| {
            let problems = stages.iter().enumerate().map(|(i, stage)| (i + 1, stage.first_contradiction()));
            problems.into_iter().find_map(|(i, problem)| Some(format!("{name} {i}: {}", problem?)))
        };
        let elastic = self.stem.iter().position(|stage| !stage.is_fixed());
        not_ascending("resolutions", &self.resolutions)
            .or_else(|| in_stages("stem stage", &self.stem))
            .or_else(|| elastic.map(|i| format!("stem stage {}: it must offer exactly one choice of each kind", i + 1)))
            .or_else(|| in_stages("stage", &self.stages))
    }

    /// This space with `resolution` among its resolutions: no weight depends on it.
    pub fn with_resolution(mut self, resolution: usize) -> Self {
        self.resolutions.push(resolution);
        self.resolutions.sort_unstable();
        self.resolutions.dedup();
        self
    }

    /// Exact number of networks, not counting resolutions: 2.18e19 for MobileNetV3 (paper, section 3.2).
    #[allow(clippy::len_without_is_empty, reason = "a valid space is never empty")]
    pub fn len(&self) -> BigUint {
        self.stages.iter().map(StageSpace::len).product()
    }

    /// The network with the smallest value of every choice, at the lowest resolution.
    pub fn smallest(&self) -> Arch {
        let stages = self.stages.iter().map(StageSpace::smallest);
        Arch { resolution: self.resolutions[0], stages: stages.collect() }
    }

    /// The network with the largest value of every choice, at the highest resolution.
    pub fn largest(&self) -> Arch {
        let stages = self.stages.iter().map(|stage| stage.pick(|choices| choices - 1));
        Arch { resolution: self.resolutions[self.resolutions.len() - 1], stages: stages.collect() }
    }
}

impl StageSpace {
    /// The stage with the smallest value of every choice.
    pub(crate) fn smallest(&self) -> StageArch {
        self.pick(|_| 0)
    }

    /// The stage whose choices are at the index that `index` returns for the number of choices.
    fn pick(&self, index: impl Fn(usize) -> usize) -> StageArch {
        let block = BlockArch {
            kernel_size: self.kernel_sizes[index(self.kernel_sizes.len())],
            expand_ratio: self.expand_ratios[index(self.expand_ratios.len())],
        };
        let blocks = vec![block; self.depths[index(self.depths.len())]];
        StageArch { width: self.widths[index(self.widths.len())], blocks }
    }
}

/// Sanity limit on channels and classes: a slip in a file must not exhaust memory.
const MOST_CHANNELS: usize = 1_000_000;
/// Sanity limit on blocks per stage.
const MOST_BLOCKS: usize = 1_000;
/// Sanity limit on the kernel size.
const LARGEST_KERNEL: usize = 63;

fn not_ascending<T: PartialOrd + Display + Default>(name: &str, values: &[T]) -> Option<String> {
    let ascending = !values.is_empty() && values[0] > T::default() && values.windows(2).all(|pair| pair[0] < pair[1]);
    (!ascending).then(|| format!("{name} [{}] must be positive and strictly ascending", list(values)))
}

/// The values, separated by commas.
pub(crate) fn list<T: Display>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mobilenet_v3_has_the_published_number_of_networks() {
        let block = BigUint::from(9u32);
        let stage = block.pow(2) + block.pow(3) + block.pow(4);
        let space = SearchSpace::mobilenet_v3(1.0, 1000);
        assert_eq!(space.len(), stage.pow(5));
        assert_eq!(space.len().to_string(), "21758655492572485851", "the published 2.18e19");
    }

    #[test]
    fn resnet50d_counts_its_widths_and_depths() {
        // Stem: 3 widths x 2 depths, 3 widths. Each stage: 3 widths x sum of 3 ratios ^ depth.
        let stage = |depths: [u32; 3]| 3 * depths.iter().map(|&d| 3u64.pow(d)).sum::<u64>();
        let stages = stage([2, 3, 4]).pow(3) * stage([4, 5, 6]);
        assert_eq!(SearchSpace::resnet50d(1000).len(), BigUint::from(6 * 3 * stages));
    }

    #[test]
    fn contradictory_spaces_are_refused() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        type Change = fn(&mut SearchSpace);
        let break_it: [(&str, Change); 13] = [
            ("stage 1: depth 2000000 is more than 1000", |s| s.stages[0].depths = vec![2, 2_000_000]),
            ("classes is 2000000, more than", |s| s.classes = 2_000_000),
            ("resolutions", |s| s.resolutions = vec![28, 24]),
            ("stem stage 2: it must offer exactly one choice", |s| s.stem[1].depths = vec![1, 2]),
            ("only mb_conv blocks have an elastic kernel size", |s| s.stages[0].block = BlockKind::Conv),
            ("stage 2: only mb_conv blocks have squeeze", |s| s.stages[1].block = BlockKind::Bottleneck),
            ("stage 1: widths", |s| s.stages[0].widths = vec![1.into(), 1.into()]),
            ("no stages", |s| s.stages.clear()),
            ("depths", |s| s.stages[0].depths.clear()),
            ("even", |s| s.stages[1].kernel_sizes = vec![3, 4]),
            ("expand ratio 1", |s| s.stages[2].expand_ratios = vec![1.into(), 3.into()]),
            ("classes is 0", |s| s.classes = 0),
            ("classes is 1: with one class", |s| s.classes = 1),
        ];
        for (expected, change) in break_it {
            let mut broken = space.clone();
            change(&mut broken);
            let message = broken.validate().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
