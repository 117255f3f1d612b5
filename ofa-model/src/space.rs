//! [`SearchSpace`]: what may vary, as plain data.

mod presets;
mod sample;

pub use sample::Mutation;

use crate::{Activation, Arch, BlockArch, ExpandRatio, ModelError, StageArch};
use num_bigint::BigUint;
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// A family of networks that share one set of weights.
///
/// A network is a stem, a first block, stages of elastic inverted-bottleneck blocks, and a head. Depth, kernel size and
/// expand ratio vary by stage and block, resolution by network. A narrower space over the same weights (a stage of
/// progressive shrinking) is a value of this type too: see [`SearchSpace::is_within`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchSpace {
    /// Name used in messages and files.
    pub name: String,
    /// Channels of an input image.
    pub image_channels: usize,
    /// Number of classes.
    pub classes: usize,
    /// Input heights and widths in pixels, ascending.
    pub resolutions: Vec<usize>,
    /// Added to the variance in every batch norm.
    pub norm_epsilon: f64,
    /// The first convolution and the first block, which do not vary.
    pub stem: Stem,
    /// The elastic stages.
    pub stages: Vec<StageSpace>,
    /// The layers after the last stage, which do not vary.
    pub head: Head,
}

/// A dense convolution and one inverted-bottleneck block without expansion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stem {
    /// Output channels of the convolution.
    pub channels: usize,
    /// Stride of the convolution.
    pub stride: usize,
    /// Activation of the convolution.
    pub activation: Activation,
    /// Output channels of the first block.
    pub block_channels: usize,
    /// Activation of the first block.
    pub block_activation: Activation,
}

/// What may vary in one stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageSpace {
    /// Output channels of each block.
    pub channels: usize,
    /// Stride of the first block.
    pub stride: usize,
    /// Activation inside the blocks.
    pub activation: Activation,
    /// Whether blocks have squeeze-and-excitation.
    pub squeeze_excite: bool,
    /// Numbers of blocks, ascending.
    pub depths: Vec<usize>,
    /// Depthwise kernel sizes, ascending.
    pub kernel_sizes: Vec<usize>,
    /// Expand ratios, ascending.
    pub expand_ratios: Vec<ExpandRatio>,
}

/// Expansion, pooling, optional feature mixing, classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Output channels of the 1x1 convolution before pooling.
    pub expand_channels: usize,
    /// Output channels of the 1x1 convolution after pooling, if there is one (MobileNetV3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix_channels: Option<usize>,
    /// Activation of both.
    pub activation: Activation,
}

impl SearchSpace {
    /// Checks that the space describes at least one network and nothing contradictory.
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
            ("stem.channels", self.stem.channels),
            ("stem.stride", self.stem.stride),
            ("stem.block_channels", self.stem.block_channels),
            ("head.expand_channels", self.head.expand_channels),
            ("head.mix_channels", self.head.mix_channels.unwrap_or(1)),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Some(format!("{name} is 0"));
        }
        if !(self.norm_epsilon > 0.0 && self.norm_epsilon.is_finite()) {
            return Some(format!("norm_epsilon is {}, it must be positive", self.norm_epsilon));
        }
        if self.stages.is_empty() {
            return Some("it has no stages".into());
        }
        not_ascending("resolutions", &self.resolutions).or_else(|| {
            self.stages
                .iter()
                .enumerate()
                .find_map(|(i, stage)| stage.first_contradiction().map(|problem| format!("stage {}: {problem}", i + 1)))
        })
    }

    /// Checks that `arch` makes only choices this space offers.
    ///
    /// # Errors
    ///
    /// [`ModelError::OutsideSpace`] names the choice, its value and the allowed ones.
    pub fn check(&self, arch: &Arch) -> Result<(), ModelError> {
        let refuse = |choice: String, found: String, allowed: String| {
            Err(ModelError::OutsideSpace { arch: arch.to_string(), space: self.name.clone(), choice, found, allowed })
        };
        if !self.resolutions.contains(&arch.resolution) {
            return refuse("resolution".into(), arch.resolution.to_string(), list(&self.resolutions));
        }
        if arch.stages.len() != self.stages.len() {
            return refuse("number of stages".into(), arch.stages.len().to_string(), self.stages.len().to_string());
        }
        for (s, (stage, space)) in arch.stages.iter().zip(&self.stages).enumerate() {
            let s = s + 1;
            if !space.depths.contains(&stage.blocks.len()) {
                return refuse(format!("stage {s} depth"), stage.blocks.len().to_string(), list(&space.depths));
            }
            for (b, block) in stage.blocks.iter().enumerate() {
                let b = b + 1;
                if !space.kernel_sizes.contains(&block.kernel_size) {
                    let (found, allowed) = (block.kernel_size.to_string(), list(&space.kernel_sizes));
                    return refuse(format!("stage {s} block {b} kernel size"), found, allowed);
                }
                if !space.expand_ratios.contains(&block.expand_ratio) {
                    let (found, allowed) = (block.expand_ratio.to_string(), list(&space.expand_ratios));
                    return refuse(format!("stage {s} block {b} expand ratio"), found, allowed);
                }
            }
        }
        Ok(())
    }

    /// Whether `arch` makes only choices this space offers.
    pub fn contains(&self, arch: &Arch) -> bool {
        self.check(arch).is_ok()
    }

    /// Whether every arch of this space is one of `outer` and means the same network there.
    pub fn is_within(&self, outer: &SearchSpace) -> bool {
        let subset = |a: &[usize], b: &[usize]| a.iter().all(|x| b.contains(x));
        let same_frame = self.image_channels == outer.image_channels
            && self.classes == outer.classes
            && self.norm_epsilon == outer.norm_epsilon
            && self.stem == outer.stem
            && self.head == outer.head
            && self.stages.len() == outer.stages.len();
        same_frame
            && subset(&self.resolutions, &outer.resolutions)
            && self.stages.iter().zip(&outer.stages).all(|(a, b)| {
                (a.channels, a.stride, a.activation, a.squeeze_excite)
                    == (b.channels, b.stride, b.activation, b.squeeze_excite)
                    && subset(&a.depths, &b.depths)
                    && subset(&a.kernel_sizes, &b.kernel_sizes)
                    && a.expand_ratios.iter().all(|ratio| b.expand_ratios.contains(ratio))
            })
    }

    /// Exact number of networks, the resolution not counted: 2.18e19 for MobileNetV3 (paper, section 3.2).
    #[allow(clippy::len_without_is_empty, reason = "a valid space is never empty")]
    pub fn len(&self) -> BigUint {
        self.stages.iter().map(StageSpace::len).product()
    }

    /// The network of all smallest choices, at the lowest resolution.
    pub fn smallest(&self) -> Arch {
        self.pick(|choices| choices.first(), |ratios| ratios.first())
    }

    /// The network of all largest choices, at the highest resolution.
    pub fn largest(&self) -> Arch {
        self.pick(|choices| choices.last(), |ratios| ratios.last())
    }

    fn pick(
        &self,
        number: impl Fn(&[usize]) -> Option<&usize>,
        ratio: impl Fn(&[ExpandRatio]) -> Option<&ExpandRatio>,
    ) -> Arch {
        let number = |choices: &[usize]| *number(choices).expect("a valid space offers at least one choice");
        let stages = self.stages.iter().map(|stage| {
            let block = BlockArch {
                kernel_size: number(&stage.kernel_sizes),
                expand_ratio: *ratio(&stage.expand_ratios).expect("a valid space offers at least one ratio"),
            };
            StageArch { blocks: vec![block; number(&stage.depths)] }
        });
        Arch { resolution: number(&self.resolutions), stages: stages.collect() }
    }
}

impl StageSpace {
    /// Number of distinct stages: the sum over depths of (kernel sizes x expand ratios) ^ depth.
    fn len(&self) -> BigUint {
        let block = BigUint::from(self.kernel_sizes.len() * self.expand_ratios.len());
        self.depths.iter().map(|&depth| block.pow(depth as u32)).sum()
    }

    fn first_contradiction(&self) -> Option<String> {
        if self.channels == 0 || self.stride == 0 {
            return Some(format!("channels {} and stride {} must be positive", self.channels, self.stride));
        }
        if let Some(even) = self.kernel_sizes.iter().find(|k| *k % 2 == 0) {
            return Some(format!("kernel size {even} is even"));
        }
        let one = ExpandRatio::from(1);
        if self.expand_ratios.len() > 1 && self.expand_ratios.contains(&one) {
            // The original keeps the expansion layer in the supernet and drops it in the extracted net, whose outputs
            // then differ: a network with ratio 1 is not a slice of one with another ratio.
            return Some("expand ratio 1 drops the expansion layer and cannot be offered beside others".into());
        }
        not_ascending("depths", &self.depths).or_else(|| not_ascending("kernel_sizes", &self.kernel_sizes)).or_else(
            || not_ascending("expand_ratios", &self.expand_ratios.iter().map(|r| r.value()).collect::<Vec<_>>()),
        )
    }
}

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
    fn outside_choices_are_named() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let cases = [
            ("r30-k3e3.k3e3-k3e3.k3e3-k3e3.k3e3", "resolution is 30"),
            ("r28-k3e3.k3e3-k3e3.k3e3", "number of stages is 2"),
            ("r28-k3e3-k3e3.k3e3-k3e3.k3e3", "stage 1 depth is 1, allowed: 2, 3, 4"),
            ("r28-k3e3.k3e3-k3e3.k9e3-k3e3.k3e3", "stage 2 block 2 kernel size is 9, allowed: 3, 5, 7"),
            ("r28-k3e3.k3e3-k3e3.k3e3-k3e5.k3e3", "stage 3 block 1 expand ratio is 5, allowed: 3, 4, 6"),
        ];
        for (text, expected) in cases {
            let message = space.check(&text.parse().unwrap()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn contradictory_spaces_are_refused() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        type Change = fn(&mut SearchSpace);
        let break_it: [(&str, Change); 6] = [
            ("resolutions", |s| s.resolutions = vec![28, 24]),
            ("no stages", |s| s.stages.clear()),
            ("depths", |s| s.stages[0].depths.clear()),
            ("even", |s| s.stages[1].kernel_sizes = vec![3, 4]),
            ("expand ratio 1", |s| s.stages[2].expand_ratios = vec![1.into(), 3.into()]),
            ("classes is 0", |s| s.classes = 0),
        ];
        for (expected, change) in break_it {
            let mut broken = space.clone();
            change(&mut broken);
            let message = broken.validate().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_narrower_space_is_within_but_not_the_reverse() {
        let outer = SearchSpace::small_mobilenet_v3(1, 10);
        let mut inner = outer.clone();
        inner.stages.iter_mut().for_each(|stage| stage.depths = vec![4]);
        assert!(inner.is_within(&outer));
        assert!(!outer.is_within(&inner));
        inner.stages[0].channels += 8;
        assert!(!inner.is_within(&outer));
    }
}
