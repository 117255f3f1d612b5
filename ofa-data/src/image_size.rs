//! The size of the images of a set, by the headers of a sample.

use crate::error::DataError;
use crate::set::ImageSet;
use crate::split::Splits;
use crate::view::augment::AugmentConfig;

/// Images that are looked at.
const SAMPLE: usize = 64;

/// Images of a larger side are treated as photographs.
const SMALL: usize = 96;

impl Splits {
    /// The side of a typical training image in pixels: the median of the shorter sides of a sample, spread evenly over
    /// the set. Broken images do not count.
    ///
    /// # Errors
    /// That of the first image, if all of the sample are broken.
    pub fn typical_side(&self) -> Result<usize, DataError> {
        typical_side(&self.train)
    }
}

fn typical_side(set: &ImageSet) -> Result<usize, DataError> {
    let sampled = set.len().min(SAMPLE);
    let members = (0..sampled).map(|i| i * set.len() / sampled);
    let side = |member| set.show(member, |picture| Ok(picture.size())).map(|size| size.map_or(0, |(w, h)| w.min(h)));
    let (mut sides, mut first_error) = (Vec::new(), None);
    for side in members.map(side) {
        match side {
            Ok(side) => sides.push(side),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    sides.sort_unstable();
    match (sides.get(sides.len() / 2), first_error) {
        (None, Some(error)) => Err(error),
        (side, _) => Ok(side.copied().unwrap_or_default()),
    }
}

impl AugmentConfig {
    /// Whether images of this side are small pictures, which are shown whole, and no photographs.
    pub fn are_small(side: usize) -> bool {
        side <= SMALL
    }

    /// The augmentation for images of this side: [`AugmentConfig::photographs`], or shifts (which are crops of a padded
    /// image) and flips for small ones.
    pub fn for_side(side: usize) -> Self {
        match Self::are_small(side) {
            true => Self::small_images_of(side),
            false => Self::photographs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::samples::{file_set, tiny_set};
    use crate::view::augment::Geometry;

    const PNG: &[u8] = include_bytes!("../fixtures/photo.png");
    const JPEG: &[u8] = include_bytes!("../fixtures/gradient_rgb.jpg");

    #[test]
    fn the_median_of_the_shorter_sides_counts() {
        assert_eq!(typical_side(&tiny_set(300, 3)).unwrap(), 4);
        let dir = tempfile::tempdir().unwrap();
        let side = |files: &[(&str, &[u8])]| typical_side(&file_set(dir.path(), files, 3));
        assert_eq!(side(&[("a", PNG), ("b", JPEG), ("c", b"broken"), ("d", JPEG)]).unwrap(), 16);
        assert_eq!(side(&[("a", PNG), ("b", PNG), ("d", JPEG)]).unwrap(), 45);
        assert!(side(&[("a", b"broken"), ("b", b"")]).unwrap_err().to_string().contains("a: neither JPEG"));
    }

    #[test]
    fn small_images_are_shifted_and_photographs_cropped() {
        assert_eq!(AugmentConfig::for_side(28), AugmentConfig::small_images());
        assert_eq!(AugmentConfig::for_side(32), AugmentConfig::small_images());
        assert_eq!(AugmentConfig::for_side(96).geometry, Geometry::Shift { pixels: 6 });
        assert_eq!(AugmentConfig::for_side(97), AugmentConfig::photographs());
    }
}
