//! Fixtures for this crate's tests.

use crate::{AccuracyHeader, AccuracyTable};
use ofa_model::{Arch, BlockArch, SearchSpace, StageArch};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::convert::Infallible;

/// A space small enough to enumerate: 2 resolutions x (4 + 4^2) stages = 40 archs.
pub(crate) fn tiny_space() -> SearchSpace {
    let mut space = SearchSpace::small_mobilenet_v3(1, 2);
    space.name = "tiny".into();
    space.resolutions = vec![8, 12];
    space.stages.truncate(1);
    space.stages[0].depths = vec![1, 2];
    space.stages[0].kernel_sizes = vec![3, 5];
    space.stages[0].expand_ratios = vec![3.into(), 6.into()];
    space
}

/// Two stages, the second with elastic width: 2 resolutions x 20 x 40 stages = 1,600 archs.
pub(crate) fn two_stages() -> SearchSpace {
    let mut space = tiny_space();
    space.stages = vec![space.stages[0].clone(); 2];
    space.stages[1].widths = vec![0.5.try_into().expect("a ratio"), 1.into()];
    space
}

/// A table of `archs` with their additive accuracies.
pub(crate) fn table(space: &SearchSpace, archs: &[Arch]) -> AccuracyTable {
    let dir = tempfile::tempdir().expect("a directory for tests");
    let path = dir.path().join("accuracy.csv");
    let measure = |arch: &Arch| Ok::<_, Infallible>(additive_accuracy(arch));
    AccuracyTable::measure(&path, &accuracy_header(space), space, archs, measure, |_, _, _| ()).expect("valid rows")
}

/// Conditions of measurement for tables of `space`.
pub(crate) fn accuracy_header(space: &SearchSpace) -> AccuracyHeader {
    AccuracyHeader {
        space: space.name.clone(),
        seed: 1,
        validation_images: 100,
        calibration_images: 50,
        source: "test".into(),
        int8: None,
    }
}

/// An accuracy that is a sum over choices. Larger choices add more, with diminishing returns.
pub(crate) fn additive_accuracy(arch: &Arch) -> f64 {
    let block = |(b, block): (usize, &BlockArch)| {
        (block.kernel_size as f64).ln() * 0.004 / (b + 1) as f64 + block.expand_ratio.value().sqrt() * 0.006
    };
    let blocks: f64 = arch.stages.iter().map(|stage| stage.blocks.iter().enumerate().map(block).sum::<f64>()).sum();
    0.5 + blocks + 0.05 * (arch.resolution as f64).ln()
}

/// Random archs of a space with their additive accuracy.
pub(crate) fn additive_samples(space: &SearchSpace, n: usize, seed: u64) -> Vec<(Arch, f64)> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let archs = std::iter::repeat_with(|| space.sample(rng)).take(n);
    archs.map(|arch| (arch.clone(), additive_accuracy(&arch))).collect()
}

/// Every arch of a space.
pub(crate) fn all_archs(space: &SearchSpace) -> Vec<Arch> {
    let mut archs: Vec<Arch> =
        space.resolutions.iter().map(|&resolution| Arch { resolution, stages: vec![] }).collect();
    for stage in &space.stages {
        let choices: Vec<BlockArch> = stage
            .kernel_sizes
            .iter()
            .flat_map(|&kernel_size| {
                stage.expand_ratios.iter().map(move |&expand_ratio| BlockArch { kernel_size, expand_ratio })
            })
            .collect();
        let mut stages = Vec::new();
        let mut blocks: Vec<Vec<BlockArch>> = vec![vec![]];
        for depth in 1..=stage.depths[stage.depths.len() - 1] {
            blocks = blocks.iter().flat_map(|b| choices.iter().map(|&c| [b.as_slice(), &[c]].concat())).collect();
            if stage.depths.contains(&depth) {
                let of_width = |&width| blocks.iter().map(move |blocks| StageArch { width, blocks: blocks.clone() });
                stages.extend(stage.widths.iter().flat_map(of_width));
            }
        }
        archs = archs
            .iter()
            .flat_map(|arch| {
                stages.iter().map(|stage| Arch {
                    resolution: arch.resolution,
                    stages: [arch.stages.as_slice(), std::slice::from_ref(stage)].concat(),
                })
            })
            .collect();
    }
    archs
}
