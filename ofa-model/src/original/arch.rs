//! [`OriginalArch`]: an arch as the original's dictionary.

use crate::space::list;
use crate::{Arch, BlockArch, ExpandRatio, ModelError, SearchSpace, StageArch, StageSpace};
use serde::{Deserialize, Serialize};

/// An arch as the original's dictionary of settings (`ks`, `e`, `d`, `image_size`).
///
/// `ks` and `e` always have an entry for every block of the greatest depth; those of blocks that `d` leaves out mean
/// nothing and are ignored, so many dictionaries are one [`Arch`].
///
/// ```
/// use ofa_model::{Arch, OriginalArch, SearchSpace};
///
/// let space = SearchSpace::small_mobilenet_v3(1, 10);
/// let json = r#"{"ks": [7, 5, 0, 0, 3, 3, 3, 3, 3, 3, 3, 3], "e": [6, 4, 0, 0, 3, 3, 3, 3, 3, 3, 3, 3],
///                "d": [2, 2, 2], "image_size": 28}"#;
/// let original: OriginalArch = serde_json::from_str(json)?;
/// let arch = Arch::from_original(&original, &space)?;
/// assert_eq!(arch.to_string(), "r28-k7e6.k5e4-k3e3.k3e3-k3e3.k3e3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginalArch {
    /// Kernel size of every block.
    pub ks: Vec<usize>,
    /// Expand ratio of every block.
    pub e: Vec<f64>,
    /// Depth of every stage.
    pub d: Vec<usize>,
    /// Height and width of the input in pixels; not among the settings of a network, only of its predictor and search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
}

impl Arch {
    /// The arch of `space` that the original's dictionary means, at the highest resolution if it names none.
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidOriginalArch`] if a list has a wrong length; [`ModelError::OutsideSpace`] and
    /// [`ModelError::InvalidExpandRatio`] if a live choice is none of the space.
    pub fn from_original(original: &OriginalArch, space: &SearchSpace) -> Result<Self, ModelError> {
        let blocks = space.stages.iter().map(greatest_depth).sum();
        let lengths = [("ks", original.ks.len(), blocks), ("e", original.e.len(), blocks)];
        for (list, found, expected) in lengths.into_iter().chain([("d", original.d.len(), space.stages.len())]) {
            if found != expected {
                let space = space.name.clone();
                return Err(ModelError::InvalidOriginalArch { list, found, expected, space });
            }
        }
        let mut first = 0;
        let mut stages = Vec::with_capacity(original.d.len());
        for (s, (stage, &depth)) in space.stages.iter().zip(&original.d).enumerate() {
            if depth > greatest_depth(stage) {
                return Err(ModelError::OutsideSpace {
                    arch: serde_json::to_string(original).expect("an arch of the original is plain data"),
                    space: space.name.clone(),
                    choice: format!("stage {} depth", s + 1),
                    found: depth.to_string(),
                    allowed: list(&stage.depths),
                });
            }
            let live = first..first + depth;
            let choices = original.ks[live.clone()].iter().zip(&original.e[live]);
            let block = |(&kernel_size, &ratio)| {
                ExpandRatio::try_from(ratio).map(|expand_ratio| BlockArch { kernel_size, expand_ratio })
            };
            stages.push(StageArch { blocks: choices.map(block).collect::<Result<_, _>>()? });
            first += greatest_depth(stage);
        }
        let resolution = original.image_size.or(space.resolutions.last().copied());
        let arch = Self { resolution: resolution.expect("a valid space offers a resolution"), stages };
        space.check(&arch)?;
        Ok(arch)
    }

    /// This arch of `space` as the original's dictionary; blocks that are left out get 0, as its own decoder writes.
    ///
    /// # Panics
    ///
    /// If this arch is outside the space.
    pub fn to_original(&self, space: &SearchSpace) -> OriginalArch {
        if let Err(error) = space.check(self) {
            panic!("{error}");
        }
        let (mut ks, mut e) = (Vec::new(), Vec::new());
        for (stage, space) in self.stages.iter().zip(&space.stages) {
            let unused = greatest_depth(space) - stage.blocks.len();
            ks.extend(stage.blocks.iter().map(|block| block.kernel_size).chain(std::iter::repeat_n(0, unused)));
            let ratios = stage.blocks.iter().map(|block| block.expand_ratio.value());
            e.extend(ratios.chain(std::iter::repeat_n(0.0, unused)));
        }
        OriginalArch { ks, e, d: self.depths(), image_size: Some(self.resolution) }
    }
}

fn greatest_depth(stage: &StageSpace) -> usize {
    *stage.depths.last().expect("a valid stage offers a depth")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    proptest! {
        #[test]
        fn every_arch_survives_the_way_there_and_back(seed: u64) {
            let space = SearchSpace::mobilenet_v3(1.0, 1000);
            let arch = space.sample(&mut ChaCha8Rng::seed_from_u64(seed));
            let original = arch.to_original(&space);
            prop_assert_eq!(original.ks.len(), 20);
            let json = serde_json::to_string(&original).unwrap();
            prop_assert_eq!(Arch::from_original(&serde_json::from_str(&json).unwrap(), &space).unwrap(), arch);
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let good = space.smallest().to_original(&space);
        let message = |change: fn(&mut OriginalArch)| {
            let mut original = good.clone();
            change(&mut original);
            Arch::from_original(&original, &space).unwrap_err().to_string()
        };
        let cases = [
            (
                message(|a| a.ks.truncate(6)),
                "`ks` of an arch of the original has 6 entries, `small_mobilenet_v3` needs 12",
            ),
            (message(|a| a.d.push(2)), "`d` of an arch of the original has 4 entries"),
            (message(|a| a.d[1] = usize::MAX), "stage 2 depth is 18446744073709551615, allowed: 2, 3, 4"),
            (message(|a| a.d[1] = 1), "stage 2 depth is 1, allowed: 2, 3, 4"),
            (message(|a| a.ks[4] = 9), "stage 2 block 1 kernel size is 9, allowed: 3, 5, 7"),
            (message(|a| a.e[0] = 0.0), "expand ratio 0 is not"),
            (message(|a| a.image_size = Some(30)), "resolution is 30"),
        ];
        for (message, expected) in cases {
            assert!(message.contains(expected), "{message}");
        }
        assert!(serde_json::from_str::<OriginalArch>(r#"{"ks": [], "e": [], "d": [], "w": []}"#).is_err());
    }
}
