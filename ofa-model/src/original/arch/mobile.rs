//! Dictionaries of the original's MobileNetV3 and ProxylessNAS supernets.

use super::{OriginalArch, padded};
use crate::space::list;
use crate::{Arch, BlockArch, ModelError, Ratio, SearchSpace, StageArch, StageSpace};

/// Number of entries of `ks`, `e`, `d` and `w`.
pub(super) fn lengths(space: &SearchSpace) -> [usize; 4] {
    let blocks = space.stages.iter().map(StageSpace::greatest_depth).sum();
    [blocks, blocks, space.stages.len(), 0]
}

/// The stages that a dictionary describes.
pub(super) fn stages(original: &OriginalArch, space: &SearchSpace) -> Result<Vec<StageArch>, ModelError> {
    original.check_lengths(space)?;
    let mut first = 0;
    let mut stages = Vec::with_capacity(original.d.len());
    for (s, (stage, &depth)) in space.stages.iter().zip(&original.d).enumerate() {
        let greatest = stage.greatest_depth();
        // The original also writes a depth for a stage with only one (ProxylessNAS's last), and ignores it.
        let depth = if let [only] = stage.depths[..] { depth.min(only) } else { depth };
        if depth > greatest {
            return Err(original.outside(space, format!("stage {} depth", s + 1), depth, list(&stage.depths)));
        }
        let live = first..first + depth;
        let choices = original.ks[live.clone()].iter().zip(&original.e[live]);
        let block =
            |(&kernel_size, &ratio)| Ratio::try_from(ratio).map(|expand_ratio| BlockArch { kernel_size, expand_ratio });
        stages.push(StageArch { width: Ratio::ONE, blocks: choices.map(block).collect::<Result<_, _>>()? });
        first += greatest;
    }
    Ok(stages)
}

/// The dictionary of an arch, without its resolution.
pub(super) fn dictionary(arch: &Arch, space: &SearchSpace) -> OriginalArch {
    let mut original = OriginalArch { d: arch.depths(), ..OriginalArch::default() };
    for (stage, space) in arch.stages.iter().zip(&space.stages) {
        let blocks = stage.blocks.iter();
        original.ks.extend(padded(blocks.clone().map(|block| block.kernel_size), space.greatest_depth()));
        original.e.extend(padded(blocks.map(|block| block.expand_ratio.value()), space.greatest_depth()));
    }
    original
}
