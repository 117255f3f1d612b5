//! Fashion-MNIST, the embedded default data set.

use std::path::Path;
#[cfg(feature = "embedded")]
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::error::{DataError, IdxProblem};
use crate::layout::idx;
use crate::set::ImageSet;
use crate::source::Source;
use crate::source::packed::PackedImages;
use crate::split::{Splits, held_out_note, hold_out, share};
use crate::view::augment::Framing;

/// Fashion-MNIST (Xiao, Rasul, Vollgraf, arXiv:1708.07747): 28 x 28 gray images of articles of clothing in ten balanced
/// classes.
///
/// Its four files are part of the source tree, not of a published crate. They are read from there at run time and verified by checksum. They are
/// not compiled in: that would add 31 MB to every binary and seconds to every build of this crate.
#[derive(Debug, Clone, Copy)]
pub struct FashionMnist;

/// Image file and label file of a split, and the number of items in each.
struct Part {
    images: File,
    labels: File,
    count: usize,
}

struct File {
    name: &'static str,
    sha256: &'static str,
}

const TRAIN: Part = Part {
    images: File {
        name: "train-images-idx3-ubyte.gz",
        sha256: "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    },
    labels: File {
        name: "train-labels-idx1-ubyte.gz",
        sha256: "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    },
    count: 60_000,
};

const TEST: Part = Part {
    images: File {
        name: "t10k-images-idx3-ubyte.gz",
        sha256: "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    },
    labels: File {
        name: "t10k-labels-idx1-ubyte.gz",
        sha256: "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    },
    count: 10_000,
};

impl FashionMnist {
    /// Width and height of the images in pixels.
    pub const SIZE: usize = 28;

    /// Class names, indexed by label.
    pub const CLASSES: [&str; 10] =
        ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

    /// Number of the 60,000 train images held out for validation.
    pub const VALIDATION: usize = 10_000;

    const MEAN: f32 = 0.2860;
    const STD: f32 = 0.3530;

    /// Directory of the files in the source tree this crate was built from. Needs the feature `embedded`.
    #[cfg(feature = "embedded")]
    pub fn directory() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fashion-mnist")
    }

    /// Reads the four files from [`FashionMnist::directory`]; see [`FashionMnist::load`]. Needs the feature `embedded`.
    ///
    /// # Errors
    /// As [`FashionMnist::load`].
    #[cfg(feature = "embedded")]
    pub fn embedded(seed: u64) -> Result<Splits, DataError> {
        Self::load(Self::directory(), seed)
    }

    /// Reads the four files from `dir`: 50,000 train, 10,000 validation (1,000 per class, chosen by `seed` and held out
    /// of the published train set) and 10,000 test images.
    ///
    /// # Errors
    /// If a file is missing, unreadable, or differs from the published one.
    pub fn load(dir: impl AsRef<Path>, seed: u64) -> Result<Splits, DataError> {
        Self::load_with(dir.as_ref(), seed, None)
    }

    /// Whether a label file in `dir` is that of Fashion-MNIST. Other sets have files of the same names.
    pub(crate) fn is_in(dir: &Path) -> bool {
        [TRAIN.labels, TEST.labels].iter().any(|file| {
            std::fs::read(dir.join(file.name)).is_ok_and(|bytes| hex::encode(Sha256::digest(&bytes)) == file.sha256)
        })
    }

    pub(crate) fn load_with(dir: &Path, seed: u64, fraction: Option<f64>) -> Result<Splits, DataError> {
        let (train, test) = rayon::join(|| TRAIN.read(dir), || TEST.read(dir));
        let train = train?;
        let images = fraction.map_or(Self::VALIDATION, |_| share(train.len(), fraction));
        let (train, validation) = hold_out(&train, images, seed);
        let notes = vec![held_out_note(validation.len(), seed)];
        Ok(Splits {
            train,
            validation,
            test: test?,
            classes: Self::CLASSES.map(String::from).to_vec(),
            channels: 1,
            mean: vec![Self::MEAN],
            std: vec![Self::STD],
            notes,
        })
    }
}

impl Part {
    fn read(&self, dir: &Path) -> Result<ImageSet, DataError> {
        let size = FashionMnist::SIZE;
        let labels = self.labels.parse(dir, |gz| idx::labels(gz, self.count, FashionMnist::CLASSES.len()))?;
        let pixels = self.images.parse(dir, |gz| idx::images(gz, [self.count, size, size]))?;
        let checksum = format!("{} {}", self.images.sha256, self.labels.sha256);
        let packed = PackedImages { width: size, height: size, channels: 1, pixels, labels, checksum };
        Ok(ImageSet::new(Source::Packed(packed), Framing::Whole))
    }
}

impl File {
    fn parse<T>(&self, dir: &Path, parse: impl Fn(&[u8]) -> Result<T, IdxProblem>) -> Result<T, DataError> {
        let path = dir.join(self.name);
        let bytes = idx::read_verified(&path, self.sha256)?;
        parse(&bytes).map_err(|problem| DataError::Idx { path, problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::fs;

    fn per_class(set: &ImageSet) -> Vec<usize> {
        let mut counts = vec![0; 10];
        (0..set.len()).for_each(|i| counts[set.label(i)] += 1);
        counts
    }

    fn pixels(set: &ImageSet) -> impl Iterator<Item = Vec<u8>> + '_ {
        (0..set.len()).map(|i| set.get(i).unwrap().pixels)
    }

    #[test]
    fn the_embedded_set_is_the_published_one() {
        let splits = FashionMnist::embedded(1).unwrap();
        assert_eq!(per_class(&splits.train), [5000; 10]);
        assert_eq!(per_class(&splits.validation), [1000; 10]);
        assert_eq!(per_class(&splits.test), [1000; 10]);
        assert_eq!((splits.classes.len(), splits.channels), (10, 1));

        // Train and validation together are the 60,000 images: their mean and standard deviation are the published
        // ones.
        let mut histogram = [0u64; 256];
        for image in pixels(&splits.train).chain(pixels(&splits.validation)) {
            image.iter().for_each(|&value| histogram[usize::from(value)] += 1);
        }
        let moment = |power| -> f64 {
            let sum: f64 = (0..256).map(|v| histogram[v] as f64 * (v as f64 / 255.0).powi(power)).sum();
            sum / histogram.iter().sum::<u64>() as f64
        };
        assert_eq!(histogram.iter().sum::<u64>(), 60_000 * 28 * 28);
        assert!((moment(1) - f64::from(splits.mean[0])).abs() < 1e-4);
        assert!(((moment(2) - moment(1).powi(2)).sqrt() - f64::from(splits.std[0])).abs() < 1e-4);
    }

    #[test]
    fn validation_is_held_out_by_seed() {
        let [one, same, other] = [1, 1, 2].map(|seed| FashionMnist::embedded(seed).unwrap());
        assert_eq!(one.validation.fingerprint(), same.validation.fingerprint());
        assert_eq!(one.train.fingerprint(), same.train.fingerprint());
        assert_ne!(one.validation.fingerprint(), other.validation.fingerprint());
        assert_eq!(one.test.fingerprint(), other.test.fingerprint());
        // No validation image is left in train, except the few that Fashion-MNIST contains twice.
        let mut in_train = HashMap::new();
        pixels(&one.train).for_each(|image| *in_train.entry(image).or_insert(0) += 1);
        let both = pixels(&one.validation).filter(|image| in_train.contains_key(image)).count();
        assert!(both < 60, "{both} images are both in train and validation");
    }

    #[test]
    fn missing_and_damaged_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let message = || FashionMnist::load(dir.path(), 1).unwrap_err().to_string();
        assert!(message().contains("train-labels-idx1-ubyte.gz not found"), "{}", message());
        for part in [TRAIN, TEST] {
            for name in [part.images.name, part.labels.name] {
                fs::copy(FashionMnist::directory().join(name), dir.path().join(name)).unwrap();
            }
        }
        assert_eq!(FashionMnist::load(dir.path(), 1).unwrap().train.len(), 50_000);
        let damaged = dir.path().join(TEST.labels.name);
        let mut bytes = fs::read(&damaged).unwrap();
        bytes[1000] ^= 1;
        fs::write(&damaged, bytes).unwrap();
        assert!(message().contains("t10k-labels-idx1-ubyte.gz: sha-256 is "), "{}", message());
        assert!(message().contains(TEST.labels.sha256), "{}", message());
    }
}
