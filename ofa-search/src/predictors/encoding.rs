//! [`ArchEncoder`]: archs as feature vectors.

use crate::SearchError;
use ofa_model::{Arch, BlockArch, BlockKind, SearchSpace, StageArch, StageSpace};

/// Encodes the archs of a space as vectors of zeros and ones, as the paper's accuracy predictor does (appendix A).
///
/// Every block position has a one-hot kernel size and a one-hot expand ratio, all zeros if the arch has no such block.
/// A stage of elastic width has a one-hot width before them. A one-hot resolution comes last.
#[derive(Clone, Debug)]
pub struct ArchEncoder {
    space: SearchSpace,
    layout: Layout,
}

/// Order of the features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// Block by block, then the resolution.
    Blocks,
    /// The resolution, then choice by choice.
    Original,
    /// Choice by choice, then the resolution.
    OriginalTutorial,
}

/// A group of features.
#[derive(Clone, Copy)]
enum Group {
    Resolution,
    /// Depths of stages of plain convolutions, whose blocks have no other choice.
    ConvDepths,
    Widths,
    Kernels,
    Ratios,
    Blocks,
}

impl Layout {
    fn groups(self) -> &'static [Group] {
        match self {
            Self::Blocks => &[Group::Blocks, Group::Resolution],
            Self::Original => &[Group::Resolution, Group::ConvDepths, Group::Widths, Group::Kernels, Group::Ratios],
            Self::OriginalTutorial => &[Group::Kernels, Group::Ratios, Group::Resolution],
        }
    }
}

impl ArchEncoder {
    /// An encoder for `space` in the default order: stage by stage, then the resolution.
    pub fn new(space: &SearchSpace) -> Self {
        Self { space: space.clone(), layout: Layout::Blocks }
    }

    /// The order of the original's library (`MobileNetArchEncoder`, `ResNetArchEncoder`): resolution, all widths, all
    /// kernel sizes, all expand ratios. The resolutions are those of `space`.
    pub fn original(space: &SearchSpace) -> Self {
        Self { space: space.clone(), layout: Layout::Original }
    }

    /// The order of the original's tutorial: all kernel sizes, all expand ratios, then the resolution.
    pub fn original_tutorial(space: &SearchSpace) -> Self {
        Self { space: space.clone(), layout: Layout::OriginalTutorial }
    }

    /// Number of features per arch.
    pub fn dimension(&self) -> usize {
        let mut count = Features::default();
        self.visit(None, &mut count);
        count.0.len()
    }

    /// The features of `archs`, `[archs, dimension]`, flattened.
    ///
    /// # Errors
    ///
    /// If an arch is outside the space.
    pub fn encode(&self, archs: &[Arch]) -> Result<Vec<f32>, SearchError> {
        let mut features = Features(Vec::with_capacity(archs.len() * self.dimension()));
        for arch in archs {
            self.space.check(arch)?;
            self.visit(Some(arch), &mut features);
        }
        Ok(features.0)
    }

    /// Appends the features of `arch`, or all zeros if `None`.
    fn visit(&self, arch: Option<&Arch>, features: &mut Features) {
        for group in self.layout.groups() {
            if let Group::Resolution = group {
                features.one_hot(&self.space.resolutions, arch.map(|arch| arch.resolution));
                continue;
            }
            for (s, stage) in self.space.stages.iter().enumerate() {
                visit_stage(*group, stage, arch.map(|arch| &arch.stages[s]), features);
            }
        }
    }
}

fn visit_stage(group: Group, stage: &StageSpace, arch: Option<&StageArch>, features: &mut Features) {
    match group {
        Group::ConvDepths if stage.block == BlockKind::Conv => {
            features.one_hot(open(&stage.depths), arch.map(|arch| arch.blocks.len()));
        }
        Group::Widths | Group::Blocks => features.one_hot(open(&stage.widths), arch.map(|arch| arch.width)),
        _ => (),
    }
    for place in 0..stage.depths.last().copied().unwrap_or(0) {
        let block: Option<&BlockArch> = arch.and_then(|arch| arch.blocks.get(place));
        let (kernel_size, ratio) = (block.map(|block| block.kernel_size), block.map(|block| block.expand_ratio));
        match group {
            Group::Kernels => features.one_hot(open(&stage.kernel_sizes), kernel_size),
            Group::Ratios => features.one_hot(open(&stage.expand_ratios), ratio),
            // A single choice is still a feature: it says whether the block exists.
            Group::Blocks => {
                features.one_hot(&stage.kernel_sizes, kernel_size);
                features.one_hot(&stage.expand_ratios, ratio);
            }
            _ => (),
        }
    }
}

/// The offered values if there is more than one, otherwise none.
fn open<T>(offered: &[T]) -> &[T] {
    if offered.len() > 1 { offered } else { &[] }
}

/// Concatenated features.
#[derive(Default)]
struct Features(Vec<f32>);

impl Features {
    /// Appends one feature per choice: 1 for the chosen one, 0 for the others.
    fn one_hot<T: PartialEq>(&mut self, choices: &[T], chosen: Option<T>) {
        self.0.extend(choices.iter().map(|choice| if chosen.as_ref() == Some(choice) { 1.0 } else { 0.0 }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{all_archs, tiny_space};
    use std::collections::HashSet;

    #[test]
    fn a_known_arch_has_known_features() {
        let encoder = ArchEncoder::new(&tiny_space());
        let features = encoder.encode(&["r12-k5e3".parse().unwrap()]).unwrap();
        // Two block positions of (kernel size 3, 5; expand ratio 3, 6), then resolution 8, 12.
        assert_eq!(features, [0., 1., 1., 0., 0., 0., 0., 0., 0., 1.]);
    }

    #[test]
    fn different_archs_have_different_features() {
        let space = tiny_space();
        let encoder = ArchEncoder::new(&space);
        let archs = all_archs(&space);
        let features = encoder.encode(&archs).unwrap();
        let distinct: HashSet<Vec<u8>> =
            features.chunks(encoder.dimension()).map(|row| row.iter().map(|x| *x as u8).collect()).collect();
        assert_eq!(distinct.len(), archs.len());
    }

    #[test]
    fn widths_come_before_the_blocks_of_their_stage() {
        let mut space = tiny_space();
        space.stages[0].widths = vec![0.5.try_into().unwrap(), 1.into()];
        let features = ArchEncoder::new(&space).encode(&["r8-w0_5:k3e3".parse().unwrap()]).unwrap();
        assert_eq!(features, [1., 0., 1., 0., 1., 0., 0., 0., 0., 0., 1., 0.]);
    }

    #[test]
    fn the_depth_of_blocks_without_choices_is_a_feature() {
        let space = SearchSpace::resnet50d(10);
        let mut deep = space.smallest();
        let block = deep.stages[0].blocks[0];
        deep.stages[0].blocks.push(block);
        let encode = |arch: Arch| ArchEncoder::new(&space).encode(&[arch]).unwrap();
        assert_ne!(encode(deep), encode(space.smallest()));
    }

    #[test]
    fn the_published_space_has_the_published_dimension() {
        // 20 block positions x (3 kernel sizes + 3 expand ratios) and 25 resolutions.
        assert_eq!(ArchEncoder::new(&SearchSpace::mobilenet_v3(1.0, 1000)).dimension(), 145);
    }

    #[test]
    fn archs_outside_the_space_are_refused() {
        let error = ArchEncoder::new(&tiny_space()).encode(&["r9-k3e3".parse().unwrap()]).unwrap_err();
        assert!(error.to_string().contains("resolution is 9"), "{error}");
    }
}
