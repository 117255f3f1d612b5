//! Sets of labelled images.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::broken::{BrokenImage, BrokenImages, BrokenRecord};
use crate::cache::Cache;
use crate::decode::picture::Picture;
use crate::decode::{Damage, DecodeConfig, Image, MAX_PIXELS};
use crate::error::{DataError, ImageProblem};
use crate::random::{Purpose, stream};
use crate::source::{ImageSource, MAX_CLASSES, ReadImages, Source, StoredImage};
use crate::view::augment::Framing;
use crate::view::canvas::Interpolation;

/// A list of labelled images. Cheap to clone: images or file names are shared.
#[derive(Debug, Clone)]
pub struct ImageSet {
    source: Arc<Source>,
    /// Positions in the source; the splits of a set share one source.
    members: Arc<[u32]>,
    framing: Framing,
    interpolation: Interpolation,
    reading: Arc<Reading>,
}

/// How the images of a set are read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadConfig {
    /// Policy for broken images.
    pub broken: BrokenImages,
    /// Memory for caching decoded images, in MiB per set; 0 disables the cache.
    pub cache_mib: usize,
    /// Largest number of pixels of an image; see [`DecodeConfig::max_pixels`].
    #[serde(skip_serializing_if = "is_default_limit")]
    pub max_pixels: usize,
    /// Whether images are turned as their EXIF data says; see [`DecodeConfig::apply_orientation`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub apply_orientation: bool,
}

impl Default for ReadConfig {
    fn default() -> Self {
        let DecodeConfig { max_pixels, apply_orientation } = DecodeConfig::default();
        Self { broken: BrokenImages::default(), cache_mib: 0, max_pixels, apply_orientation }
    }
}

impl ReadConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// [`DataError::Invalid`] for a fraction outside 0..=1 or a limit of no pixels.
    pub fn validate(self) -> Result<(), DataError> {
        self.broken.validate()?;
        self.decoding().validate()
    }

    /// How the images are decoded.
    pub(crate) fn decoding(self) -> DecodeConfig {
        DecodeConfig { max_pixels: self.max_pixels, apply_orientation: self.apply_orientation }
    }
}

impl From<BrokenImages> for ReadConfig {
    fn from(broken: BrokenImages) -> Self {
        Self { broken, ..Self::default() }
    }
}

fn is_default_limit(max_pixels: &usize) -> bool {
    *max_pixels == MAX_PIXELS
}

/// State shared by all clones and subsets of a set.
#[derive(Debug)]
struct Reading {
    broken: BrokenRecord,
    cache: Option<Cache>,
    decoding: DecodeConfig,
}

impl ImageSet {
    pub(crate) fn new(source: Source, framing: Framing) -> Self {
        let members: Arc<[u32]> = (0..source.len() as u32).collect();
        let broken = BrokenRecord::new(BrokenImages::Fail, members.len());
        let reading = Reading { broken, cache: None, decoding: DecodeConfig::default() };
        let interpolation = Interpolation::default();
        Self { source: Arc::new(source), members, framing, interpolation, reading: Arc::new(reading) }
    }

    /// The images of a data set of your own, converted to 1 (gray) or 3 (RGB) `channels`, and framed as photographs: the
    /// centre is cut out for evaluation, unless [`ImageSet::with_framing`] says otherwise.
    ///
    /// # Errors
    /// [`DataError::Invalid`] for another number of channels, more than 2^32 images, or a label that cannot be a class
    /// index.
    pub fn from_source(source: impl ImageSource + 'static, channels: usize) -> Result<Self, DataError> {
        if !matches!(channels, 1 | 3) {
            return Err(DataError::invalid("channels", channels, "1 (gray) or 3 (RGB)"));
        }
        if u32::try_from(source.len()).is_err() {
            return Err(DataError::invalid("number of images", source.len(), "at most 4294967295"));
        }
        if let Some((i, label)) = (0..source.len()).map(|i| (i, source.label(i))).find(|(_, l)| *l >= MAX_CLASSES) {
            let name = source.path(i).display().to_string();
            return Err(DataError::invalid("label", label, format!("below {MAX_CLASSES} (of {name})")));
        }
        Ok(Self::read(source, channels))
    }

    /// [`ImageSet::from_source`] for a source whose labels have been checked.
    pub(crate) fn read(images: impl ImageSource + 'static, channels: usize) -> Self {
        Self::new(Source::Read(ReadImages { images: Box::new(images), channels }), Framing::CenterCrop)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether the set has no images.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Channels of every image: 1 (gray) or 3 (RGB).
    pub fn channels(&self) -> usize {
        self.source.channels()
    }

    /// Which part of an image [`View::Evaluate`](crate::View::Evaluate) shows.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The same images with another framing for evaluation.
    pub fn with_framing(self, framing: Framing) -> Self {
        Self { framing, ..self }
    }

    /// How the images are resized, in training and in evaluation.
    pub fn interpolation(&self) -> Interpolation {
        self.interpolation
    }

    /// The same images with another interpolation for resizing.
    pub fn with_interpolation(self, interpolation: Interpolation) -> Self {
        Self { interpolation, ..self }
    }

    /// The same images with another read configuration. The count of broken images restarts; this set and all its
    /// clones and subsets share it.
    ///
    /// # Errors
    /// As [`ReadConfig::validate`].
    pub fn with_reading(self, config: ReadConfig) -> Result<Self, DataError> {
        config.validate()?;
        Ok(self.with_reading_after(config, 0))
    }

    /// [`ImageSet::with_reading`] for a valid policy; `earlier` broken images were already skipped and are not read
    /// again.
    pub(crate) fn with_reading_after(self, config: ReadConfig, earlier: usize) -> Self {
        let cache = (config.cache_mib > 0).then(|| Cache::new(self.source.len(), config.cache_mib << 20));
        let broken = BrokenRecord::new(config.broken, self.len()).after(earlier);
        Self { reading: Arc::new(Reading { broken, cache, decoding: config.decoding() }), ..self }
    }

    /// How the images are decoded.
    pub(crate) fn decoding(&self) -> DecodeConfig {
        self.reading.decoding
    }

    /// Broken images found so far and skipped or shown in part; see [`BrokenImages`].
    pub fn broken(&self) -> Vec<BrokenImage> {
        self.reading.broken.met()
    }

    /// Checks that no more of the images read so far are skipped than allowed. Call it after a batch, not while one is
    /// being made.
    ///
    /// # Errors
    /// [`DataError::TooManyBroken`].
    pub(crate) fn check_broken(&self) -> Result<(), DataError> {
        self.reading.broken.check()
    }

    /// Class index of image `i`.
    ///
    /// # Panics
    /// If `i` is out of range.
    pub fn label(&self, i: usize) -> usize {
        self.source.label(self.members[i] as usize) as usize
    }

    /// How messages refer to image `i`: its file, or its archive and its name there.
    ///
    /// # Panics
    /// If `i` is out of range.
    pub fn path(&self, i: usize) -> PathBuf {
        self.source.path(self.members[i] as usize)
    }

    /// Reads and decodes image `i`.
    ///
    /// # Errors
    /// [`DataError::Image`] with the file name if the image is unreadable or damaged. In-memory sets never fail.
    ///
    /// # Panics
    /// If `i` is out of range.
    pub fn get(&self, i: usize) -> Result<Image, DataError> {
        let member = self.members[i] as usize;
        let image = match &*self.source {
            Source::Packed(packed) => Ok(packed.image(member)),
            Source::Read(read) => guarded(|| read.image(member, Damage::Refuse, self.reading.decoding)),
        };
        image.map_err(|problem| DataError::Image { path: self.path(i), problem })
    }

    /// The stored bytes of image `i`.
    #[cfg(test)]
    pub(crate) fn bytes(&self, i: usize) -> Result<Vec<u8>, ImageProblem> {
        self.stored_bytes(self.members[i] as usize)
    }

    fn stored_bytes(&self, member: usize) -> Result<Vec<u8>, ImageProblem> {
        match &*self.source {
            Source::Read(read) => match read.images.read(member)? {
                StoredImage::Encoded(bytes) => Ok(bytes),
                StoredImage::Decoded(_) => panic!("a decoded image has no stored bytes"),
            },
            Source::Packed(_) => panic!("a set in memory has no stored bytes"),
        }
    }

    /// Applies `look` to the stored bytes of image `i`. Returns `None` if the image is broken and skipped. With the
    /// lenient policy, `look` is called a second time on a broken image. Panics for images that are stored decoded.
    ///
    /// # Errors
    /// If the image is broken and the policy does not allow it.
    pub(crate) fn show_bytes<T>(
        &self,
        i: usize,
        look: impl Fn(&[u8], Damage) -> Result<T, ImageProblem>,
    ) -> Result<Option<T>, DataError> {
        let member = self.members[i] as usize;
        let shown = |damage| guarded(|| look(&self.stored_bytes(member)?, damage));
        self.accept(member, shown(Damage::Refuse), || shown(Damage::Show))
    }

    /// Applies `view` to image `i`. Returns `None` if the image is broken and skipped.
    ///
    /// # Errors
    /// If the image is broken and the policy does not allow it.
    pub(crate) fn show<T>(
        &self,
        i: usize,
        mut view: impl FnMut(&Picture) -> Result<T, ImageProblem>,
    ) -> Result<Option<T>, DataError> {
        let member = self.members[i] as usize;
        let shown = guarded(|| view(&self.picture(member)?));
        self.accept(member, shown, || guarded(|| view(&Picture::Whole(self.remains(member)?))))
    }

    /// Applies the policy if `shown` failed; `remains` is the lenient second attempt.
    fn accept<T>(
        &self,
        member: usize,
        shown: Result<T, ImageProblem>,
        remains: impl FnOnce() -> Result<T, ImageProblem>,
    ) -> Result<Option<T>, DataError> {
        let problem = match shown {
            Ok(shown) => return Ok(Some(shown)),
            Err(problem) => problem,
        };
        let broken = BrokenImage { path: self.source.path(member), problem };
        let record = &self.reading.broken;
        if record.policy == BrokenImages::Lenient
            && let Ok(shown) = remains()
        {
            record.note(member, broken);
            return Ok(Some(shown));
        }
        record.leave_out(member, broken).map(|()| None)
    }

    fn picture(&self, member: usize) -> Result<Picture, ImageProblem> {
        let read = match &*self.source {
            Source::Packed(packed) => return Ok(Picture::Whole(Arc::new(packed.image(member)))),
            Source::Read(read) => read,
        };
        let decoding = self.reading.decoding;
        let Some(cache) = &self.reading.cache else { return read.picture(member, decoding) };
        if let Some(image) = cache.get(member) {
            return Ok(Picture::Whole(image));
        }
        let image = Arc::new(read.image(member, Damage::Refuse, decoding)?);
        cache.keep(member, &image);
        Ok(Picture::Whole(image))
    }

    /// The decodable part of a broken image.
    fn remains(&self, member: usize) -> Result<Arc<Image>, ImageProblem> {
        match &*self.source {
            Source::Packed(packed) => Ok(Arc::new(packed.image(member))),
            Source::Read(read) => Ok(Arc::new(read.image(member, Damage::Show, self.reading.decoding)?)),
        }
    }

    /// `n` images (all, if there are fewer) chosen by `seed`: the first `n` of a random order, so a smaller subset with
    /// the same seed is contained in a larger one.
    pub fn subset(&self, n: usize, seed: u64) -> Self {
        let mut members = self.members.to_vec();
        members.shuffle(&mut stream(seed, Purpose::Subset, &[]));
        members.truncate(n);
        self.part(members.into())
    }

    /// The images at the given positions of the source; `self` must be a whole set.
    pub(crate) fn part(&self, members: Arc<[u32]>) -> Self {
        Self { members, ..self.clone() }
    }

    /// SHA-256, in hexadecimal, of the labels and image identities, in order: equal fingerprints mean equal sets.
    /// In-memory images are identified by the checksums of their files, others by path within the set and size, because
    /// reading all of ImageNet would take hours; those of other sources by [`ImageSource::identity`].
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        match &*self.source {
            Source::Packed(packed) if packed.channels == 1 => hash.update(&packed.checksum),
            Source::Packed(packed) => hash.update(format!("{}, channels {}", packed.checksum, packed.channels)),
            Source::Read(read) => {
                hash.update(format!("files, channels {}", read.channels));
                hash.update(read.images.source_identity());
            }
        }
        for &member in &*self.members {
            hash.update(self.source.label(member as usize).to_le_bytes());
            match &*self.source {
                Source::Packed(_) => hash.update(member.to_le_bytes()),
                Source::Read(read) => hash.update(read.images.identity(member as usize)),
            }
        }
        hex::encode(hash.finalize())
    }
}

/// Turns a decoder panic into a problem of the image.
fn guarded<T>(look: impl FnOnce() -> Result<T, ImageProblem>) -> Result<T, ImageProblem> {
    // Unwind safety: a panic leaves behind only a canvas or decoder, which is set up again for every image.
    catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|panic| Err(ImageProblem::Panicked(panic_message(&*panic))))
}

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// Sample sets for the tests of this crate.
#[cfg(test)]
pub(crate) mod samples {
    use std::path::Path;

    use super::*;
    use crate::source::files::{ImageFile, ImageFiles};
    use crate::source::packed::PackedImages;

    /// `count` gray 4 x 4 images: pixel `p` of image `i` is `16 i + p`, its label `i % classes`.
    pub(crate) fn tiny_set(count: usize, classes: u32) -> ImageSet {
        let pixels = (0..count).flat_map(|i| (0..16).map(move |p| (16 * i + p) as u8)).collect();
        let labels = (0..count as u32).map(|i| i % classes).collect();
        let checksum = format!("tiny {count}");
        let packed = PackedImages { width: 4, height: 4, channels: 1, pixels, labels, checksum };
        ImageSet::new(Source::Packed(packed), Framing::Whole)
    }

    /// Writes the given files (name, content) to `root` and lists them as a set; all are of class 0.
    pub(crate) fn file_set(root: &Path, files: &[(&str, &[u8])], channels: usize) -> ImageSet {
        let listed = |(name, bytes): &(&str, &[u8])| {
            std::fs::write(root.join(name), bytes).unwrap();
            ImageFile { path: Path::new(name).into(), bytes: bytes.len() as u64, label: 0 }
        };
        let files = ImageFiles { root: root.to_owned(), files: files.iter().map(listed).collect() };
        ImageSet::read(files, channels)
    }
}

#[cfg(test)]
mod tests;
