//! Detects the layout of a directory of labelled images.

pub(crate) mod cifar;
pub(crate) mod fashion_mnist;
#[cfg(feature = "parquet")]
pub(crate) mod hugging_face;
pub(crate) mod idx;
pub(crate) mod image_folder;
pub(crate) mod imagenet;
mod part_name;
pub(crate) mod prepared;
pub(crate) mod web_dataset;

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use cifar::Cifar;
use fashion_mnist::FashionMnist;
use image_folder::{ImageFolder, has_class_directories};
use imagenet::ImageNet;
use part_name::part_of;
use prepared::{PrepareConfig, PreparedSet};
use web_dataset::WebDataset;

use crate::error::DataError;
use crate::source::entries::visible_entries;
use crate::split::{Parts, Splits};
use crate::view::augment::AugmentConfig;

/// A supported layout of labelled images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// The four gzipped IDX files of Fashion-MNIST.
    FashionMnist,
    /// The binary files of CIFAR-10 or CIFAR-100.
    Cifar(Cifar),
    /// `train/<class>/*`, `val/<class>/*` and, optionally, `test/<class>/*`.
    ImageFolder,
    /// ImageNet as distributed by Kaggle or its authors.
    ImageNet(ImageNet),
    /// Output of [`prepare_images`](crate::prepare_images).
    Prepared,
    /// Tar files of images and labels.
    WebDataset,
    /// Parquet shards of the Hugging Face Hub; reading them needs the feature `parquet`.
    HuggingFace,
}

impl Layout {
    /// Detects the layout of `dir` from the files in it.
    ///
    /// # Errors
    ///
    /// [`DataError::Missing`] if `dir` does not exist, [`DataError::UnknownLayout`] if no layout is recognised. Also if
    /// `dir` cannot be listed or holds only parts of ImageNet.
    pub fn detect(dir: &Path) -> Result<Self, DataError> {
        if !dir.is_dir() {
            return Err(DataError::Missing { path: dir.to_owned(), remedy: "pass a directory of labelled images" });
        }
        if dir.join("train-images-idx3-ubyte.gz").is_file() {
            return Ok(Self::FashionMnist);
        }
        if let Some(set) = Cifar::in_directory(dir) {
            return Ok(Self::Cifar(set));
        }
        if PreparedSet::is_in(dir) {
            return Ok(Self::Prepared);
        }
        // Class directories take precedence: the archives they were unpacked from may lie next to them.
        let has_classes = has_class_directories(&dir.join("train"))?;
        if !has_classes && WebDataset::is_in(dir) {
            return Ok(Self::WebDataset);
        }
        if !has_classes && holds_parquet(dir) {
            return Ok(Self::HuggingFace);
        }
        match ImageNet::in_directory(dir)? {
            Some(files) if !files.is_image_folder(dir) => Ok(Self::ImageNet(files)),
            // An incomplete ImageFolder is reported when it is read.
            _ if dir.join("train").is_dir() => Ok(Self::ImageFolder),
            _ => Err(DataError::UnknownLayout { directory: dir.to_owned() }),
        }
    }

    /// Default augmentation. Small pictures of single objects and photographs of any size need different ones.
    pub fn augmentation(&self) -> AugmentConfig {
        match self {
            Self::FashionMnist | Self::Cifar(_) => AugmentConfig::small_images(),
            Self::ImageFolder | Self::ImageNet(_) | Self::Prepared | Self::WebDataset | Self::HuggingFace => {
                AugmentConfig::photographs()
            }
        }
    }

    /// How [`prepare_images`](crate::prepare_images) re-encoded the images of `dir`; `None` if they are not prepared.
    ///
    /// # Errors
    ///
    /// If the manifest of the preparation cannot be read.
    pub fn preparation(&self, dir: &Path) -> Result<Option<PrepareConfig>, DataError> {
        match self {
            Self::Prepared => Ok(Some(PreparedSet::read(dir)?.config)),
            _ => Ok(None),
        }
    }

    /// Reads or lists the images of `dir`, with 1 (gray) or 3 (RGB) `channels`. Where the layout has no validation
    /// split, `seed` chooses the validation images.
    ///
    /// # Errors
    ///
    /// As the layouts' own `load`.
    pub fn load(&self, dir: &Path, channels: usize, seed: u64) -> Result<Splits, DataError> {
        match self {
            Self::FashionMnist if channels == 1 => FashionMnist::load(dir, seed),
            Self::FashionMnist => Err(DataError::invalid("channels", channels, "1: Fashion-MNIST is gray")),
            Self::Cifar(set) => set.load(dir, channels, seed),
            Self::ImageFolder | Self::ImageNet(_) | Self::Prepared | Self::WebDataset | Self::HuggingFace => {
                self.parts(dir, channels)?.split(channels, seed)
            }
        }
    }

    /// The splits of `dir` as published.
    ///
    /// # Errors
    ///
    /// As the layouts' own `load`; [`DataError::Invalid`] for a layout whose images are kept in memory.
    pub(crate) fn parts(&self, dir: &Path, channels: usize) -> Result<Parts, DataError> {
        match self {
            Self::FashionMnist | Self::Cifar(_) => Err(DataError::invalid(
                "layout",
                self,
                "a layout of JPEG and PNG files: this set is small and loaded into memory",
            )),
            Self::ImageFolder => ImageFolder::parts(dir, channels),
            Self::ImageNet(files) => files.parts(channels),
            Self::Prepared => PreparedSet::parts(dir, channels),
            Self::WebDataset => WebDataset::parts(dir, channels),
            #[cfg(feature = "parquet")]
            Self::HuggingFace => hugging_face::HuggingFace::parts(dir, channels),
            #[cfg(not(feature = "parquet"))]
            Self::HuggingFace => Err(DataError::NeedsFeature { path: dir.to_owned(), feature: "parquet" }),
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
            Self::ImageNet(_) => "ImageNet",
            Self::Prepared => "prepared images",
            Self::WebDataset => "WebDataset",
            Self::HuggingFace => "parquet shards",
        })
    }
}

/// Whether `dir` or its `data` holds parquet files of a train split.
fn holds_parquet(dir: &Path) -> bool {
    parquet_files(dir, "train").is_ok_and(|files| files.iter().any(|path| path.is_file()))
}

/// The parquet files of a split in `dir` and its `data`, sorted by path.
fn parquet_files(dir: &Path, part: &str) -> Result<Vec<PathBuf>, DataError> {
    let is_of_part = |name: &OsStr| part_of(name) == Some(part) && name.to_string_lossy().ends_with(".parquet");
    let mut found = Vec::new();
    for directory in [dir.to_owned(), dir.join("data")].iter().filter(|path| path.is_dir()) {
        let entries = visible_entries(directory)?.into_iter();
        found.extend(entries.filter(|(name, _)| is_of_part(name)).map(|(_, path)| path));
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_tell_the_layout() {
        assert_eq!(Layout::detect(&FashionMnist::directory()).unwrap(), Layout::FashionMnist);
        let dir = tempfile::tempdir().unwrap();
        let error = Layout::detect(dir.path()).unwrap_err().to_string();
        assert!(error.contains("train/<class>/<image>") && error.contains("data_batch_1.bin"), "{error}");
        let error = Layout::detect(&dir.path().join("nothing")).unwrap_err().to_string();
        assert!(error.contains("nothing not found"), "{error}");
        std::fs::create_dir(dir.path().join("train")).unwrap();
        assert_eq!(Layout::detect(dir.path()).unwrap(), Layout::ImageFolder);
        std::fs::create_dir_all(dir.path().join("val/cat")).unwrap();
        assert_eq!(Layout::detect(dir.path()).unwrap(), Layout::ImageFolder);
        std::fs::write(dir.path().join("train.bin"), "").unwrap();
        assert_eq!(Layout::detect(dir.path()).unwrap(), Layout::Cifar(Cifar::Hundred));
        let parquet = tempfile::tempdir().unwrap();
        std::fs::write(parquet.path().join("train-00000-of-00001.parquet"), "").unwrap();
        let layout = Layout::detect(parquet.path()).unwrap();
        assert_eq!(layout, Layout::HuggingFace);
        let error = layout.load(parquet.path(), 3, 1).unwrap_err().to_string();
        assert!(
            error.contains(if cfg!(feature = "parquet") { "damaged" } else { "build with `--features parquet`" }),
            "{error}"
        );
        let error = Layout::FashionMnist.load(&FashionMnist::directory(), 3, 1).unwrap_err().to_string();
        assert!(error.contains("channels is 3, expected 1: Fashion-MNIST is gray"), "{error}");
    }
}
