//! [`Change`]: a single changed choice of an arch.

use ofa_model::{Arch, Ratio, SearchSpace};

/// A single changed choice of an arch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    Resolution(usize),
    Width {
        stage: usize,
        width: Ratio,
    },
    /// Added blocks are copies of the last one.
    Depth {
        stage: usize,
        depth: usize,
    },
    KernelSize {
        stage: usize,
        block: usize,
        kernel_size: usize,
    },
    ExpandRatio {
        stage: usize,
        block: usize,
        expand_ratio: Ratio,
    },
}

impl Change {
    /// Every single change of `arch` within `space`.
    pub fn all(space: &SearchSpace, arch: &Arch) -> Vec<Self> {
        let mut changes: Vec<Self> = others(&space.resolutions, arch.resolution).map(Self::Resolution).collect();
        for (stage, (choices, made)) in space.stages.iter().zip(&arch.stages).enumerate() {
            changes.extend(others(&choices.widths, made.width).map(|width| Self::Width { stage, width }));
            changes.extend(others(&choices.depths, made.blocks.len()).map(|depth| Self::Depth { stage, depth }));
            for (block, made) in made.blocks.iter().enumerate() {
                let kernel_sizes = others(&choices.kernel_sizes, made.kernel_size);
                changes.extend(kernel_sizes.map(|kernel_size| Self::KernelSize { stage, block, kernel_size }));
                let expand_ratios = others(&choices.expand_ratios, made.expand_ratio);
                changes.extend(expand_ratios.map(|expand_ratio| Self::ExpandRatio { stage, block, expand_ratio }));
            }
        }
        changes
    }

    /// `arch` with this change.
    pub fn of(self, arch: &Arch) -> Arch {
        let mut arch = arch.clone();
        match self {
            Self::Resolution(resolution) => arch.resolution = resolution,
            Self::Width { stage, width } => arch.stages[stage].width = width,
            Self::Depth { stage, depth } => {
                let blocks = &mut arch.stages[stage].blocks;
                let last = blocks[blocks.len() - 1];
                blocks.resize(depth, last);
            }
            Self::KernelSize { stage, block, kernel_size } => {
                arch.stages[stage].blocks[block].kernel_size = kernel_size;
            }
            Self::ExpandRatio { stage, block, expand_ratio } => {
                arch.stages[stage].blocks[block].expand_ratio = expand_ratio;
            }
        }
        arch
    }
}

fn others<T: Copy + PartialEq>(choices: &[T], made: T) -> impl Iterator<Item = T> {
    choices.iter().copied().filter(move |&choice| choice != made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_single_change_is_made_once_and_stays_inside() {
        let space = SearchSpace::mobilenet_v3(1.0, 1000);
        let arch = space.largest();
        let changed: HashSet<Arch> = Change::all(&space, &arch).into_iter().map(|change| change.of(&arch)).collect();
        // All other resolutions, 2 other depths in 5 stages, 2 other kernel sizes and 2 other expand ratios in 20
        // blocks.
        assert_eq!(changed.len(), space.resolutions.len() - 1 + 5 * 2 + 20 * 4);
        assert!(changed.iter().all(|other| space.contains(other) && *other != arch));
        let deeper = Change::Depth { stage: 0, depth: 4 }.of(&space.smallest());
        assert_eq!(deeper.stages[0].blocks, [space.smallest().stages[0].blocks[0]; 4]);
    }
}
