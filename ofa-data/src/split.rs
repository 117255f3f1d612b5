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
    /// What should be said about the way the set was read, one line each.
    pub notes: Vec<String>,
}

/// The splits of a photograph set as published.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) train: ImageSet,
    pub(crate) val: Option<ImageSet>,
    pub(crate) test: Option<ImageSet>,
    pub(crate) classes: Vec<String>,
    pub(crate) notes: Vec<String>,
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
        let optional = [("val", self.val), ("test", self.test)];
        let optional = optional.into_iter().filter_map(|(name, set)| Some((name, set?)));
        ([("train", self.train)].into_iter().chain(optional).collect(), self.classes)
    }

    /// With val and test, they are the validation and test sets. One of them alone is the test set, and [`hold_out`]
    /// takes validation images from train, chosen by `seed`; with neither, as many test images too. `fraction` is that
    /// of train; see [`share`].
    pub(crate) fn split(self, channels: usize, seed: u64, fraction: Option<f64>) -> Result<Splits, DataError> {
        let (mean, std) = match channels {
            1 => (vec![LUMA_MEAN], vec![LUMA_STD]),
            3 => (RGB_MEAN.to_vec(), RGB_STD.to_vec()),
            _ => return Err(DataError::invalid("channels", channels, "1 (gray) or 3 (RGB)")),
        };
        let Self { train, val, test, classes, mut notes } = self;
        let images = share(train.len(), fraction);
        let too_few = |least: &str| {
            let expected = format!("at least {least}, or a `test` directory");
            DataError::invalid("number of train images per class", 1, expected)
        };
        let (train, validation, test) = match (val, test) {
            (Some(_), Some(_)) if fraction.is_some() => {
                let expected = "nothing: the set has validation and test images of its own";
                return Err(DataError::invalid("hold_out", fraction.unwrap_or_default(), expected));
            }
            (Some(val), Some(test)) => (train, val, test),
            (Some(only), None) | (None, Some(only)) => {
                let (train, validation) = hold_out(&train, images, seed);
                if validation.is_empty() {
                    return Err(too_few("2 (one is held out for validation)"));
                }
                notes.push(held_out_note(validation.len(), seed));
                (train, validation, only)
            }
            (None, None) => {
                let (train, [validation, test]) = held_out(&train, [images; 2], seed);
                if validation.is_empty() || test.is_empty() {
                    return Err(too_few("3 (one is held out for validation, one for testing)"));
                }
                let (count, tested) = (validation.len(), test.len());
                notes.push(format!(
                    "the set has no parts: {count} images are held out for validation and {tested} for testing, by \
                     seed {seed} (another fraction: --hold-out)"
                ));
                (train, validation, test)
            }
        };
        Ok(Splits { train, validation, test, classes, channels, mean, std, notes })
    }
}

/// How many of `images` train images are held out: a fraction of them or, by default, a tenth, at most
/// [`Splits::MAX_HELD_OUT`].
pub(crate) fn share(images: usize, fraction: Option<f64>) -> usize {
    match fraction {
        Some(fraction) => (images as f64 * fraction).round() as usize,
        None => (images / 10).min(Splits::MAX_HELD_OUT),
    }
}

/// What is said where only validation images are held out.
pub(crate) fn held_out_note(images: usize, seed: u64) -> String {
    format!("{images} images of train are held out for validation, by seed {seed}")
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
    /// As [`ReadConfig::validate`].
    pub fn with_reading(self, config: ReadConfig) -> Result<Self, DataError> {
        config.validate()?;
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
    let (rest, [held]) = held_out(set, [images], seed);
    (rest, held)
}

/// [`hold_out`] for several disjoint sets; the first of them is that of [`hold_out`].
fn held_out<const N: usize>(set: &ImageSet, images: [usize; N], seed: u64) -> (ImageSet, [ImageSet; N]) {
    let mut classes: Vec<Vec<u32>> = Vec::new();
    for i in 0..set.len() {
        let label = set.label(i);
        if label >= classes.len() {
            classes.resize_with(label + 1, Vec::new);
        }
        classes[label].push(i as u32);
    }
    // 0: not held out; k: held out for the k-th set.
    let mut held_for = vec![0u8; set.len()];
    for (class, mut members) in classes.into_iter().enumerate() {
        members.shuffle(&mut stream(seed, Purpose::HoldOut, &[class as u64]));
        let mut given = 0;
        for (k, images) in images.iter().enumerate() {
            let share = (members.len() * images + set.len() / 2) / set.len();
            let all_but_one = members.len().saturating_sub(given + 1);
            let quota = share.max(1).min(all_but_one);
            members[given..given + quota].iter().for_each(|&member| held_for[member as usize] = k as u8 + 1);
            given += quota;
        }
    }
    let of = |wanted: u8| -> Arc<[u32]> { (0..set.len() as u32).filter(|&i| held_for[i as usize] == wanted).collect() };
    (set.part(of(0)), std::array::from_fn(|k| set.part(of(k as u8 + 1))))
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
    fn d6_two_sets_can_be_held_out_and_the_first_is_that_of_one() {
        let set = tiny_set(15, 3);
        let (rest, [one, two]) = held_out(&set, [6, 3], 7);
        assert_eq!((rest.len(), one.len(), two.len()), (6, 6, 3));
        assert_eq!(first_pixels(&one), first_pixels(&hold_out(&set, 6, 7).1));
        let mut all = [first_pixels(&rest), first_pixels(&one), first_pixels(&two)].concat();
        all.sort_unstable();
        assert_eq!(all, first_pixels(&set));
        assert_eq!((share(600_000, None), share(50, None), share(50, Some(0.3))), (10_000, 5, 15));
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
