//! The splits of a labelled image set: train, validation and test.

use std::sync::Arc;

use rand::seq::SliceRandom;

use crate::error::DataError;
use crate::random::{Purpose, stream};
use crate::set::{ImageSet, ReadConfig};
use crate::view::augment::Framing;
use crate::view::canvas::Interpolation;
use crate::view::normalise::Normalisation;

/// A labelled image set in three disjoint splits.
#[derive(Debug, Clone)]
pub struct Splits {
    /// For learning weights.
    pub train: ImageSet,
    /// For choosing architectures, epochs and settings.
    pub validation: ImageSet,
    /// For the final numbers, measured once.
    pub test: ImageSet,
    /// Class names; a label is an index into this list.
    pub classes: Vec<String>,
    /// 1 (gray) or 3 (RGB).
    pub channels: usize,
    /// Mean per channel, for pixel values scaled to 0..=1.
    pub mean: Vec<f32>,
    /// Standard deviation per channel, for pixel values scaled to 0..=1.
    pub std: Vec<f32>,
}

/// The splits of a photograph set as published.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) train: ImageSet,
    pub(crate) val: ImageSet,
    pub(crate) test: Option<ImageSet>,
    pub(crate) classes: Vec<String>,
}

/// Mean and standard deviation of the ImageNet train set, customary for colour photographs.
const RGB_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const RGB_STD: [f32; 3] = [0.229, 0.224, 0.225];
/// The same for luma, weighted by 0.299, 0.587, 0.114. The standard deviation assumes perfectly correlated channels,
/// which nearly holds in photographs.
const LUMA_MEAN: f32 = 0.4590;
const LUMA_STD: f32 = 0.2256;

impl Parts {
    /// The splits present, by name, and the class names.
    pub(crate) fn named(self) -> (Vec<(&'static str, ImageSet)>, Vec<String>) {
        let test = self.test.map(|test| ("test", test));
        ([("train", self.train), ("val", self.val)].into_iter().chain(test).collect(), self.classes)
    }

    /// With a test split, val becomes validation. Without one, val becomes test, and [`hold_out`] takes a tenth of
    /// train for validation, at most about [`Splits::MAX_HELD_OUT`] images, chosen by `seed`.
    pub(crate) fn split(self, channels: usize, seed: u64) -> Result<Splits, DataError> {
        let (mean, std) = match channels {
            1 => (vec![LUMA_MEAN], vec![LUMA_STD]),
            3 => (RGB_MEAN.to_vec(), RGB_STD.to_vec()),
            _ => return Err(DataError::invalid("channels", channels, "1 (gray) or 3 (RGB)")),
        };
        let Self { train, val, test, classes } = self;
        let (train, validation, test) = match test {
            Some(test) => (train, val, test),
            None => {
                let images = (train.len() / 10).min(Splits::MAX_HELD_OUT);
                let (train, validation) = hold_out(&train, images, seed);
                (train, validation, val)
            }
        };
        if validation.is_empty() {
            let expected = "at least 2 (one is held out for validation), or a `test` directory";
            return Err(DataError::invalid("number of train images per class", 1, expected));
        }
        Ok(Splits { train, validation, test, classes, channels, mean, std })
    }
}

impl Splits {
    /// Images held out of a large train for validation if a photograph set has no test split. The actual number can
    /// differ: every class gives its rounded share, but at least one image, so many small classes give more.
    pub const MAX_HELD_OUT: usize = 10_000;

    /// Normalisation by `mean` and `std`.
    ///
    /// # Panics
    /// If `mean` and `std` differ in length or a standard deviation is not positive.
    pub fn normalisation(&self) -> Normalisation {
        Normalisation::new(&self.mean, &self.std)
    }

    /// The same images with another framing for evaluation.
    pub fn with_framing(self, framing: Framing) -> Self {
        self.map(|set| set.with_framing(framing))
    }

    /// The same images with another interpolation for resizing.
    pub fn with_interpolation(self, interpolation: Interpolation) -> Self {
        self.map(|set| set.with_interpolation(interpolation))
    }

    /// The same images with another read configuration; every split counts its own broken images.
    ///
    /// # Errors
    /// [`DataError::Invalid`] for a fraction outside 0..=1.
    pub fn with_reading(self, config: ReadConfig) -> Result<Self, DataError> {
        config.broken.validate()?;
        Ok(self.map(|set| set.with_reading_after(config, 0)))
    }

    fn map(mut self, change: impl Fn(ImageSet) -> ImageSet) -> Self {
        for set in [&mut self.train, &mut self.validation, &mut self.test] {
            *set = change(set.clone());
        }
        self
    }
}

/// Splits `set`, which must be a whole source, into (rest, held out), both in the order of `set`.
///
/// Stratified: every class gives its rounded share of `images`, but at least one image and never its last one, so the
/// total may differ from `images`. The choice depends on `seed` alone.
pub(crate) fn hold_out(set: &ImageSet, images: usize, seed: u64) -> (ImageSet, ImageSet) {
    let mut classes: Vec<Vec<u32>> = Vec::new();
    for i in 0..set.len() {
        let label = set.label(i);
        if label >= classes.len() {
            classes.resize_with(label + 1, Vec::new);
        }
        classes[label].push(i as u32);
    }
    let mut is_held = vec![false; set.len()];
    for (class, mut members) in classes.into_iter().enumerate() {
        let share = (members.len() * images + set.len() / 2) / set.len();
        let all_but_one = members.len().saturating_sub(1);
        let quota = share.max(1).min(all_but_one);
        members.shuffle(&mut stream(seed, Purpose::HoldOut, &[class as u64]));
        for &member in &members[..quota] {
            is_held[member as usize] = true;
        }
    }
    let of = |held: bool| -> Arc<[u32]> { (0..set.len() as u32).filter(|&i| is_held[i as usize] == held).collect() };
    (set.part(of(false)), set.part(of(true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::samples::tiny_set;

    fn first_pixels(set: &ImageSet) -> Vec<u8> {
        (0..set.len()).map(|i| set.get(i).unwrap().pixels[0]).collect()
    }

    #[test]
    fn parts_are_disjoint_complete_stratified_and_seeded() {
        let set = tiny_set(15, 3);
        let (rest, held) = hold_out(&set, 6, 7);
        assert_eq!((rest.len(), held.len()), (9, 6));
        for class in 0..3 {
            assert_eq!((0..held.len()).filter(|&i| held.label(i) == class).count(), 2);
        }
        let mut all = [first_pixels(&rest), first_pixels(&held)].concat();
        all.sort_unstable();
        assert_eq!(all, first_pixels(&set));
        assert_eq!(first_pixels(&hold_out(&set, 6, 7).1), first_pixels(&held));
        assert_ne!(first_pixels(&hold_out(&set, 6, 8).1), first_pixels(&held));
    }

    #[test]
    fn a_small_class_gives_one_image_and_keeps_one() {
        // two images per class, 1 asked for: each class gives one
        let (rest, held) = hold_out(&tiny_set(6, 3), 1, 0);
        assert_eq!((rest.len(), held.len()), (3, 3));
        // one image per class: none can be spared
        let (rest, held) = hold_out(&tiny_set(3, 3), 2, 0);
        assert_eq!((rest.len(), held.len()), (3, 0));
    }
}
