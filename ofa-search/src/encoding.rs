//! [`ArchEncoder`]: archs as feature vectors.

use crate::SearchError;
use ofa_model::{Arch, BlockArch, Ratio, SearchSpace, StageArch, StageSpace};

/// Encodes the archs of a space as vectors of zeros and ones, as the paper's accuracy predictor does (appendix A).
///
/// Every place for a block has a one-hot kernel size and a one-hot expand ratio, all zeros if the arch has no such
/// block; a stage of elastic width has a one-hot width before them. A one-hot resolution follows.
#[derive(Clone, Debug)]
pub struct ArchEncoder {
    space: SearchSpace,
}

impl ArchEncoder {
    /// The encoder of a space.
    pub fn new(space: &SearchSpace) -> Self {
        Self { space: space.clone() }
    }

    /// Number of features.
    pub fn dimension(&self) -> usize {
        let stage = |stage: &StageSpace| {
            let places = stage.depths.last().copied().unwrap_or(0);
            open_widths(stage).len() + places * (stage.kernel_sizes.len() + stage.expand_ratios.len())
        };
        self.space.stages.iter().map(stage).sum::<usize>() + self.space.resolutions.len()
    }

    /// Features of `archs`, `[archs, dimension]`, flattened.
    ///
    /// # Errors
    ///
    /// If an arch is outside the space.
    pub fn encode(&self, archs: &[Arch]) -> Result<Vec<f32>, SearchError> {
        let dimension = self.dimension();
        let mut features = vec![0.0; archs.len() * dimension];
        for (arch, features) in archs.iter().zip(features.chunks_exact_mut(dimension)) {
            self.space.check(arch)?;
            self.mark(arch, features);
        }
        Ok(features)
    }

    fn mark(&self, arch: &Arch, features: &mut [f32]) {
        let mut rest = features;
        for (StageArch { width, blocks }, stage) in arch.stages.iter().zip(&self.space.stages) {
            rest = one_hot(rest, open_widths(stage), Some(*width));
            for place in 0..stage.depths.last().copied().unwrap_or(0) {
                let block: Option<&BlockArch> = blocks.get(place);
                let kernel_size: Option<usize> = block.map(|block| block.kernel_size);
                let expand_ratio: Option<Ratio> = block.map(|block| block.expand_ratio);
                rest = one_hot(rest, &stage.kernel_sizes, kernel_size);
                rest = one_hot(rest, &stage.expand_ratios, expand_ratio);
            }
        }
        one_hot(rest, &self.space.resolutions, Some(arch.resolution));
    }
}

/// The widths of a stage if there is a choice.
fn open_widths(stage: &StageSpace) -> &[Ratio] {
    if stage.widths.len() > 1 { &stage.widths } else { &[] }
}

/// Marks the place of `chosen` among the first features, one a choice, and returns the rest.
fn one_hot<'a, T: PartialEq>(features: &'a mut [f32], choices: &[T], chosen: Option<T>) -> &'a mut [f32] {
    let (these, rest) = features.split_at_mut(choices.len());
    if let Some(i) = chosen.and_then(|chosen| choices.iter().position(|choice| *choice == chosen)) {
        these[i] = 1.0;
    }
    rest
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
        // Two places of (kernel size 3, 5; expand ratio 3, 6), then resolution 8, 12.
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
    fn the_published_space_has_the_published_dimension() {
        // 20 places x (3 kernel sizes + 3 expand ratios) and 25 resolutions.
        assert_eq!(ArchEncoder::new(&SearchSpace::mobilenet_v3(1.0, 1000)).dimension(), 145);
    }

    #[test]
    fn archs_outside_the_space_are_refused() {
        let error = ArchEncoder::new(&tiny_space()).encode(&["r9-k3e3".parse().unwrap()]).unwrap_err();
        assert!(error.to_string().contains("resolution is 9"), "{error}");
    }
}
