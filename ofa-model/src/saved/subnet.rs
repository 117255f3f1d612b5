//! Saves a subnet as its own directory: `arch.json` and `weights.safetensors`.

use super::{description, load_weights, write};
use crate::{Arch, ModelError, SearchSpace, Subnet, replace_directory, whole_directory, write_directory};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::Path;

const CARD: &str = "arch.json";

/// Everything besides the weights that is needed to run a saved subnet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetCard {
    /// The arch in its text form.
    pub arch: String,
    /// The search space the network comes from.
    pub space: SearchSpace,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// Mean per channel, subtracted from an image in [0, 1].
    pub mean: Vec<f32>,
    /// Standard deviation per channel; divides the image after the mean is subtracted.
    pub std: Vec<f32>,
}

impl Subnet {
    /// Writes the network to a new directory, atomically: it appears complete or not at all.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] if the directory exists or cannot be written; [`ModelError::InvalidFile`] if the weights
    /// cannot be stored.
    pub fn save(&self, card: &SubnetCard, dir: &Path) -> Result<(), ModelError> {
        write_directory(dir, |unfinished| write(unfinished, CARD, card, self))
    }

    /// Like [`save`](Self::save), but replaces a directory that exists, once the new one is complete.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save); an existing directory is then unchanged.
    pub fn save_over(&self, card: &SubnetCard, dir: &Path) -> Result<(), ModelError> {
        replace_directory(dir, |unfinished| write(unfinished, CARD, card, self))
    }

    /// Loads a network written by [`Subnet::save`].
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] or [`ModelError::InvalidFile`] if a file is missing or damaged; the error names the file. An
    /// invalid space, or an arch that does not parse or is outside the space, gives its own error.
    pub fn load(dir: &Path, device: &Device) -> Result<(Self, SubnetCard), ModelError> {
        let dir = &whole_directory(dir);
        let card: SubnetCard = description(dir, CARD)?;
        card.space.validate()?;
        let arch: Arch = card.arch.parse()?;
        card.space.check(&arch)?;
        let mut subnet = Subnet::blank(card.space.clone(), &arch, device);
        load_weights(dir, &mut subnet)?;
        Ok((subnet, card))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SupernetConfig;
    use crate::saved::WEIGHTS;
    use crate::testing::Draw;

    fn saved(dir: &Path) -> (Subnet, SubnetCard) {
        let device = Device::flex();
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let supernet = SupernetConfig::new(space.clone()).unwrap().with_seed(7).init(&device);
        let arch: Arch = "r24-k7e6.k5e4-k3e3.k3e3.k7e3-k3e3.k5e6".parse().unwrap();
        let batch = Draw::new(1).normal([4, 1, 24, 24], 0.0, 1.0);
        let subnet = supernet.subnet(&arch).calibrate([&batch]);
        let classes = (0..10).map(|class| format!("class {class}")).collect();
        let card = SubnetCard { arch: arch.to_string(), space, classes, mean: vec![0.286], std: vec![0.353] };
        subnet.save(&card, dir).unwrap();
        (subnet, card)
    }

    #[test]
    fn a_saved_subnet_comes_back_bit_identical() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("net");
        let (subnet, card) = saved(&dir);
        let device = Device::flex();
        let (read, read_card) = Subnet::load(&dir, &device).unwrap();
        assert_eq!(read_card, card);
        assert_eq!(read.arch(), subnet.arch());
        let x = Draw::new(2).normal([2, 1, 24, 24], 0.0, 1.0);
        assert_eq!(read.infer(x.clone()).into_data(), subnet.infer(x).into_data());
    }

    #[test]
    fn damage_is_reported_with_the_file() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("net");
        saved(&dir);
        let weights = dir.join(WEIGHTS);
        let bytes = std::fs::read(&weights).unwrap();
        let message = |dir: &Path| Subnet::load(dir, &Device::flex()).unwrap_err().to_string();

        std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
        assert!(message(&dir).contains("weights.safetensors"), "{}", message(&dir));
        std::fs::remove_file(&weights).unwrap();
        assert!(message(&dir).contains("weights.safetensors"), "{}", message(&dir));
        std::fs::write(dir.join(CARD), "{").unwrap();
        assert!(message(&dir).contains("arch.json"), "{}", message(&dir));
    }

    #[test]
    fn an_existing_directory_is_not_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("net");
        let (subnet, card) = saved(&dir);
        assert!(matches!(subnet.save(&card, &dir), Err(ModelError::Io { .. })));
    }
}
