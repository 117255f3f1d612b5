//! [`OriginalArch`]: an arch as the original's dictionary.

mod mobile;
mod resnet;

use super::family::Family;
use crate::{Arch, ModelError, SearchSpace};
use serde::{Deserialize, Serialize};

/// An arch as the original's dictionary of settings (`ks`, `e`, `d`, `w`, `image_size`).
///
/// Mobile networks have `ks`, `e` and `d`; ResNets have `e`, `d` and `w`. `ks` and `e` always have one entry per block
/// at the greatest depth. Entries of blocks that `d` skips are ignored, so many dictionaries describe one [`Arch`].
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginalArch {
    /// Kernel size of every block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ks: Vec<usize>,
    /// Expand ratio of every block.
    pub e: Vec<f64>,
    /// Depth of every stage. For ResNets, the first entry is the stem (the greatest value or less), and the others
    /// count the blocks of a stage beyond its smallest depth.
    pub d: Vec<usize>,
    /// Index into the list of widths: one for each of the stem's two parts, then one per stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub w: Vec<usize>,
    /// Height and width of the input in pixels. The original's networks do not have this setting; only its predictor
    /// and search do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
}

impl Arch {
    /// Reads an arch of `space` from the original's dictionary. Without `image_size`, the resolution is the highest.
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidOriginalArch`] if a list has the wrong length; [`ModelError::OutsideSpace`] or
    /// [`ModelError::InvalidRatio`] if the space does not offer a live choice.
    pub fn from_original(original: &OriginalArch, space: &SearchSpace) -> Result<Self, ModelError> {
        let stages = match Family::of(space) {
            Family::MobileNetV3 | Family::ProxylessNas => mobile::stages(original, space),
            Family::ResNet => resnet::stages(original, space),
        }?;
        let resolution = original.image_size.or(space.resolutions.last().copied());
        let arch = Self { resolution: resolution.expect("a valid space offers a resolution"), stages };
        space.check(&arch)?;
        Ok(arch)
    }

    /// Writes this arch of `space` as the original's dictionary. Skipped blocks get 0, as the original's own decoder
    /// writes them.
    ///
    /// Choices that the original's supernet of this family does not offer (widths of mobile networks, for example)
    /// cannot be represented and are lost.
    ///
    /// # Panics
    ///
    /// If this arch is outside the space.
    pub fn to_original(&self, space: &SearchSpace) -> OriginalArch {
        if let Err(error) = space.check(self) {
            panic!("{error}");
        }
        let original = match Family::of(space) {
            Family::MobileNetV3 | Family::ProxylessNas => mobile::dictionary(self, space),
            Family::ResNet => resnet::dictionary(self, space),
        };
        OriginalArch { image_size: Some(self.resolution), ..original }
    }
}

impl OriginalArch {
    /// Number of entries of `ks`, `e`, `d` and `w` for `space`.
    pub(crate) fn lengths(space: &SearchSpace) -> [usize; 4] {
        match Family::of(space) {
            Family::MobileNetV3 | Family::ProxylessNas => mobile::lengths(space),
            Family::ResNet => resnet::lengths(space),
        }
    }

    /// Refuses lists whose lengths differ from those of `space`.
    fn check_lengths(&self, space: &SearchSpace) -> Result<(), ModelError> {
        let [ks, e, d, w] = Self::lengths(space);
        let lengths =
            [("ks", self.ks.len(), ks), ("e", self.e.len(), e), ("d", self.d.len(), d), ("w", self.w.len(), w)];
        match lengths.into_iter().find(|(_, found, expected)| found != expected) {
            Some((list, found, expected)) => {
                Err(ModelError::InvalidOriginalArch { list, found, expected, space: space.name.clone() })
            }
            None => Ok(()),
        }
    }

    /// The error for a choice that the space does not offer.
    fn outside(&self, space: &SearchSpace, choice: String, found: usize, allowed: String) -> ModelError {
        let arch = serde_json::to_string(self).expect("an arch of the original is plain data");
        ModelError::OutsideSpace { arch, space: space.name.clone(), choice, found: found.to_string(), allowed }
    }
}

/// `values`, padded with zeros for the skipped blocks.
fn padded<T: Default + Clone>(values: impl Iterator<Item = T>, length: usize) -> impl Iterator<Item = T> {
    values.chain(std::iter::repeat(T::default())).take(length)
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
            let lengths = [(20, 20, 5, 0), (21, 21, 6, 0), (0, 18, 5, 6)];
            let spaces = [
                SearchSpace::mobilenet_v3(1.0, 1000),
                SearchSpace::proxyless_nas(1.3, 1000),
                SearchSpace::resnet50d(1000),
            ];
            for (space, expected) in spaces.iter().zip(lengths) {
                let arch = space.sample(&mut ChaCha8Rng::seed_from_u64(seed));
                let original = arch.to_original(space);
                let found = (original.ks.len(), original.e.len(), original.d.len(), original.w.len());
                prop_assert_eq!(found, expected);
                let json = serde_json::to_string(&original).unwrap();
                prop_assert_eq!(Arch::from_original(&serde_json::from_str(&json).unwrap(), space).unwrap(), arch);
            }
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
            (message(|a| a.ks.truncate(6)), "`ks` of the original's arch has 6 entries, `small_mobilenet_v3` needs 12"),
            (message(|a| a.d.push(2)), "`d` of the original's arch has 4 entries"),
            (message(|a| a.w.push(2)), "`w` of the original's arch has 1 entries, `small_mobilenet_v3` needs 0"),
            (message(|a| a.d[1] = usize::MAX), "stage 2 depth is 18446744073709551615, allowed: 2, 3, 4"),
            (message(|a| a.d[1] = 1), "stage 2 depth is 1, allowed: 2, 3, 4"),
            (message(|a| a.ks[4] = 9), "stage 2 block 1 kernel size is 9, allowed: 3, 5, 7"),
            (message(|a| a.e[0] = 0.0), "ratio 0 is not"),
            (message(|a| a.image_size = Some(30)), "resolution is 30"),
        ];
        for (message, expected) in cases {
            assert!(message.contains(expected), "{message}");
        }
        assert!(serde_json::from_str::<OriginalArch>(r#"{"ks": [], "e": [], "d": [], "width": []}"#).is_err());
    }

    #[test]
    fn wrong_settings_of_a_resnet_are_named() {
        let space = SearchSpace::resnet50d(1000);
        let good = space.smallest().to_original(&space);
        assert_eq!((good.d.as_slice(), good.w.as_slice()), ([0; 5].as_slice(), [0; 6].as_slice()));
        let message = |change: fn(&mut OriginalArch)| {
            let mut original = good.clone();
            change(&mut original);
            Arch::from_original(&original, &space).unwrap_err().to_string()
        };
        let cases = [
            (message(|a| a.ks.push(3)), "`ks` of the original's arch has 1 entries, `resnet50d` needs 0"),
            (message(|a| a.d[1] = 3), "d of stage 1 is 3, allowed: 0, 1, 2"),
            (message(|a| a.w[5] = 3), "w of part 6 is 3, allowed: 0, 1, 2"),
            (message(|a| a.e[4] = 0.3), "stage 4 block 1 expand ratio is 0.3, allowed: 0.2, 0.25, 0.35"),
        ];
        for (message, expected) in cases {
            assert!(message.contains(expected), "{message}");
        }
    }
}
