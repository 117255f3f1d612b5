//! Where the images of a set lie.

pub(crate) mod archive;
pub(crate) mod files;
pub(crate) mod packed;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::ImageProblem;
use packed::PackedImages;

/// Where the images of a set come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Images of one size, decoded, in memory.
    Packed(PackedImages),
    /// JPEG and PNG images, read and decoded whenever they are asked for.
    Encoded(EncodedImages),
}

/// Encoded images and what they are decoded to.
#[derive(Debug)]
pub(crate) struct EncodedImages {
    pub(crate) images: Box<dyn Encoded>,
    /// 1 or 3: what every image is converted to.
    pub(crate) channels: usize,
}

/// Labelled JPEG and PNG images that are read one by one, from any thread.
pub(crate) trait Encoded: Debug + Send + Sync {
    /// Number of images.
    fn len(&self) -> usize;

    /// Class index of image `i`.
    fn label(&self, i: usize) -> u32;

    /// What messages call image `i`.
    fn path(&self, i: usize) -> PathBuf;

    /// The bytes of image `i` as they are stored.
    fn read(&self, i: usize) -> Result<Vec<u8>, ImageProblem>;

    /// Feeds what identifies image `i` without reading it.
    fn identify(&self, i: usize, hash: &mut Sha256);

    /// Feeds what identifies all images together, where single ones do not say enough.
    fn identify_source(&self, _hash: &mut Sha256) {}
}

/// Feeds what identifies a file of a set: its name there and its length.
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

    /// What messages call image `i`.
    pub(crate) fn path(&self, i: usize) -> PathBuf {
        match self {
            Self::Packed(_) => format!("image {i} in memory").into(),
            Self::Encoded(encoded) => encoded.images.path(i),
        }
    }
}
