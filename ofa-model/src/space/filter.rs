//! Narrower spaces over the same weights.

use super::{SearchSpace, StageSpace, list};
use crate::{ModelError, Ratio};
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// One value of a choice that a space offers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// Height and width of the input in pixels.
    Resolution(usize),
    /// Width of a stage, as a multiple of its channels.
    Width(Ratio),
    /// Number of blocks in a stage.
    Depth(usize),
    /// Kernel size of a block.
    KernelSize(usize),
    /// Expand ratio of a block.
    ExpandRatio(Ratio),
}

/// Position of a value among the offered values of its kind, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChoiceRank {
    /// Position, from 0.
    pub index: usize,
    /// Number of offered values.
    pub count: usize,
}

impl SearchSpace {
    /// Keeps only the choices for which `keep` returns true. The name stays, because tables and predictors of this
    /// space also serve the narrower one.
    ///
    /// If no value of a kind is kept, the result is not a valid space: [`SearchSpace::validate`] refuses it.
    pub fn filtered(&self, keep: impl Fn(Choice, ChoiceRank) -> bool) -> Self {
        let stage = |stage: &StageSpace| StageSpace {
            widths: kept(&stage.widths, Choice::Width, &keep),
            depths: kept(&stage.depths, Choice::Depth, &keep),
            kernel_sizes: kept(&stage.kernel_sizes, Choice::KernelSize, &keep),
            expand_ratios: kept(&stage.expand_ratios, Choice::ExpandRatio, &keep),
            ..stage.clone()
        };
        let resolutions = kept(&self.resolutions, Choice::Resolution, &keep);
        Self { resolutions, stages: self.stages.iter().map(stage).collect(), ..self.clone() }
    }
}

fn kept<T: Copy>(choices: &[T], choice: fn(T) -> Choice, keep: &impl Fn(Choice, ChoiceRank) -> bool) -> Vec<T> {
    let count = choices.len();
    let numbered = choices.iter().copied().enumerate();
    numbered
        .filter(|&(index, value)| keep(choice(value), ChoiceRank { index, count }))
        .map(|(_, value)| value)
        .collect()
}

/// Choices that a device or a task rules out, as data. Archs of the masked space are archs of the whole one.
///
/// Widths are not masked: whether a stage's first block adds its input depends on all offered widths.
///
/// ```
/// use ofa_model::{ChoiceMask, SearchSpace};
///
/// let space = SearchSpace::mobilenet_v3(1.0, 1000);
/// let mask = ChoiceMask { forbidden_kernel_sizes: vec![7], max_expand_ratio: Some(4.into()), ..ChoiceMask::default() };
/// let masked = mask.of(&space)?;
/// assert!(masked.is_within(&space));
/// assert_eq!(masked.stages[0].kernel_sizes, [3, 5]);
/// # Ok::<(), ofa_model::ModelError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChoiceMask {
    /// Kernel sizes that no block may have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forbidden_kernel_sizes: Vec<usize>,
    /// The largest expand ratio allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_expand_ratio: Option<Ratio>,
    /// Depths allowed in every stage that offers several; empty allows all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depths: Vec<usize>,
    /// Resolutions allowed, in pixels; empty allows all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolutions: Vec<usize>,
}

impl ChoiceMask {
    /// Restricts `space` to what this mask allows.
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidMask`] if the mask names a value that `space` offers nowhere, or leaves a choice without
    /// values.
    pub fn of(&self, space: &SearchSpace) -> Result<SearchSpace, ModelError> {
        let refuse = |problem| Err(ModelError::InvalidMask { space: space.name.clone(), problem });
        if let Some(problem) = self.unknown_value(space) {
            return refuse(problem);
        }
        let masked = space.filtered(|choice, rank| self.allows(choice, rank));
        match emptied(space, &masked) {
            Some(problem) => refuse(problem),
            None => Ok(masked),
        }
    }

    fn allows(&self, choice: Choice, rank: ChoiceRank) -> bool {
        let listed = |values: &[usize], value| values.is_empty() || values.contains(&value);
        match choice {
            Choice::Resolution(resolution) => listed(&self.resolutions, resolution),
            Choice::Width(_) => true,
            Choice::Depth(depth) => rank.count == 1 || listed(&self.depths, depth),
            Choice::KernelSize(kernel_size) => !self.forbidden_kernel_sizes.contains(&kernel_size),
            Choice::ExpandRatio(ratio) => self.max_expand_ratio.is_none_or(|max| ratio <= max),
        }
    }

    /// A value in this mask that the space offers nowhere: a slip that would silently rule out nothing.
    fn unknown_value(&self, space: &SearchSpace) -> Option<String> {
        let anywhere = |of: fn(&StageSpace) -> &Vec<usize>| {
            let mut values: Vec<usize> = space.stages.iter().flat_map(of).copied().collect();
            values.sort_unstable();
            values.dedup();
            values
        };
        let kinds = [
            ("kernel size", &self.forbidden_kernel_sizes, anywhere(|stage| &stage.kernel_sizes)),
            ("depth", &self.depths, anywhere(|stage| &stage.depths)),
            ("resolution", &self.resolutions, space.resolutions.clone()),
        ];
        kinds.into_iter().find_map(|(kind, named, offered)| {
            let stray = named.iter().find(|value| !offered.contains(value))?;
            Some(format!("{kind} {stray} is not offered, allowed: {}", list(&offered)))
        })
    }
}

/// The first kind of choice with no values left.
fn emptied(space: &SearchSpace, masked: &SearchSpace) -> Option<String> {
    fn none_left<T: Display>(kind: String, left: &[T], offered: &[T]) -> Option<String> {
        left.is_empty().then(|| format!("it rules out every {kind}, offered: {}", list(offered)))
    }
    let stages = space.stages.iter().zip(&masked.stages).zip(1..);
    let of_stage = |((whole, left), s): ((&StageSpace, &StageSpace), usize)| {
        none_left(format!("depth of stage {s}"), &left.depths, &whole.depths)
            .or_else(|| none_left(format!("kernel size of stage {s}"), &left.kernel_sizes, &whole.kernel_sizes))
            .or_else(|| none_left(format!("expand ratio of stage {s}"), &left.expand_ratios, &whole.expand_ratios))
    };
    none_left("resolution".into(), &masked.resolutions, &space.resolutions)
        .or_else(|| stages.into_iter().find_map(of_stage))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #[test]
        fn masked_archs_are_allowed_archs_of_the_whole_space_with_the_same_costs(seed: u64, kernel in 0usize..3, depth in 2usize..5) {
            let space = SearchSpace::mobilenet_v3(1.0, 1000);
            let mask = ChoiceMask {
                forbidden_kernel_sizes: vec![[3, 5, 7][kernel]],
                max_expand_ratio: Some(4.into()),
                depths: vec![depth],
                resolutions: vec![128, 160],
            };
            let masked = mask.of(&space).unwrap();
            masked.validate().unwrap();
            prop_assert!(masked.is_within(&space));
            let arch = masked.sample(&mut ChaCha8Rng::seed_from_u64(seed));
            prop_assert!(space.contains(&arch));
            prop_assert!([128, 160].contains(&arch.resolution));
            for stage in &arch.stages {
                prop_assert_eq!(stage.blocks.len(), depth);
                prop_assert!(stage.blocks.iter().all(|block| !mask.forbidden_kernel_sizes.contains(&block.kernel_size)));
                prop_assert!(stage.blocks.iter().all(|block| block.expand_ratio.value() <= 4.0));
            }
            prop_assert_eq!(masked.cost(&arch), space.cost(&arch));
        }
    }

    #[test]
    fn no_mask_is_the_whole_space() {
        let space = SearchSpace::resnet50d(10);
        assert_eq!(ChoiceMask::default().of(&space).unwrap(), space);
    }

    #[test]
    fn a_stage_of_one_depth_keeps_it() {
        let space = SearchSpace::proxyless_nas(1.3, 1000);
        let masked = ChoiceMask { depths: vec![2], ..ChoiceMask::default() }.of(&space).unwrap();
        assert_eq!((&masked.stages[0].depths[..], &masked.stages[5].depths[..]), (&[2][..], &[1][..]));
    }

    #[test]
    fn impossible_masks_are_named() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let message = |mask: ChoiceMask| mask.of(&space).unwrap_err().to_string();
        let mask = ChoiceMask::default;
        let cases = [
            (
                ChoiceMask { forbidden_kernel_sizes: vec![9], ..mask() },
                "kernel size 9 is not offered, allowed: 3, 5, 7",
            ),
            (ChoiceMask { depths: vec![3, 8], ..mask() }, "depth 8 is not offered, allowed: 2, 3, 4"),
            (ChoiceMask { resolutions: vec![30], ..mask() }, "resolution 30 is not offered, allowed: 20, 24, 28"),
            (
                ChoiceMask { forbidden_kernel_sizes: vec![3, 5, 7], ..mask() },
                "it rules out every kernel size of stage 1, offered: 3, 5, 7",
            ),
            (
                ChoiceMask { max_expand_ratio: Some(2.into()), ..mask() },
                "it rules out every expand ratio of stage 1, offered: 3, 4, 6",
            ),
        ];
        for (mask, expected) in cases {
            let message = message(mask);
            assert!(message.contains(expected) && message.contains("small_mobilenet_v3"), "{message}");
        }
    }

    #[test]
    fn as_text() {
        let mask = ChoiceMask { max_expand_ratio: Some(4.into()), ..ChoiceMask::default() };
        let text = serde_json::to_string(&mask).unwrap();
        assert_eq!(text, r#"{"max_expand_ratio":4.0}"#);
        assert_eq!(serde_json::from_str::<ChoiceMask>(&text).unwrap(), mask);
        assert!(serde_json::from_str::<ChoiceMask>(r#"{"kernels": [7]}"#).is_err());
    }
}
