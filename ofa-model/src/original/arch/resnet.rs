//! Dictionaries of the original's ResNet supernet.
//!
//! `d` begins with the stem, which has a second convolution only at the greatest depth. The other entries count the
//! blocks of a stage beyond its smallest depth. `w` has one entry for each of the stem's two parts and one per stage.

use super::{OriginalArch, padded};
use crate::space::list;
use crate::{Arch, BlockArch, BlockKind, ModelError, Ratio, SearchSpace, StageArch, StageSpace};

/// Number of entries of `ks`, `e`, `d` and `w`.
pub(super) fn lengths(space: &SearchSpace) -> [usize; 4] {
    let blocks = bottlenecks(space).map(StageSpace::greatest_depth).sum();
    [0, blocks, 1 + bottlenecks(space).count(), space.stages.len()]
}

/// The stages that a dictionary describes.
pub(super) fn stages(original: &OriginalArch, space: &SearchSpace) -> Result<Vec<StageArch>, ModelError> {
    original.check_lengths(space)?;
    let (mut first, mut depths) = (0, original.d[1..].iter().zip(1..));
    let mut stages = Vec::with_capacity(space.stages.len());
    for (s, (stage, &width)) in space.stages.iter().zip(&original.w).enumerate() {
        let allowed = || list(&(0..stage.widths.len()).collect::<Vec<_>>());
        let width = *stage
            .widths
            .get(width)
            .ok_or_else(|| original.outside(space, format!("w of part {}", s + 1), width, allowed()))?;
        let expand_ratios = if stage.block == BlockKind::Bottleneck {
            let (&extra, number) = depths.next().expect("`d` has an entry for every stage of bottlenecks");
            if extra > extra_blocks(stage) {
                let allowed = list(&(0..=extra_blocks(stage)).collect::<Vec<_>>());
                return Err(original.outside(space, format!("d of stage {number}"), extra, allowed));
            }
            let live = first..first + stage.depths[0] + extra;
            first += stage.greatest_depth();
            original.e[live].iter().map(|&ratio| Ratio::try_from(ratio)).collect::<Result<_, _>>()?
        } else {
            let depth =
                if original.d[0] == most_extra_blocks(space) { stage.greatest_depth() } else { stage.depths[0] };
            vec![Ratio::ONE; depth]
        };
        let kernel_size = stage.kernel_sizes[0];
        let blocks = expand_ratios.into_iter().map(|expand_ratio| BlockArch { kernel_size, expand_ratio });
        stages.push(StageArch { width, blocks: blocks.collect() });
    }
    Ok(stages)
}

/// The dictionary of an arch, without its resolution.
pub(super) fn dictionary(arch: &Arch, space: &SearchSpace) -> OriginalArch {
    let (all, mut original) = (space, OriginalArch { d: vec![0], ..OriginalArch::default() });
    for (stage, space) in arch.stages.iter().zip(&space.stages) {
        let width = space.widths.iter().position(|&width| width == stage.width);
        original.w.push(width.expect("the arch is one of the space"));
        if space.block == BlockKind::Bottleneck {
            original.d.push(stage.blocks.len() - space.depths[0]);
            let ratios = stage.blocks.iter().map(|block| block.expand_ratio.value());
            original.e.extend(padded(ratios, space.greatest_depth()));
        } else if stage.blocks.len() > space.depths[0] {
            original.d[0] = most_extra_blocks(all);
        }
    }
    original
}

/// Number of blocks that a stage can have beyond its smallest depth.
fn extra_blocks(stage: &StageSpace) -> usize {
    stage.greatest_depth() - stage.depths[0]
}

fn most_extra_blocks(space: &SearchSpace) -> usize {
    bottlenecks(space).map(extra_blocks).max().unwrap_or(0)
}

fn bottlenecks(space: &SearchSpace) -> impl Iterator<Item = &StageSpace> {
    space.stages.iter().filter(|stage| stage.block == BlockKind::Bottleneck)
}
