//! Where the images of a set are stored.

pub(crate) mod archive;
pub(crate) mod entries;
pub(crate) mod files;
pub(crate) mod packed;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::ImageProblem;
use packed::PackedImages;

/// Exclusive upper bound of labels where no class names give a tighter one: a larger number is not a class index.
pub(crate) const MAX_CLASSES: u32 = 1 << 20;

/// Storage of a set's images.
#[derive(Debug)]
pub(crate) enum Source {
    /// Decoded images of one size, in memory.
    Packed(PackedImages),
    /// JPEG and PNG images, read and decoded on every access.
    Encoded(EncodedImages),
}

/// Encoded images and the number of channels to decode them to.
#[derive(Debug)]
pub(crate) struct EncodedImages {
    pub(crate) images: Box<dyn Encoded>,
    /// 1 (gray) or 3 (RGB): what every image is converted to.
    pub(crate) channels: usize,
}

/// Labelled JPEG and PNG images, read one at a time, from any thread.
pub(crate) trait Encoded: Debug + Send + Sync {
    /// Number of images.
    fn len(&self) -> usize;

    /// Class index of image `i`.
    fn label(&self, i: usize) -> u32;

    /// How messages refer to image `i`.
    fn path(&self, i: usize) -> PathBuf;

    /// The stored bytes of image `i`.
    fn read(&self, i: usize) -> Result<Vec<u8>, ImageProblem>;

    /// Hashes the identity of image `i` without reading its content.
    fn identify(&self, i: usize, hash: &mut Sha256);

    /// Hashes the identity of the whole source, for sources where [`Encoded::identify`] does not suffice.
    fn identify_source(&self, _hash: &mut Sha256) {}
}

/// Hashes a file's name within the set and its length.
fn identify_file(name: &Path, bytes: u64, hash: &mut Sha256) {
    let name = name.as_os_str().as_encoded_bytes();
    hash.update((name.len() as u64).to_le_bytes());
    hash.update(name);
    hash.update(bytes.to_le_bytes());
}

impl Source {
    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.labels.len(),
            Self::Encoded(encoded) => encoded.images.len(),
        }
    }

    /// 1 (gray) or 3 (RGB).
    pub(crate) fn channels(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.channels,
            Self::Encoded(encoded) => encoded.channels,
        }
    }

    /// Class index of image `i`.
    pub(crate) fn label(&self, i: usize) -> u32 {
        match self {
            Self::Packed(packed) => packed.labels[i],
            Self::Encoded(encoded) => encoded.images.label(i),
        }
    }

    /// How messages refer to image `i`.
    pub(crate) fn path(&self, i: usize) -> PathBuf {
        match self {
            Self::Packed(_) => format!("image {i} in memory").into(),
            Self::Encoded(encoded) => encoded.images.path(i),
        }
    }
}
