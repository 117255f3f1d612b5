//! Views of an image: what a network sees of it in training and in evaluation.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::decode::Rectangle;
use crate::decode::picture::Picture;
use crate::error::{DataError, ImageProblem};
use crate::view::canvas::Canvas;
use crate::view::jitter::ColorJitter;
use crate::view::mixup::Mixup;

/// How images are shown.
#[derive(Debug, Clone, PartialEq)]
pub enum View {
    /// Deterministically, in the order of the set, with the set's [`Framing`].
    Evaluate,
    /// Randomly augmented, in a new random order each epoch.
    Train(AugmentConfig),
}

/// Which part of an image is shown in evaluation at resolution `r`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// The whole image, resized directly to `r` x `r`: for small, centred pictures such as Fashion-MNIST.
    Whole,
    /// Shorter side resized to `ceil(r / 0.875)`, then the central `r` x `r`: for photographs, the convention for
    /// ImageNet.
    CenterCrop,
}

/// Random augmentation of training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentConfig {
    /// Which part of the image is shown.
    pub geometry: Geometry,
    /// Whether to mirror images left to right with probability 1/2.
    pub horizontal_flip: bool,
    /// Colour jitter; `None` leaves colours unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color_jitter: Option<ColorJitter>,
    /// Random erasing; `None` erases nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_erasing: Option<RandomErasing>,
    /// Mixup; `None` blends nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixup: Option<Mixup>,
}

/// Which part of a training image is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Geometry {
    /// The whole image, shifted by up to `pixels` source pixels in each direction and filled with zeros: for small,
    /// centred pictures.
    Shift {
        /// Largest shift, horizontally and vertically.
        pixels: u32,
    },
    /// A random rectangle (Szegedy et al., arXiv:1409.4842; torchvision's `RandomResizedCrop`): for photographs.
    RandomResizedCrop {
        /// Smallest and largest fraction of the image's area.
        scale: [f64; 2],
        /// Smallest and largest aspect ratio (width / height).
        ratio: [f64; 2],
    },
}

/// Fills a random rectangle with the mean colour (Zhong et al., arXiv:1708.04896).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomErasing {
    /// Probability of erasing, per image.
    pub probability: f64,
    /// Smallest and largest fraction of the view's area.
    pub scale: [f64; 2],
    /// Smallest and largest aspect ratio (width / height).
    pub ratio: [f64; 2],
}

impl AugmentConfig {
    /// For small, centred pictures whose mirror image is equally plausible: shift by up to 2 pixels, flip.
    pub fn small_images() -> Self {
        let geometry = Geometry::Shift { pixels: 2 };
        Self { geometry, horizontal_flip: true, color_jitter: None, random_erasing: None, mixup: None }
    }

    /// [`AugmentConfig::small_images`] for images of this side: shifts in proportion to it.
    pub(crate) fn small_images_of(side: usize) -> Self {
        // 2 pixels at 28.
        let pixels = (side / 14).max(1) as u32;
        Self { geometry: Geometry::Shift { pixels }, ..Self::small_images() }
    }

    /// For photographs, as the original OFA code does for ImageNet: RandomResizedCrop of 0.08..1 of the area, flip,
    /// weak colour jitter (paper, appendix B).
    pub fn photographs() -> Self {
        let geometry = Geometry::RandomResizedCrop { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] };
        let color_jitter = Some(ColorJitter::weak());
        Self { geometry, horizontal_flip: true, color_jitter, random_erasing: None, mixup: None }
    }

    /// Checks that all values are in range.
    ///
    /// # Errors
    /// [`DataError::Invalid`] for a strength, fraction or probability out of range, a ratio that is not positive, an
    /// empty range, or an invalid mixup `alpha`.
    pub fn validate(&self) -> Result<(), DataError> {
        if let Geometry::RandomResizedCrop { scale, ratio } = &self.geometry {
            check_range("random_resized_crop.scale", *scale, 1.0)?;
            check_range("random_resized_crop.ratio", *ratio, f64::MAX)?;
        }
        if let Some(jitter) = &self.color_jitter {
            jitter.validate()?;
        }
        if let Some(mixup) = self.mixup {
            mixup.validate()?;
        }
        let Some(erasing) = &self.random_erasing else { return Ok(()) };
        if !(0.0..=1.0).contains(&erasing.probability) {
            return Err(DataError::invalid("random_erasing.probability", erasing.probability, "0 to 1"));
        }
        check_range("random_erasing.scale", erasing.scale, 1.0)?;
        check_range("random_erasing.ratio", erasing.ratio, f64::MAX)
    }

    /// Draws a random view of `picture`. Erased rectangles are filled with `mean_colour`, one value per channel.
    pub(crate) fn draw(
        &self,
        picture: &Picture,
        resolution: usize,
        mean_colour: &[u8],
        rng: &mut impl Rng,
        canvas: &mut Canvas,
    ) -> Result<(), ImageProblem> {
        match self.geometry {
            Geometry::Shift { pixels } => {
                let pixels = i64::from(pixels);
                let (right, down) = (rng.random_range(-pixels..=pixels), rng.random_range(-pixels..=pixels));
                canvas.draw_shifted(&*picture.whole()?, right, down, resolution);
            }
            Geometry::RandomResizedCrop { scale, ratio } => {
                let (width, height) = picture.size();
                let crop = random_rectangle(width, height, scale, ratio, rng)
                    .unwrap_or_else(|| widest_rectangle(width, height, ratio));
                let part = picture.part(crop)?;
                canvas.draw_crop(&part.image, part.place, resolution);
            }
        }
        if self.horizontal_flip && rng.random() {
            canvas.flip();
        }
        if let Some(jitter) = &self.color_jitter {
            jitter.apply(&mut canvas.pixels, mean_colour.len(), rng);
        }
        if let Some(erasing) = &self.random_erasing
            && rng.random_bool(erasing.probability)
            && let Some(area) = random_rectangle(resolution, resolution, erasing.scale, erasing.ratio, rng)
        {
            canvas.erase(area, mean_colour);
        }
        Ok(())
    }
}

impl Framing {
    /// Draws the evaluation view of `picture`.
    pub(crate) fn draw(self, picture: &Picture, resolution: usize, canvas: &mut Canvas) -> Result<(), ImageProblem> {
        let image = picture.whole()?;
        match self {
            Self::Whole => canvas.draw_whole(&image, resolution),
            Self::CenterCrop => canvas.draw_center_crop(&image, resolution),
        }
        Ok(())
    }
}

fn check_range(name: &'static str, [least, greatest]: [f64; 2], limit: f64) -> Result<(), DataError> {
    // Written so that NaN fails.
    if 0.0 < least && least <= greatest && greatest <= limit {
        return Ok(());
    }
    let above = if limit == f64::MAX { String::new() } else { format!(" <= {limit}") };
    let value = format!("[{least}, {greatest}]");
    Err(DataError::invalid(name, value, format!("[least, greatest], 0 < least <= greatest{above}")))
}

/// A rectangle of random area and log-uniform aspect ratio at a random place. `None` if ten attempts do not fit, as in
/// torchvision.
fn random_rectangle(
    width: usize,
    height: usize,
    scale: [f64; 2],
    ratio: [f64; 2],
    rng: &mut impl Rng,
) -> Option<Rectangle> {
    for _ in 0..10 {
        let area = (width * height) as f64 * rng.random_range(scale[0]..=scale[1]);
        let shape = rng.random_range(ratio[0].ln()..=ratio[1].ln()).exp();
        let (w, h) = ((area * shape).sqrt().round() as usize, (area / shape).sqrt().round() as usize);
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let mut place = |room: usize| rng.random_range(0..=room as u32) as usize;
            return Some(Rectangle { left: place(width - w), top: place(height - h), width: w, height: h });
        }
    }
    None
}

/// The largest central rectangle with an aspect ratio within `ratio`: torchvision's fallback.
fn widest_rectangle(width: usize, height: usize, ratio: [f64; 2]) -> Rectangle {
    let shape = (width as f64 / height as f64).clamp(ratio[0], ratio[1]);
    let w = ((height as f64 * shape).round() as usize).clamp(1, width);
    let h = ((width as f64 / shape).round() as usize).clamp(1, height);
    Rectangle { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Image;
    use crate::random::{Purpose, stream};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn image(width: usize, height: usize) -> Image {
        Image { width, height, channels: 1, pixels: (1..=(width * height) as u8).collect() }
    }

    /// Views of `image` for 200 seeds.
    fn views(config: &AugmentConfig, image: &Image, resolution: usize) -> Vec<Vec<u8>> {
        let mut canvas = Canvas::default();
        let picture = Picture::Whole(Arc::new(image.clone()));
        let mut draw = |key| {
            let mut rng = stream(key, Purpose::Augment, &[]);
            config.draw(&picture, resolution, &[200], &mut rng, &mut canvas).unwrap();
            canvas.pixels.clone()
        };
        (0..200).map(&mut draw).collect()
    }

    #[test]
    fn shifts_and_flips_are_all_possible_ones_and_no_others() {
        let config = AugmentConfig { geometry: Geometry::Shift { pixels: 1 }, ..AugmentConfig::small_images() };
        let mut canvas = Canvas::default();
        let mut expected = BTreeSet::new();
        for (right, down) in (-1..=1).flat_map(|right| (-1..=1).map(move |down| (right, down))) {
            canvas.draw_shifted(&image(3, 3), right, down, 3);
            expected.insert(canvas.pixels.clone());
            canvas.flip();
            expected.insert(canvas.pixels.clone());
        }
        assert_eq!(expected.len(), 18);
        assert_eq!(views(&config, &image(3, 3), 3).into_iter().collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn a_view_is_a_function_of_its_generator() {
        let config = AugmentConfig::photographs();
        assert_eq!(views(&config, &image(12, 10), 8), views(&config, &image(12, 10), 8));
        assert!(views(&config, &image(12, 10), 8).into_iter().collect::<BTreeSet<_>>().len() > 150);
    }

    #[test]
    fn erasing_paints_the_share_it_is_asked_for() {
        let erasing = RandomErasing { probability: 0.5, scale: [0.25, 0.25], ratio: [1.0, 1.0] };
        let geometry = Geometry::Shift { pixels: 0 };
        let config = AugmentConfig {
            geometry,
            horizontal_flip: false,
            random_erasing: Some(erasing),
            ..AugmentConfig::small_images()
        };
        let painted: Vec<usize> = views(&config, &image(8, 8), 8)
            .iter()
            .map(|view| view.iter().filter(|&&value| value == 200).count())
            .collect();
        assert!(painted.iter().all(|&pixels| pixels == 0 || pixels == 16), "{painted:?}");
        let share = painted.iter().filter(|&&pixels| pixels == 16).count();
        assert!((70..130).contains(&share), "{share} of 200 views are painted over");
    }

    #[test]
    fn random_rectangles_have_the_shape_and_area_asked_for() {
        let mut rng = stream(1, Purpose::Augment, &[]);
        let (scale, ratio) = ([0.08, 1.0], [0.75, 4.0 / 3.0]);
        let (mut least, mut greatest) = (1.0f64, 0.0f64);
        for _ in 0..1000 {
            let Some(r) = random_rectangle(400, 300, scale, ratio, &mut rng) else { continue };
            assert!(r.left + r.width <= 400 && r.top + r.height <= 300, "{r:?}");
            let (share, shape) = ((r.width * r.height) as f64 / 120_000.0, r.width as f64 / r.height as f64);
            assert!((0.74..1.35).contains(&shape) && (0.078..=1.0).contains(&share), "{r:?}");
            (least, greatest) = (least.min(share), greatest.max(share));
        }
        assert!(least < 0.12 && greatest > 0.9, "shares from {least} to {greatest}");
        // nothing fits into a strip: use the centre, as torchvision does
        assert_eq!(random_rectangle(400, 2, [0.9, 1.0], ratio, &mut rng), None);
        assert_eq!(widest_rectangle(400, 2, ratio), Rectangle { left: 198, top: 0, width: 3, height: 2 });
        assert_eq!(widest_rectangle(30, 400, ratio), Rectangle { left: 0, top: 180, width: 30, height: 40 });
        assert_eq!(widest_rectangle(1, 1, ratio), Rectangle { left: 0, top: 0, width: 1, height: 1 });
    }

    #[test]
    fn values_out_of_range_are_named() {
        assert!(AugmentConfig::small_images().validate().is_ok());
        let mut config = AugmentConfig::photographs();
        config.geometry = Geometry::RandomResizedCrop { scale: [0.5, 1.5], ratio: [1.0, 1.0] };
        let message = config.validate().unwrap_err().to_string();
        let expected =
            "random_resized_crop.scale is [0.5, 1.5], expected [least, greatest], 0 < least <= greatest <= 1";
        assert_eq!(message, expected);
        config.geometry = Geometry::RandomResizedCrop { scale: [0.5, 1.0], ratio: [f64::NAN, 1.0] };
        assert!(config.validate().unwrap_err().to_string().starts_with("random_resized_crop.ratio is [NaN, 1]"));
        config = AugmentConfig::small_images();
        config.random_erasing = Some(RandomErasing { probability: 2.0, scale: [0.1, 0.2], ratio: [1.0, 1.0] });
        assert!(config.validate().unwrap_err().to_string().starts_with("random_erasing.probability is 2"));
    }
}
