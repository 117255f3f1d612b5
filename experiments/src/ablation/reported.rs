//! The subnets that an ablation compares.

use anyhow::{Result, ensure};
use ofa_data::random::{Purpose, stream};
use ofa_model::{Arch, BlockArch, SearchSpace, StageArch, StageSpace};
use serde::{Deserialize, Serialize};

/// Which subnets are compared, and on how many images: the corners of the space on all test images, random ones on
/// some.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// Number of random subnets besides the corners.
    pub random: usize,
    /// Seed they are drawn with.
    pub random_seed: u64,
    /// Maximum number of test images they are measured on.
    pub random_images: usize,
}

impl Reported {
    pub(super) fn validate(&self) -> Result<()> {
        ensure!(self.random_images > 0, "random_images is 0, but must be positive");
        Ok(())
    }

    /// The random subnets, at the largest resolution.
    pub fn random(&self, space: &SearchSpace) -> Vec<Arch> {
        let rng = &mut stream(self.random_seed, Purpose::Sample, &[]);
        let resolution = space.largest().resolution;
        std::iter::repeat_with(|| space.sample(rng).at_resolution(resolution)).take(self.random).collect()
    }
}

/// The corner subnets: smallest or largest depth, expand ratio and kernel size, the same in all stages, at the largest
/// resolution. These are the ones the papers report. There are eight, or fewer if a kind offers no choice; widths are
/// the full ones.
pub fn corners(space: &SearchSpace) -> Vec<Arch> {
    let resolution = space.largest().resolution;
    let mut archs: Vec<Arch> = Vec::new();
    for code in 0..8_u8 {
        let [deep, wide, large] = [4, 2, 1].map(|bit| code & bit != 0);
        let stages = space.stages.iter().map(|stage| corner(stage, deep, wide, large));
        let arch = Arch { resolution, stages: stages.collect() };
        if !archs.contains(&arch) {
            archs.push(arch);
        }
    }
    archs
}

/// `D4 W6 K7`: depth, expand ratio and kernel size of the first stage of a corner.
pub fn corner_name(arch: &Arch) -> String {
    let stage = &arch.stages[0];
    let block = &stage.blocks[0];
    format!("D{} W{} K{}", stage.blocks.len(), block.expand_ratio, block.kernel_size)
}

fn corner(stage: &StageSpace, deep: bool, wide: bool, large: bool) -> StageArch {
    let depth = end(&stage.depths, deep);
    let block =
        BlockArch { kernel_size: end(&stage.kernel_sizes, large), expand_ratio: end(&stage.expand_ratios, wide) };
    StageArch { width: end(&stage.widths, true), blocks: vec![block; depth] }
}

fn end<T: Copy>(choices: &[T], last: bool) -> T {
    choices[if last { choices.len() - 1 } else { 0 }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_those_of_the_papers_table() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let corners = corners(&space);
        let names: Vec<String> = corners.iter().map(corner_name).collect();
        let expected = ["D2 W3 K3", "D2 W3 K7", "D2 W6 K3", "D2 W6 K7", "D4 W3 K3", "D4 W3 K7", "D4 W6 K3", "D4 W6 K7"];
        assert_eq!(names, expected);
        assert_eq!(corners[7], space.largest());
        assert!(corners.iter().all(|arch| space.check(arch).is_ok()));
    }

    #[test]
    fn a_kind_without_choice_halves_the_corners() {
        let found = corners(&SearchSpace::resnet50d(10));
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn random_subnets_are_the_same_in_every_cell() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let reported = Reported { random: 5, random_seed: 3, random_images: 10 };
        assert_eq!(reported.random(&space), reported.random(&space));
        assert!(reported.random(&space).iter().all(|arch| arch.resolution == 28));
    }
}
