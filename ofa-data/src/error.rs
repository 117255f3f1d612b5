//! What can go wrong with image data, as data.

mod image;
mod packed;

use std::io;
use std::path::{Path, PathBuf};

pub use image::ImageProblem;
pub use packed::{CifarProblem, IdxProblem};

use crate::layout::imagenet::DevkitProblem;

/// Why a labelled image set could not be read or served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or directory that must be there is not.
    #[error("{path} not found: {remedy}")]
    Missing {
        /// What was looked for.
        path: PathBuf,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The operating system refused to list or read something.
    #[error("cannot read {path}")]
    Read {
        /// What was being read.
        path: PathBuf,
        /// Why the operating system refused.
        source: io::Error,
    },
    /// A data file is not the file it should be.
    #[error("{path}: sha-256 is {found}, expected {expected}: the file is damaged or another version, restore it")]
    Checksum {
        /// The damaged file.
        path: PathBuf,
        /// SHA-256 the file must have, in hexadecimal.
        expected: String,
        /// SHA-256 the file has, in hexadecimal.
        found: String,
    },
    /// A file in the IDX format of MNIST does not follow that format.
    #[error("{path}: {problem}")]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: IdxProblem,
    },
    /// A file of CIFAR is not what it should be.
    #[error("{path}: {problem}", path = .path.display())]
    Cifar {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: CifarProblem,
    },
    /// A directory holds no images in any known layout.
    #[error(
        "{directory}: no known layout of labelled images; expected train/<class>/<image> and val/<class>/<image>, ImageNet as \
         Kaggle or its makers hand it out, train-*.tar and val-*.tar of a WebDataset, train-*.parquet, the binary files of \
         CIFAR-10 (data_batch_1.bin, ...) or CIFAR-100 (train.bin, ...), or the .gz files of Fashion-MNIST",
        directory = .directory.display()
    )]
    UnknownLayout {
        /// The directory.
        directory: PathBuf,
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
        /// Broken images so far, those of the last batch or shard included.
        broken: usize,
        /// Images of the set.
        images: usize,
        /// Share of them that may be broken.
        max_fraction: f64,
        /// The last broken one, in the order of the images.
        path: PathBuf,
        /// What is wrong with it.
        problem: ImageProblem,
    },
    /// All images of a batch are broken.
    #[error("all {images} images of batch {batch} are broken and skipped: use larger batches or mend the images")]
    NothingLeft {
        /// Index of the batch in its epoch.
        batch: usize,
        /// Number of its images.
        images: usize,
    },
    /// A tar file that cannot be listed to its end, or does not hold what it should.
    #[error("{path}: {reason}", path = .path.display())]
    Archive {
        /// The archive; inside another one, both names.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// An image without a label.
    #[error("{path}: it has no label: no .cls of its name", path = .path.display())]
    Unlabelled {
        /// The image.
        path: PathBuf,
    },
    /// What says the classes of images is not as it should be.
    #[error("{path}: {problem}", path = .path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        problem: String,
    },
    /// The operating system refused to write something.
    #[error("cannot write {path}")]
    Write {
        /// What was being written.
        path: PathBuf,
        /// Why the operating system refused.
        source: io::Error,
    },
    /// Images that are not all prepared.
    #[error("the preparation in {path} is unfinished: give the same command again to go on with it")]
    UnfinishedPreparation {
        /// The directory.
        path: PathBuf,
    },
    /// A directory that holds images that were prepared otherwise.
    #[error("the preparation in {path} is of other images or settings: name another directory, or remove this one")]
    OtherPreparation {
        /// The directory.
        path: PathBuf,
    },
    /// A shard in the way of a preparation, and nothing beside it that says of which images it is.
    #[error("{path} is a shard of unknown origin (no preparation.json): name another directory, or empty this one")]
    UnknownShard {
        /// The shard.
        path: PathBuf,
    },
    /// A parquet file that cannot be used.
    #[cfg(feature = "parquet")]
    #[error("{path}: {problem}", path = .path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: crate::ParquetProblem,
    },
    /// Images in a layout that this build does not read.
    #[error("{path}: to read these images, build with `--features {feature}`", path = .path.display())]
    NeedsFeature {
        /// The directory.
        path: PathBuf,
        /// The feature.
        feature: &'static str,
    },
    /// The development kit of ImageNet is not as it should be.
    #[error("{path}: {problem}", path = .path.display())]
    Devkit {
        /// The kit.
        path: PathBuf,
        /// What is wrong with it.
        problem: DevkitProblem,
    },
    /// A directory that should hold one directory a class holds none.
    #[error("{directory}: no class directories, expected {directory}/<class>/<image>", directory = .directory.display())]
    NoClasses {
        /// The `train`, `val` or `test` directory.
        directory: PathBuf,
    },
    /// A class directory without a single image.
    #[error("class directory {directory} holds no images")]
    EmptyClass {
        /// The class directory.
        directory: PathBuf,
    },
    /// A class of `train` that another part of the set lacks.
    #[error("{directory} lacks the class {class:?} that train has")]
    MissingClass {
        /// The `val` or `test` directory.
        directory: PathBuf,
        /// The class directory it lacks.
        class: String,
    },
    /// A class that `train` does not have.
    #[error("{directory} has the class {class:?} that train lacks")]
    UnknownClass {
        /// The `val` or `test` directory.
        directory: PathBuf,
        /// The class directory it should not have.
        class: String,
    },
    /// A directory where images are expected.
    #[error("{path} is a directory: images lie directly in their class directory")]
    NestedDirectory {
        /// The directory inside a class directory.
        path: PathBuf,
    },
    /// A setting with a value that cannot work.
    #[error("{name} is {value}, expected {expected}")]
    Invalid {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: String,
    },
    /// The thread that prepares batches panicked; the rest of the epoch is lost.
    #[error("the batch loader panicked: {message}")]
    WorkerPanicked {
        /// The message of the panic.
        message: String,
    },
}

impl DataError {
    pub(crate) fn invalid(name: &'static str, value: impl ToString, expected: impl Into<String>) -> Self {
        let (value, expected) = (value.to_string(), expected.into());
        Self::Invalid { name, value, expected }
    }

    /// The same error, of an archive of this name inside the one it was met in.
    pub(crate) fn within(self, name: &Path) -> Self {
        match self {
            Self::Archive { path, reason } => Self::Archive { path: path.join(name), reason },
            other => other,
        }
    }
}
