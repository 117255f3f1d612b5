//! Saves a supernet as its own directory: `space.json` and `weights.safetensors`.

use super::{description, load_weights, write};
use crate::{ModelError, SearchSpace, Supernet, SupernetConfig, replace_directory, whole_directory, write_directory};
use burn::tensor::Device;
use std::path::Path;

const SPACE: &str = "space.json";

impl Supernet {
    /// Writes the network to a new directory, atomically: it appears complete or not at all.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] if the directory exists or cannot be written; [`ModelError::InvalidFile`] if the weights
    /// cannot be stored.
    pub fn save(&self, dir: &Path) -> Result<(), ModelError> {
        write_directory(dir, |unfinished| write(unfinished, SPACE, self.space(), self))
    }

    /// Like [`save`](Self::save), but replaces a directory that exists, once the new one is complete.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save); an existing directory is then unchanged.
    pub fn save_over(&self, dir: &Path) -> Result<(), ModelError> {
        replace_directory(dir, |unfinished| write(unfinished, SPACE, self.space(), self))
    }

    /// Loads a network written by [`Supernet::save`].
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] or [`ModelError::InvalidFile`] if a file is missing or damaged; the error names the file.
    /// [`ModelError::InvalidSpace`] if the space contradicts itself.
    pub fn load(dir: &Path, device: &Device) -> Result<Self, ModelError> {
        let dir = &whole_directory(dir);
        let mut supernet = SupernetConfig::new(Self::space_in(dir)?)?.init(device);
        load_weights(dir, &mut supernet)?;
        Ok(supernet)
    }

    /// The space of a network written by [`Supernet::save`], without its weights.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] or [`ModelError::InvalidFile`] if the file is missing or damaged.
    pub fn space_in(dir: &Path) -> Result<SearchSpace, ModelError> {
        description(&whole_directory(dir), SPACE)
    }

    /// Whether a directory looks like one written by [`Supernet::save`].
    pub fn is_saved_in(dir: &Path) -> bool {
        whole_directory(dir).join(SPACE).is_file()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_supernet_comes_back_bit_identical() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("supernet");
        let device = Device::flex();
        for space in [SearchSpace::small_mobilenet_v3(1, 10), SearchSpace::resnet50d(10)] {
            let supernet = SupernetConfig::new(space).unwrap().with_seed(7).init(&device);
            supernet.save(&dir).unwrap();
            assert!(Supernet::is_saved_in(&dir));
            let read = Supernet::load(&dir, &device).unwrap();
            assert_eq!(read.space(), supernet.space());
            assert_eq!(read.to_original(), supernet.to_original());
            std::fs::remove_dir_all(&dir).unwrap();
        }
    }

    #[test]
    fn weights_of_another_space_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("supernet");
        let device = Device::flex();
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        SupernetConfig::new(space.clone()).unwrap().init(&device).save(&dir).unwrap();
        let mut other = space;
        other.stages[0].channels = 24;
        std::fs::write(dir.join(SPACE), serde_json::to_string(&other).unwrap()).unwrap();
        let message = Supernet::load(&dir, &device).unwrap_err().to_string();
        assert!(message.contains("weights.safetensors"), "{message}");
    }
}
