//! A subnet as a directory of its own: `arch.json` and `weights.safetensors`.

use crate::{Arch, ModelError, SearchSpace, Subnet};
use burn::store::{ModuleSnapshot, SafetensorsStore};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::Path;

const CARD: &str = "arch.json";
const WEIGHTS: &str = "weights.safetensors";

/// What, besides its weights, is needed to run a saved subnet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetCard {
    /// The choices the network is made of, as text.
    pub arch: String,
    /// The space it comes from.
    pub space: SearchSpace,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// Subtracted from each channel of an image in [0, 1].
    pub mean: Vec<f32>,
    /// Divides each channel after that.
    pub std: Vec<f32>,
}

impl Subnet {
    /// Writes the network to a new directory, atomically: it appears complete or not at all.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] if the directory exists or cannot be written; [`ModelError::InvalidFile`] if the weights
    /// cannot be stored.
    pub fn export(&self, card: &SubnetCard, dir: &Path) -> Result<(), ModelError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| ModelError::Io { path, source }
        };
        if dir.exists() {
            return Err(io(dir)(std::io::ErrorKind::AlreadyExists.into()));
        }
        let mut unfinished = dir.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = Path::new(&unfinished);
        if unfinished.exists() {
            std::fs::remove_dir_all(unfinished).map_err(io(unfinished))?;
        }
        std::fs::create_dir_all(unfinished).map_err(io(unfinished))?;

        let json = serde_json::to_string_pretty(card).expect("a card is plain data");
        let path = unfinished.join(CARD);
        std::fs::write(&path, json).map_err(io(&path))?;
        let path = unfinished.join(WEIGHTS);
        let mut store = SafetensorsStore::from_file(&path);
        self.save_into(&mut store).map_err(|error| ModelError::InvalidFile { path, problem: error.to_string() })?;
        std::fs::rename(unfinished, dir).map_err(io(dir))
    }

    /// Reads a network that [`Subnet::export`] wrote.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] and [`ModelError::InvalidFile`] name the file; an arch that does not fit its space is
    /// refused as such.
    pub fn import(dir: &Path, device: &Device) -> Result<(Self, SubnetCard), ModelError> {
        let path = dir.join(CARD);
        let text = std::fs::read_to_string(&path).map_err(|source| ModelError::Io { path: path.clone(), source })?;
        let card: SubnetCard = serde_json::from_str(&text)
            .map_err(|error| ModelError::InvalidFile { path, problem: error.to_string() })?;
        card.space.validate()?;
        let arch: Arch = card.arch.parse()?;
        card.space.check(&arch)?;

        let path = dir.join(WEIGHTS);
        if let Err(source) = std::fs::metadata(&path) {
            return Err(ModelError::Io { path, source });
        }
        let mut subnet = Subnet::blank(card.space.clone(), &arch, device);
        let mut store = SafetensorsStore::from_file(&path);
        subnet.load_from(&mut store).map_err(|error| ModelError::InvalidFile { path, problem: error.to_string() })?;
        Ok((subnet, card))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SupernetConfig;
    use crate::testing::Draw;

    fn exported(dir: &Path) -> (Subnet, SubnetCard) {
        let device = Device::flex();
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let supernet = SupernetConfig::new(space.clone()).unwrap().with_seed(7).init(&device);
        let arch: Arch = "r24-k7e6.k5e4-k3e3.k3e3.k7e3-k3e3.k5e6".parse().unwrap();
        let batch = Draw::new(1).normal([4, 1, 24, 24], 0.0, 1.0);
        let subnet = supernet.subnet(&arch).calibrate([&batch]);
        let classes = (0..10).map(|class| format!("class {class}")).collect();
        let card = SubnetCard { arch: arch.to_string(), space, classes, mean: vec![0.286], std: vec![0.353] };
        subnet.export(&card, dir).unwrap();
        (subnet, card)
    }

    #[test]
    fn a_saved_subnet_comes_back_bit_identical() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("net");
        let (subnet, card) = exported(&dir);
        let device = Device::flex();
        let (read, read_card) = Subnet::import(&dir, &device).unwrap();
        assert_eq!(read_card, card);
        assert_eq!(read.arch(), subnet.arch());
        let x = Draw::new(2).normal([2, 1, 24, 24], 0.0, 1.0);
        assert_eq!(read.infer(x.clone()).into_data(), subnet.infer(x).into_data());
    }

    #[test]
    fn damage_is_reported_with_the_file() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("net");
        exported(&dir);
        let weights = dir.join(WEIGHTS);
        let bytes = std::fs::read(&weights).unwrap();
        let message = |dir: &Path| Subnet::import(dir, &Device::flex()).unwrap_err().to_string();

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
        let (subnet, card) = exported(&dir);
        assert!(matches!(subnet.export(&card, &dir), Err(ModelError::Io { .. })));
    }
}
