//! Where the images of a set are stored.

pub(crate) mod archive;
pub(crate) mod entries;
pub(crate) mod files;
pub(crate) mod packed;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::decode::picture::Picture;
use crate::decode::{Damage, DecodeConfig, Image, decode_as_stored};
use crate::error::ImageProblem;
use packed::PackedImages;

/// Exclusive upper bound of labels where no class names give a tighter one: a larger number is not a class index.
pub(crate) const MAX_CLASSES: u32 = 1 << 20;

/// Labelled images, read one at a time, from any thread: implement this to bring a data set of your own, and pass it to
/// [`ImageSet::from_source`](crate::ImageSet::from_source).
#[allow(clippy::len_without_is_empty, reason = "ImageSet, which holds the source, has it")]
pub trait ImageSource: Debug + Send + Sync {
    /// Number of images.
    fn len(&self) -> usize;

    /// Class index of image `i`.
    fn label(&self, i: usize) -> u32;

    /// Reads image `i`, encoded or decoded.
    ///
    /// # Errors
    /// [`ImageProblem::Unreadable`] with the reason, if it cannot be read.
    fn read(&self, i: usize) -> Result<StoredImage, ImageProblem>;

    /// Bytes that identify the content of image `i`: its name and length, its checksum, or the seed it is drawn from.
    /// They enter [`ImageSet::fingerprint`](crate::ImageSet::fingerprint), which decides whether a run may be resumed
    /// and whether tables are of the same images, so they must be the same in every process, and be cheap.
    fn identity(&self, i: usize) -> Vec<u8>;

    /// Bytes that identify the source as a whole, where [`ImageSource::identity`] does not suffice. The default is none.
    fn source_identity(&self) -> Vec<u8> {
        Vec::new()
    }

    /// How messages refer to image `i`. The default is its number.
    fn path(&self, i: usize) -> PathBuf {
        format!("number {i}").into()
    }
}

/// An image as an [`ImageSource`] keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredImage {
    /// The bytes of a JPEG, PNG, WebP or BMP file.
    Encoded(Vec<u8>),
    /// Pixels.
    Decoded(Image),
}

impl From<Vec<u8>> for StoredImage {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Encoded(bytes)
    }
}

impl From<Image> for StoredImage {
    fn from(image: Image) -> Self {
        Self::Decoded(image)
    }
}

/// Storage of a set's images.
#[derive(Debug)]
pub(crate) enum Source {
    /// Decoded images of one size, in memory.
    Packed(PackedImages),
    /// Images that are read on every access.
    Read(ReadImages),
}

/// A source and the number of channels of its images.
#[derive(Debug)]
pub(crate) struct ReadImages {
    pub(crate) images: Box<dyn ImageSource>,
    /// 1 (gray) or 3 (RGB): what every image is converted to.
    pub(crate) channels: usize,
}

impl ReadImages {
    /// Image `i`; the part that can be decoded, if `damage` is to be shown.
    pub(crate) fn image(&self, i: usize, damage: Damage, config: DecodeConfig) -> Result<Image, ImageProblem> {
        let image = match self.images.read(i)? {
            StoredImage::Encoded(bytes) => decode_as_stored(&bytes, damage, config)?,
            StoredImage::Decoded(image) => image.checked(config.max_pixels)?,
        };
        Ok(image.with_channels(self.channels))
    }

    /// Image `i`, decoded only as far as it is used.
    pub(crate) fn picture(&self, i: usize, config: DecodeConfig) -> Result<Picture, ImageProblem> {
        match self.images.read(i)? {
            StoredImage::Encoded(bytes) => Picture::open(bytes, self.channels, config),
            StoredImage::Decoded(image) => {
                let image = image.checked(config.max_pixels)?.with_channels(self.channels);
                Ok(Picture::Whole(Arc::new(image)))
            }
        }
    }
}

/// Identifies a file by its name within the set and its length.
fn file_identity(name: &Path, bytes: u64) -> Vec<u8> {
    let name = name.as_os_str().as_encoded_bytes();
    [&(name.len() as u64).to_le_bytes(), name, &bytes.to_le_bytes()].concat()
}

impl Source {
    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.labels.len(),
            Self::Read(read) => read.images.len(),
        }
    }

    /// 1 (gray) or 3 (RGB).
    pub(crate) fn channels(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.channels,
            Self::Read(read) => read.channels,
        }
    }

    /// Class index of image `i`.
    pub(crate) fn label(&self, i: usize) -> u32 {
        match self {
            Self::Packed(packed) => packed.labels[i],
            Self::Read(read) => read.images.label(i),
        }
    }

    /// How messages refer to image `i`.
    pub(crate) fn path(&self, i: usize) -> PathBuf {
        match self {
            Self::Packed(_) => format!("number {i} in memory").into(),
            Self::Read(read) => read.images.path(i),
        }
    }
}
