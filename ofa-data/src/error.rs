//! What can go wrong with image data, as data.

use std::io;
use std::path::{Path, PathBuf};

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
        /// Broken images so far.
        broken: usize,
        /// Images of the set.
        images: usize,
        /// Share of them that may be broken.
        max_fraction: f64,
        /// The last broken one.
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
    #[error("{path} is of other images or settings: name another directory, or remove this one")]
    OtherPreparation {
        /// What says how the images there were prepared.
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

/// What is wrong with an IDX file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdxProblem {
    /// The gzip stream is broken or ends too early.
    #[error("broken gzip stream: {0}")]
    Gzip(String),
    /// The first four bytes are not those of this kind of file.
    #[error("magic number is {found:#010x}, expected {expected:#010x}")]
    Magic {
        /// Magic number of this kind of file.
        expected: u32,
        /// Magic number of the file.
        found: u32,
    },
    /// The header announces another amount of data than there is.
    #[error("the header announces {announced} bytes of data, there are {found}")]
    Length {
        /// Bytes of data according to the header.
        announced: u64,
        /// Bytes of data there are; counted no further than one beyond `announced`.
        found: u64,
    },
    /// Images of another size, or another number of items, than the set has.
    #[error("{what} is {found}, expected {expected}")]
    Shape {
        /// What is counted.
        what: &'static str,
        /// What the set has.
        expected: usize,
        /// What the file has.
        found: usize,
    },
    /// A label beyond the last class.
    #[error("label {label} of item {item} is beyond the {classes} classes")]
    Label {
        /// Position in the file.
        item: usize,
        /// The label there.
        label: u8,
        /// Number of classes of the set.
        classes: usize,
    },
}

/// What is wrong with a file of CIFAR.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CifarProblem {
    /// The file is cut or another file.
    #[error("{bytes} bytes are not a whole number of records of {record}")]
    Length {
        /// Length of the file.
        bytes: usize,
        /// Bytes of a record.
        record: usize,
    },
    /// A label is none of the set.
    #[error("label {label} of record {item} is beyond the {classes} classes")]
    Label {
        /// Position of the record, from 0.
        item: usize,
        /// The label there.
        label: u8,
        /// Number of classes of the set.
        classes: usize,
    },
    /// The file of names has too few or too many lines.
    #[error("{found} names of classes, expected {expected}")]
    Names {
        /// Names in the file.
        found: usize,
        /// Classes of the set.
        expected: usize,
    },
}

/// What is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageProblem {
    /// Not a regular file (a directory, a FIFO, a device, a socket).
    #[error("not a regular file")]
    NotAFile,
    /// The file cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file is not the one that was listed.
    #[error("changed since it was listed: {found} bytes, it had {listed}")]
    Changed {
        /// Bytes when it was listed.
        listed: u64,
        /// Bytes now, counted no further than one beyond `listed` if it grew while it was read.
        found: u64,
    },
    /// The archive of the image is not the one that was listed.
    #[error("its archive changed since it was listed")]
    ArchiveChanged,
    /// More bytes than any image; refused before memory is set aside.
    #[error("{bytes} bytes are more than the {limit} of any image")]
    TooManyBytes {
        /// Length of the file.
        bytes: u64,
        /// Greatest length.
        limit: u64,
    },
    /// The decoder has a bug.
    #[error("the decoder panicked: {0}")]
    Panicked(String),
    /// The file has no bytes.
    #[error("empty file")]
    Empty,
    /// The first bytes belong neither to a JPEG nor to a PNG.
    #[error("neither JPEG nor PNG: the file starts with {0:02x?}")]
    UnknownFormat(Vec<u8>),
    /// More pixels than any photograph; refused before memory is set aside.
    #[error("{width} x {height} pixels are more than the {limit} allowed")]
    TooLarge {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Greatest number of pixels.
        limit: usize,
    },
    /// The file ends before its picture does.
    #[error("truncated after {bytes} bytes")]
    Truncated {
        /// Length of the file.
        bytes: usize,
    },
    /// The JPEG decoder's complaint.
    #[error("broken jpeg ({bytes} bytes): {reason}")]
    Jpeg {
        /// Length of the file.
        bytes: usize,
        /// The decoder's message.
        reason: String,
    },
    /// The PNG decoder's complaint.
    #[error("broken png ({bytes} bytes): {reason}")]
    Png {
        /// Length of the file.
        bytes: usize,
        /// The decoder's message.
        reason: String,
    },
}

impl ImageProblem {
    /// The sort of problem in few words, the same for all files of this sort.
    pub fn sort(&self) -> &'static str {
        match self {
            Self::NotAFile => "not a regular file",
            Self::Unreadable(_) => "unreadable",
            Self::Changed { .. } | Self::ArchiveChanged => "changed",
            Self::TooManyBytes { .. } => "too large",
            Self::Panicked(_) => "decoder panicked",
            Self::Empty => "empty file",
            Self::UnknownFormat(_) => "neither JPEG nor PNG",
            Self::TooLarge { .. } => "too large",
            Self::Truncated { .. } => "truncated",
            Self::Jpeg { .. } => "broken jpeg",
            Self::Png { .. } => "broken png",
        }
    }
}
