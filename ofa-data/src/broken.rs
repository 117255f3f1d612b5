//! Broken images: the policy for them, and a record of those found.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::error::{DataError, ImageProblem};

/// Policy for images that cannot be read or decoded. A broken image is never replaced by another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BrokenImages {
    /// Return an error.
    #[default]
    Fail,
    /// Drop the image from its batch, which gets smaller, and count it; too many are an error.
    Skip {
        /// Largest fraction of a set's images that may be broken, 0 to 1.
        max_fraction: f64,
    },
    /// Show a damaged JPEG as far as it can be decoded, with whatever the decoder makes of the rest, and count it. An
    /// image that cannot be decoded at all is an error.
    Lenient,
}

/// A broken image found while reading a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenImage {
    /// Path of the image.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: ImageProblem,
}

impl BrokenImages {
    /// Checks the fraction.
    ///
    /// # Errors
    /// [`DataError::Invalid`] for a fraction outside 0..=1.
    pub fn validate(self) -> Result<(), DataError> {
        match self {
            Self::Skip { max_fraction } if !(0.0..=1.0).contains(&max_fraction) => {
                Err(DataError::invalid("skip.max_fraction", max_fraction, "0 to 1"))
            }
            _ => Ok(()),
        }
    }
}

/// The broken images found in a set, by their position in the source.
#[derive(Debug)]
pub(crate) struct BrokenRecord {
    pub(crate) policy: BrokenImages,
    /// Number of images in the set.
    images: usize,
    /// Broken images skipped by earlier attempts; they are not read again.
    earlier: usize,
    met: Mutex<BTreeMap<usize, BrokenImage>>,
}

impl BrokenRecord {
    pub(crate) fn new(policy: BrokenImages, images: usize) -> Self {
        Self { policy, images, earlier: 0, met: Mutex::default() }
    }

    /// Sets the number of images skipped earlier.
    pub(crate) fn after(self, earlier: usize) -> Self {
        Self { earlier, ..self }
    }

    /// Broken images so far, in source order.
    pub(crate) fn met(&self) -> Vec<BrokenImage> {
        self.lock().values().cloned().collect()
    }

    /// Records that `member` is broken but shown in part or skipped.
    pub(crate) fn note(&self, member: usize, broken: BrokenImage) {
        self.lock().insert(member, broken);
    }

    /// Applies the policy to `member`, which cannot be shown at all: skips it or returns the error. Whether too many
    /// are skipped is up to [`BrokenRecord::check`].
    pub(crate) fn leave_out(&self, member: usize, broken: BrokenImage) -> Result<(), DataError> {
        if let BrokenImages::Skip { .. } = self.policy {
            self.note(member, broken);
            return Ok(());
        }
        let BrokenImage { path, problem } = broken;
        Err(DataError::Image { path, problem })
    }

    /// Checks that no more images are skipped than allowed. Call it when all threads have finished a batch: the error
    /// must not depend on thread timing.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        let BrokenImages::Skip { max_fraction } = self.policy else { return Ok(()) };
        let (met, images) = (self.lock(), self.images);
        let broken = self.earlier + met.len();
        // Comparing with NaN is false: a NaN fraction allows none.
        let is_allowed = broken as f64 <= max_fraction * images as f64;
        match met.last_key_value() {
            Some((_, BrokenImage { path, problem })) if !is_allowed => {
                let (path, problem) = (path.clone(), problem.clone());
                Err(DataError::TooManyBroken { broken, images, max_fraction, path, problem })
            }
            _ => Ok(()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, BrokenImage>> {
        // Inserting cannot leave the map half-updated, so a poisoned lock is safe to use.
        self.met.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(name: &str) -> BrokenImage {
        BrokenImage { path: name.into(), problem: ImageProblem::Empty }
    }

    #[test]
    fn failing_names_the_image() {
        let record = BrokenRecord::new(BrokenImages::Fail, 10);
        assert_eq!(record.leave_out(3, broken("a.jpg")).unwrap_err().to_string(), "image a.jpg: empty file");
        assert_eq!(record.met(), []);
    }

    #[test]
    fn skipping_counts_every_image_once_up_to_the_fraction() {
        let record = BrokenRecord::new(BrokenImages::Skip { max_fraction: 0.2 }, 10);
        for (member, name) in [(7, "b"), (3, "a"), (7, "b")] {
            record.leave_out(member, broken(name)).unwrap();
            record.check().unwrap();
        }
        assert_eq!(record.met(), [broken("a"), broken("b")]);
        record.leave_out(9, broken("c")).unwrap();
        let message = record.check().unwrap_err().to_string();
        let expected = "3 of 10 images are broken, more than the fraction 0.2 that may be skipped; the last one is c: empty \
                        file";
        assert_eq!(message, expected);
    }

    #[test]
    fn what_is_reported_does_not_depend_on_who_was_first() {
        let messages = [[1, 4, 8], [8, 1, 4], [4, 8, 1]].map(|members| {
            let record = BrokenRecord::new(BrokenImages::Skip { max_fraction: 0.1 }, 10);
            members.iter().for_each(|&member| record.leave_out(member, broken(&format!("{member}.jpg"))).unwrap());
            record.check().unwrap_err().to_string()
        });
        assert!(messages[0].starts_with("3 of 10 ") && messages[0].ends_with("8.jpg: empty file"), "{}", messages[0]);
        assert!(messages.iter().all(|message| *message == messages[0]), "{messages:?}");
    }

    #[test]
    fn those_left_out_before_count() {
        let record = BrokenRecord::new(BrokenImages::Skip { max_fraction: 0.2 }, 10).after(1);
        record.leave_out(7, broken("b")).unwrap();
        record.leave_out(7, broken("b")).unwrap();
        record.check().unwrap();
        record.leave_out(4, broken("c")).unwrap();
        let message = record.check().unwrap_err().to_string();
        assert!(message.starts_with("3 of 10 images are broken"), "{message}");
    }

    #[test]
    fn a_fraction_that_is_no_number_allows_none() {
        let record = BrokenRecord::new(BrokenImages::Skip { max_fraction: f64::NAN }, 10);
        record.check().unwrap();
        record.leave_out(7, broken("b")).unwrap();
        assert!(record.check().is_err());
    }

    #[test]
    fn fractions_are_checked() {
        assert!(BrokenImages::Lenient.validate().is_ok());
        for max_fraction in [-0.1, 1.1, f64::NAN] {
            assert!(BrokenImages::Skip { max_fraction }.validate().is_err());
        }
    }
}
