//! An index of labelled images: where each image is, and its class.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};

use crate::augment::Framing;
use crate::decode::{Image, decode};
use crate::error::{DataError, ImageProblem};
use crate::seed::{self, Purpose};

/// A list of labelled images, cheap to clone: the images, or the names of their files, are shared.
#[derive(Debug, Clone)]
pub struct ImageSet {
    source: Arc<Source>,
    /// Positions in the source, so that the parts of a set share one source.
    members: Arc<[u32]>,
    framing: Framing,
}

/// Where the images of a set come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Images of one size, decoded, in memory.
    Packed(PackedImages),
    /// Image files, read and decoded whenever they are asked for.
    Files(ImageFiles),
}

#[derive(Debug)]
pub(crate) struct PackedImages {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// 1 (gray) or 3 (RGB).
    pub(crate) channels: usize,
    /// `[image, height, width, channels]`
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Vec<u32>,
    /// Names the content: the checksums of the files it came from.
    pub(crate) checksum: String,
}

#[derive(Debug)]
pub(crate) struct ImageFiles {
    pub(crate) root: PathBuf,
    /// Relative to `root`.
    pub(crate) files: Vec<ImageFile>,
    /// 1 or 3: what every image is converted to.
    pub(crate) channels: usize,
}

#[derive(Debug)]
pub(crate) struct ImageFile {
    /// Boxed: an index of a million files should not carry spare capacity.
    pub(crate) path: Box<Path>,
    pub(crate) bytes: u64,
    pub(crate) label: u32,
}

impl ImageSet {
    pub(crate) fn new(source: Source, framing: Framing) -> Self {
        let members = (0..source.len() as u32).collect();
        Self { source: Arc::new(source), members, framing }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Channels of every image: 1 (gray) or 3 (RGB).
    pub fn channels(&self) -> usize {
        match &*self.source {
            Source::Packed(packed) => packed.channels,
            Source::Files(files) => files.channels,
        }
    }

    /// Which part of an image [`View::Evaluate`](crate::View::Evaluate) shows.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The same images, framed in another way for evaluation.
    pub fn with_framing(self, framing: Framing) -> Self {
        Self { framing, ..self }
    }

    /// Class index of image `i`.
    ///
    /// # Panics
    /// If there is no image `i`.
    pub fn label(&self, i: usize) -> usize {
        self.source.label(self.members[i] as usize) as usize
    }

    /// Reads and decodes image `i`.
    ///
    /// # Errors
    /// [`DataError::Image`], with the name of the file, if it is not a readable, whole image. Sets in
    /// memory do not fail.
    ///
    /// # Panics
    /// If there is no image `i`.
    pub fn get(&self, i: usize) -> Result<Image, DataError> {
        let member = self.members[i] as usize;
        match &*self.source {
            Source::Packed(packed) => Ok(packed.image(member)),
            Source::Files(files) => files.image(member),
        }
    }

    /// `n` images (all, if there are fewer) chosen by `seed`: the first `n` of a random order, so a
    /// smaller subset by the same seed is part of a larger one.
    pub fn subset(&self, n: usize, seed: u64) -> Self {
        let mut members = self.members.to_vec();
        members.shuffle(&mut seed::rng(Purpose::Subset, &[seed]));
        members.truncate(n);
        self.part(members.into())
    }

    /// The images at these positions of the source, which must be a whole set.
    pub(crate) fn part(&self, members: Arc<[u32]>) -> Self {
        Self { members, ..self.clone() }
    }

    /// SHA-256, in hexadecimal, over the labels and what identifies the images, in order: equal
    /// fingerprints mean equal sets. Images in memory are identified by the checksums of their files,
    /// image files by path within the set and size (reading them all would take hours for ImageNet).
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        match &*self.source {
            Source::Packed(packed) if packed.channels == 1 => hash.update(&packed.checksum),
            Source::Packed(packed) => hash.update(format!("{}, channels {}", packed.checksum, packed.channels)),
            Source::Files(files) => hash.update(format!("files, channels {}", files.channels)),
        }
        for &member in &*self.members {
            hash.update(self.source.label(member as usize).to_le_bytes());
            match &*self.source {
                Source::Packed(_) => hash.update(member.to_le_bytes()),
                Source::Files(files) => files.files[member as usize].identify(&mut hash),
            }
        }
        hexadecimal(&hash.finalize())
    }
}

impl Source {
    fn len(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.labels.len(),
            Self::Files(files) => files.files.len(),
        }
    }

    fn label(&self, member: usize) -> u32 {
        match self {
            Self::Packed(packed) => packed.labels[member],
            Self::Files(files) => files.files[member].label,
        }
    }
}

impl PackedImages {
    fn image(&self, member: usize) -> Image {
        let size = self.width * self.height * self.channels;
        let pixels = self.pixels[member * size..(member + 1) * size].to_vec();
        Image { width: self.width, height: self.height, channels: self.channels, pixels }
    }
}

impl ImageFiles {
    fn image(&self, member: usize) -> Result<Image, DataError> {
        let path = self.root.join(&self.files[member].path);
        read_image(&path, self.channels).map_err(|problem| DataError::Image { path, problem })
    }
}

impl ImageFile {
    fn identify(&self, hash: &mut Sha256) {
        let path = self.path.as_os_str().as_encoded_bytes();
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path);
        hash.update(self.bytes.to_le_bytes());
    }
}

/// Reads and decodes an image file.
pub(crate) fn read_image(path: &Path, channels: usize) -> Result<Image, ImageProblem> {
    let unreadable = |error: std::io::Error| ImageProblem::Unreadable(error.to_string());
    // Opening a FIFO for reading would block for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ImageProblem::NotAFile);
    }
    decode(&fs::read(path).map_err(unreadable)?, channels)
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string");
        text
    })
}

/// Sets for the tests of this crate.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    /// `count` gray images of 4 x 4: pixel `p` of image `i` is `16 i + p`, its label `i % classes`.
    pub(crate) fn tiny_set(count: usize, classes: u32) -> ImageSet {
        let pixels = (0..count).flat_map(|i| (0..16).map(move |p| (16 * i + p) as u8)).collect();
        let labels = (0..count as u32).map(|i| i % classes).collect();
        let checksum = format!("tiny {count}");
        let packed = PackedImages { width: 4, height: 4, channels: 1, pixels, labels, checksum };
        ImageSet::new(Source::Packed(packed), Framing::Whole)
    }

    /// A set of one image file, which need not exist.
    pub(crate) fn one_file(root: &Path, name: &str, channels: usize) -> ImageSet {
        let files = vec![ImageFile { path: Path::new(name).into(), bytes: 1, label: 0 }];
        let files = ImageFiles { root: root.to_owned(), files, channels };
        ImageSet::new(Source::Files(files), Framing::CenterCrop)
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{one_file, tiny_set};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn images_and_labels_are_those_of_the_source() {
        let set = tiny_set(5, 3);
        assert_eq!((set.len(), set.channels(), set.is_empty()), (5, 1, false));
        assert_eq!((0..5).map(|i| set.label(i)).collect::<Vec<_>>(), [0, 1, 2, 0, 1]);
        let image = set.get(3).unwrap();
        assert_eq!((image.width, image.height, image.channels), (4, 4, 1));
        assert_eq!(image.pixels, (48..64).collect::<Vec<u8>>());
    }

    #[test]
    fn subsets_are_seeded_nested_and_without_repetition() {
        let set = tiny_set(12, 3);
        let (small, large) = (set.subset(4, 1), set.subset(9, 1));
        assert_eq!(large.members[..4], *small.members);
        assert_eq!(large.members.iter().collect::<BTreeSet<_>>().len(), 9);
        assert_ne!(set.subset(9, 2).members, large.members);
        assert_eq!(set.subset(100, 1).len(), 12);
        // a subset of a subset stays inside it
        let inner = large.subset(5, 8);
        assert!(inner.members.iter().all(|member| large.members.contains(member)));
    }

    #[test]
    fn fingerprints_follow_content_and_order() {
        let set = tiny_set(12, 3);
        assert_eq!(set.fingerprint(), tiny_set(12, 3).fingerprint());
        assert_eq!(set.fingerprint().len(), 64);
        let others = [tiny_set(12, 4), tiny_set(11, 3), set.subset(12, 1), set.subset(12, 2)];
        for other in &others {
            assert_ne!(set.fingerprint(), other.fingerprint());
        }
        let (a, b) = (Path::new("a"), Path::new("b"));
        assert_eq!(one_file(a, "x.png", 1).fingerprint(), one_file(b, "x.png", 1).fingerprint());
        assert_ne!(one_file(a, "x.png", 1).fingerprint(), one_file(a, "y.png", 1).fingerprint());
        assert_ne!(one_file(a, "x.png", 1).fingerprint(), one_file(a, "x.png", 3).fingerprint());
    }

    #[test]
    fn a_broken_file_is_named_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let set = one_file(dir.path(), "broken.jpg", 3);
        let message = |set: &ImageSet| set.get(0).unwrap_err().to_string();
        assert!(message(&set).contains("broken.jpg: cannot be read: No such file"), "{}", message(&set));
        let whole = include_bytes!("../fixtures/gradient_rgb.jpg");
        fs::write(dir.path().join("broken.jpg"), &whole[..400]).unwrap();
        assert!(message(&set).contains("broken.jpg: truncated after 400 bytes"), "{}", message(&set));
        fs::write(dir.path().join("broken.jpg"), whole).unwrap();
        assert_eq!(set.get(0).unwrap().width, 24);
    }
}
