//! [`Opened`]: how much of a search space a phase trains.

use ofa_model::{Choice, SearchSpace};
use serde::{Deserialize, Serialize};

/// The part of the supernet's space that a phase samples from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opened {
    /// The whole space.
    #[default]
    All,
    /// The largest choices of each kind, at all resolutions.
    Largest(ChoiceCounts),
    /// The smallest choices of each kind, at all resolutions.
    Smallest(ChoiceCounts),
    /// An explicit space within the supernet's, including its resolutions.
    Space(Box<SearchSpace>),
}

/// Number of open choices of each kind in every stage of the network. Counts beyond the available choices open all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChoiceCounts {
    /// Open kernel sizes.
    pub kernel_sizes: usize,
    /// Open depths.
    pub depths: usize,
    /// Open expand ratios.
    pub expand_ratios: usize,
    /// Open widths of block outputs (ResNets).
    #[serde(default = "one")]
    pub widths: usize,
}

fn one() -> usize {
    1
}

impl ChoiceCounts {
    /// One choice of each kind: a single network, at any resolution.
    pub const ONE: Self = Self { kernel_sizes: 1, depths: 1, expand_ratios: 1, widths: 1 };

    /// Number of open choices of the kind of `choice`.
    fn of(&self, choice: Choice) -> usize {
        match choice {
            Choice::Resolution(_) => usize::MAX,
            Choice::Width(_) => self.widths,
            Choice::Depth(_) => self.depths,
            Choice::KernelSize(_) => self.kernel_sizes,
            Choice::ExpandRatio(_) => self.expand_ratios,
        }
    }
}

impl Opened {
    /// The open part of `whole`.
    pub fn of(&self, whole: &SearchSpace) -> SearchSpace {
        match self {
            Self::All => whole.clone(),
            Self::Largest(counts) => whole.filtered(|choice, rank| counts.of(choice) >= rank.count - rank.index),
            Self::Smallest(counts) => whole.filtered(|choice, rank| rank.index < counts.of(choice)),
            Self::Space(space) => space.as_ref().clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_open_from_either_end() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let counts = ChoiceCounts { kernel_sizes: 9, depths: 2, ..ChoiceCounts::ONE };
        let largest = Opened::Largest(counts).of(&space);
        let smallest = Opened::Smallest(counts).of(&space);
        assert_eq!((&largest.stages[0].depths[..], &smallest.stages[0].depths[..]), (&[3, 4][..], &[2, 3][..]));
        assert_eq!(largest.stages[0].kernel_sizes, [3, 5, 7]);
        assert_eq!(largest.stages[1].expand_ratios, [6.into()]);
        assert_eq!(smallest.stages[1].expand_ratios, [3.into()]);
        assert!(largest.is_within(&space) && smallest.is_within(&space));
        assert_eq!(Opened::All.of(&space), space);
    }

    #[test]
    fn as_text() {
        #[derive(Serialize, Deserialize, PartialEq, Debug)]
        struct Holder {
            opened: Opened,
        }
        let holder: Holder = serde_json::from_str(r#"{"opened": "all"}"#).unwrap();
        assert_eq!(holder.opened, Opened::All);
        let text = r#"{"opened": {"largest": {"kernel_sizes": 3, "depths": 1, "expand_ratios": 1}}}"#;
        let holder: Holder = serde_json::from_str(text).unwrap();
        assert_eq!(holder.opened, Opened::Largest(ChoiceCounts { kernel_sizes: 3, ..ChoiceCounts::ONE }));
        let misspelt = r#"{"opened": {"largest": {"kernels": 3, "depths": 1, "expand_ratios": 1}}}"#;
        assert!(serde_json::from_str::<Holder>(misspelt).is_err());
    }
}
