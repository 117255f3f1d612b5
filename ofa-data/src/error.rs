//! Typed errors for image data.

mod devkit;
mod image;
mod packed;
#[cfg(feature = "parquet")]
mod parquet;

use std::io;
use std::path::{Path, PathBuf};

pub use devkit::{DevkitProblem, MatProblem};
pub use image::ImageProblem;
pub use packed::{CifarProblem, IdxProblem};
#[cfg(feature = "parquet")]
pub use parquet::ParquetProblem;

/// Why a labelled image set could not be read or served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A required file or directory does not exist.
    #[error("{path} not found: {remedy}")]
    Missing {
        /// The path that was expected.
        path: PathBuf,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Listing or reading failed.
    #[error("cannot read {path}")]
    Read {
        /// What was being read.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// A data file does not have the expected checksum.
    #[error("{path}: sha-256 is {found}, expected {expected}: the file is damaged or another version, restore it")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Expected SHA-256, in hexadecimal.
        expected: String,
        /// SHA-256 of the file, in hexadecimal.
        found: String,
    },
    /// A file violates the IDX format of MNIST.
    #[error("{path}: {problem}")]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: IdxProblem,
    },
    /// A CIFAR file is invalid.
    #[error("{path}: {problem}", path = .path.display())]
    Cifar {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: CifarProblem,
    },
    /// A directory holds no images in any known layout.
    #[error(
        "{directory}: no known layout of labelled images; it {seen}; {nearest}. Expected train/<class>/<image> (and val, \
         test), <class>/<image>, ImageNet as distributed by Kaggle or its authors, Tiny ImageNet, train-*.tar of a \
         WebDataset, train-*.parquet, the binary files of CIFAR-10 (data_batch_1.bin, ...) or CIFAR-100 (train.bin, ...), \
         or the IDX files of MNIST and its like",
        directory = .directory.display()
    )]
    UnknownLayout {
        /// The directory.
        directory: PathBuf,
        /// What lies there: its first entries, and counts by kind.
        seen: String,
        /// The layout that it resembles most, and what to do.
        nearest: String,
    },
    /// A file was named where a directory is expected.
    #[error("{path} is a file: pass the directory that it lies in", path = .path.display())]
    NotADirectory {
        /// The file.
        path: PathBuf,
    },
    /// Two directories could be the same part of a set.
    #[error("{directory}: {names} could both be `{part}`: move one of them away", directory = .directory.display())]
    AmbiguousParts {
        /// The directory of the set.
        directory: PathBuf,
        /// The part.
        part: &'static str,
        /// The directories.
        names: String,
    },
    /// A set has fewer than two classes.
    #[error(
        "{count}: there is nothing to learn; a set needs at least two classes",
        count = match &.classes[..] { [only] => format!("one class ({only})"), _ => "no class".into() }
    )]
    TooFewClasses {
        /// The classes: none or one.
        classes: Vec<String>,
    },
    /// Most classes of a set have no training image, and nothing names them.
    #[error(
        "{empty} of {classes} classes have no training image: labels must be class indices, 0, 1, 2 and so on; where \
         they are meant to have gaps, name all classes in classes.txt, one per line"
    )]
    EmptyClasses {
        /// Classes without a training image.
        empty: usize,
        /// All classes: the largest label, and one.
        classes: usize,
    },
    /// A shard holds no labelled image.
    #[error(
        "{path} has no sample: {seen}; expected <key>.jpg (.jpeg, .png, .webp, .bmp) and its label <key>.cls, .cls.txt \
         or .json",
        path = .path.display()
    )]
    NoSample {
        /// The first shard.
        path: PathBuf,
        /// Its first files.
        seen: String,
    },
    /// An image cannot be decoded.
    #[error("image {path}: {problem}")]
    Image {
        /// The image file.
        path: PathBuf,
        /// What is wrong with it.
        problem: ImageProblem,
    },
    /// More images are broken than may be skipped.
    #[error(
        "{broken} of {images} images are broken, more than the fraction {max_fraction} that may be skipped; the last one is \
         {path}: {problem}"
    )]
    TooManyBroken {
        /// Broken images so far, including those of the last batch or shard.
        broken: usize,
        /// Number of images in the set.
        images: usize,
        /// Largest fraction that may be broken.
        max_fraction: f64,
        /// The last broken image, in image order.
        path: PathBuf,
        /// What is wrong with it.
        problem: ImageProblem,
    },
    /// All images of a batch are broken.
    #[error("all {images} images of batch {batch} are broken and skipped: use larger batches or repair the images")]
    NothingLeft {
        /// Index of the batch within its epoch.
        batch: usize,
        /// Number of images in the batch.
        images: usize,
    },
    /// A tar file cannot be listed to its end, or does not hold what it should.
    #[error("{path}: {reason}", path = .path.display())]
    Archive {
        /// The archive; for a nested archive, the path followed by the inner name.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// An image has no label.
    #[error("{path}: no label: there is no .cls, .cls.txt or .json file of the same name", path = .path.display())]
    Unlabelled {
        /// The image.
        path: PathBuf,
    },
    /// A file that assigns images to classes is invalid.
    #[error("{path}: {problem}", path = .path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        problem: String,
    },
    /// Writing failed.
    #[error("cannot write {path}")]
    Write {
        /// What was being written.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// Not all images are prepared yet.
    #[error("the preparation in {path} is unfinished: run the same command again to resume it")]
    UnfinishedPreparation {
        /// The directory.
        path: PathBuf,
    },
    /// A directory already holds images prepared from another source or with other settings.
    #[error("{path} was prepared from other images or settings: choose another directory or remove this one")]
    OtherPreparation {
        /// The directory.
        path: PathBuf,
    },
    /// A shard is in the way of a preparation, and no manifest says which images it holds.
    #[error("{path} is a shard of unknown origin (no preparation.json): choose another directory or empty this one")]
    UnknownShard {
        /// The shard.
        path: PathBuf,
    },
    /// A parquet file cannot be used.
    #[cfg(feature = "parquet")]
    #[error("{path}: {problem}", path = .path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: ParquetProblem,
    },
    /// The images are in a layout that this build cannot read.
    #[error("{path}: to read these images, build with `--features {feature}`", path = .path.display())]
    NeedsFeature {
        /// The directory.
        path: PathBuf,
        /// The cargo feature that adds support.
        feature: &'static str,
    },
    /// The ImageNet development kit is invalid.
    #[error("{path}: {problem}", path = .path.display())]
    Devkit {
        /// Path of the kit.
        path: PathBuf,
        /// What is wrong with it.
        problem: DevkitProblem,
    },
    /// A directory that should hold one directory per class holds none.
    #[error("{directory}: no class directories, expected {directory}/<class>/<image>", directory = .directory.display())]
    NoClasses {
        /// The `train`, `val` or `test` directory.
        directory: PathBuf,
    },
    /// A class directory holds no images.
    #[error("class directory {directory} holds no images")]
    EmptyClass {
        /// The class directory.
        directory: PathBuf,
    },
    /// A class of `train` is missing from another split.
    #[error("{directory} lacks the class {class:?} that train has")]
    MissingClass {
        /// The `val` or `test` directory.
        directory: PathBuf,
        /// The class directory it lacks.
        class: String,
    },
    /// A split has a class that `train` lacks.
    #[error("{directory} has the class {class:?} that train lacks")]
    UnknownClass {
        /// The `val` or `test` directory.
        directory: PathBuf,
        /// The class directory it should not have.
        class: String,
    },
    /// A directory was found where an image was expected.
    #[error("{path} is a directory: images must lie directly in their class directory, or in `images` there")]
    NestedDirectory {
        /// The directory inside a class directory.
        path: PathBuf,
    },
    /// A setting has an invalid value.
    #[error("{name} is {value}, expected {expected}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// Valid values.
        expected: String,
    },
    /// The prefetch thread panicked; the rest of the epoch is lost.
    #[error("the batch loader panicked: {message}")]
    WorkerPanicked {
        /// The panic message.
        message: String,
    },
}

impl DataError {
    pub(crate) fn invalid(name: &'static str, value: impl ToString, expected: impl Into<String>) -> Self {
        let (value, expected) = (value.to_string(), expected.into());
        Self::Invalid { name, value, expected }
    }

    /// Appends `name`, an archive inside this one, to the path of a [`DataError::Archive`]; other errors are unchanged.
    pub(crate) fn within(self, name: &Path) -> Self {
        match self {
            Self::Archive { path, reason } => Self::Archive { path: path.join(name), reason },
            other => other,
        }
    }
}
