//! Which layout a directory of labelled images has.

use std::fmt;
use std::path::Path;

use crate::error::DataError;
use crate::image_folder::class_names;
use crate::{Cifar, FashionMnist, ImageFolder, Splits};

/// A layout of labelled images that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The four gzipped IDX files of Fashion-MNIST.
    FashionMnist,
    /// The binary files of CIFAR-10 or CIFAR-100.
    Cifar(Cifar),
    /// `train/<class>/*`, `val/<class>/*` and, optionally, `test/<class>/*`.
    ImageFolder,
}

impl Layout {
    /// The layout of `dir`, told by the files that are there.
    ///
    /// # Errors
    ///
    /// [`DataError::Missing`] if there is no such directory, [`DataError::UnknownLayout`] if none is recognised.
    pub fn detect(dir: &Path) -> Result<Self, DataError> {
        if !dir.is_dir() {
            return Err(DataError::Missing { path: dir.to_owned(), remedy: "name a directory of labelled images" });
        }
        if dir.join("train-images-idx3-ubyte.gz").is_file() {
            return Ok(Self::FashionMnist);
        }
        if let Some(set) = Cifar::in_directory(dir) {
            return Ok(Self::Cifar(set));
        }
        if dir.join("train").is_dir() {
            return Ok(Self::ImageFolder);
        }
        Err(DataError::UnknownLayout { directory: dir.to_owned() })
    }

    /// Whether its images are small pictures of single objects, not photographs of any size.
    pub fn is_small(self) -> bool {
        !matches!(self, Self::ImageFolder)
    }

    /// Number of classes of the images of `dir`, without reading them.
    ///
    /// # Errors
    ///
    /// If what tells the classes cannot be read.
    pub fn classes(self, dir: &Path) -> Result<usize, DataError> {
        match self {
            Self::FashionMnist => Ok(FashionMnist::CLASSES.len()),
            Self::Cifar(set) => Ok(set.class_names(dir)?.len()),
            Self::ImageFolder => Ok(class_names(&dir.join("train"))?.len()),
        }
    }

    /// Reads or lists the images of `dir`, to be given as 1 (gray) or 3 (RGB) `channels`, with validation images chosen by
    /// `seed` where the layout has none.
    ///
    /// # Errors
    ///
    /// As the layouts' own `load`.
    pub fn load(self, dir: &Path, channels: usize, seed: u64) -> Result<Splits, DataError> {
        match self {
            Self::FashionMnist if channels == 1 => FashionMnist::load(dir, seed),
            Self::FashionMnist => Err(DataError::invalid("channels", channels, "1: Fashion-MNIST is gray")),
            Self::Cifar(set) => set.load(dir, channels, seed),
            Self::ImageFolder => ImageFolder::load(dir, channels, seed),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FashionMnist => "Fashion-MNIST",
            Self::Cifar(Cifar::Ten) => "CIFAR-10",
            Self::Cifar(Cifar::Hundred) => "CIFAR-100",
            Self::ImageFolder => "ImageFolder",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_tell_the_layout() {
        assert_eq!(Layout::detect(&FashionMnist::directory()).unwrap(), Layout::FashionMnist);
        assert_eq!(Layout::FashionMnist.classes(&FashionMnist::directory()).unwrap(), 10);
        let dir = tempfile::tempdir().unwrap();
        let error = Layout::detect(dir.path()).unwrap_err().to_string();
        assert!(error.contains("train/<class>/<image>") && error.contains("data_batch_1.bin"), "{error}");
        let error = Layout::detect(&dir.path().join("nothing")).unwrap_err().to_string();
        assert!(error.contains("nothing not found"), "{error}");
        std::fs::create_dir(dir.path().join("train")).unwrap();
        assert_eq!(Layout::detect(dir.path()).unwrap(), Layout::ImageFolder);
        std::fs::write(dir.path().join("train.bin"), "").unwrap();
        assert_eq!(Layout::detect(dir.path()).unwrap(), Layout::Cifar(Cifar::Hundred));
        let error = Layout::FashionMnist.load(&FashionMnist::directory(), 3, 1).unwrap_err().to_string();
        assert!(error.contains("channels is 3, expected 1: Fashion-MNIST is gray"), "{error}");
    }
}
