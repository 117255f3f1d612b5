//! Random changes of colour.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::decode::luma;
use crate::error::DataError;
use crate::view::pixels::{blend_all, saturate_all};

/// Random brightness, contrast, saturation and hue changes in random order, as torchvision's `ColorJitter` on Pillow
/// images.
///
/// A strength `s` multiplies by a factor drawn from `1 - s` (at least 0) to `1 + s`. Hue is shifted by up to its
/// strength, in turns of the colour circle. Gray images have neither saturation nor hue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// Strength of the brightness change, at least 0.
    pub brightness: f64,
    /// Strength of the contrast change, at least 0.
    pub contrast: f64,
    /// Strength of the saturation change, at least 0.
    pub saturation: f64,
    /// Largest hue shift in turns, 0 to 0.5.
    pub hue: f64,
}

/// A colour change of a fixed amount.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Brightness(f32),
    Contrast(f32),
    Saturation(f32),
    Hue(f64),
}

impl ColorJitter {
    /// The weak jitter (`tf`) of the original OFA ImageNet recipe: brightness 32/255, saturation 0.5.
    pub fn weak() -> Self {
        Self { brightness: 32.0 / 255.0, saturation: 0.5, ..Self::default() }
    }

    /// The strong jitter (`torch`) of the original OFA code: brightness, contrast and saturation 0.4, hue 0.1.
    pub fn strong() -> Self {
        Self { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }
    }

    /// Checks that all strengths are in range.
    pub(crate) fn validate(&self) -> Result<(), DataError> {
        let strengths = [
            ("color_jitter.brightness", self.brightness, f64::MAX),
            ("color_jitter.contrast", self.contrast, f64::MAX),
            ("color_jitter.saturation", self.saturation, f64::MAX),
            ("color_jitter.hue", self.hue, 0.5),
        ];
        match strengths.into_iter().find(|(_, value, most)| !(0.0..=*most).contains(value)) {
            Some((name, value, most)) if most == f64::MAX => Err(DataError::invalid(name, value, "0 or more")),
            Some((name, value, most)) => Err(DataError::invalid(name, value, format!("0 to {most}"))),
            None => Ok(()),
        }
    }

    /// Randomly changes `pixels`, `[pixel, channels]`.
    pub(crate) fn apply(&self, pixels: &mut [u8], channels: usize, rng: &mut impl Rng) {
        let mut changes = Vec::with_capacity(4);
        let factor = |strength: f64, rng: &mut _| -> f32 {
            RngExt::random_range(rng, (1.0 - strength).max(0.0)..=1.0 + strength) as f32
        };
        if self.brightness > 0.0 {
            changes.push(Change::Brightness(factor(self.brightness, rng)));
        }
        if self.contrast > 0.0 {
            changes.push(Change::Contrast(factor(self.contrast, rng)));
        }
        if self.saturation > 0.0 {
            changes.push(Change::Saturation(factor(self.saturation, rng)));
        }
        if self.hue > 0.0 {
            changes.push(Change::Hue(rng.random_range(-self.hue..=self.hue)));
        }
        changes.shuffle(rng);
        changes.iter().for_each(|change| change.apply(pixels, channels));
    }
}

impl Change {
    /// Bit-exact with Pillow's `ImageEnhance` and torchvision's `adjust_hue`.
    fn apply(self, pixels: &mut [u8], channels: usize) {
        match self {
            Self::Brightness(factor) => blend_all(pixels, 0, factor),
            Self::Contrast(factor) => blend_all(pixels, mean_luma(pixels, channels), factor),
            Self::Saturation(factor) if channels == 3 => saturate_all(pixels, factor),
            Self::Hue(turns) if channels == 3 => {
                // Whole steps of the 8-bit hue circle, truncated towards zero.
                let steps = (turns * 255.0) as i32 as u8;
                for pixel in pixels.chunks_exact_mut(3) {
                    let [hue, saturation, value] = hsv([pixel[0], pixel[1], pixel[2]]);
                    pixel.copy_from_slice(&rgb([hue.wrapping_add(steps), saturation, value]));
                }
            }
            Self::Saturation(_) | Self::Hue(_) => (),
        }
    }
}

/// Mean luma, rounded.
fn mean_luma(pixels: &[u8], channels: usize) -> u8 {
    let sum: u64 = match channels {
        3 => pixels.chunks_exact(3).map(|pixel| u64::from(luma(pixel))).sum(),
        _ => pixels.iter().copied().map(u64::from).sum(),
    };
    let count = (pixels.len() / channels).max(1);
    (sum as f64 / count as f64 + 0.5) as u8
}

/// Hue, saturation and value in 8 bits each. Pillow computes in double precision and stores single precision.
///
/// Here and in [`rgb`], integer parts are taken by casts and comparisons: `%`, `floor` and `round` are function calls
/// unless the target CPU is known to have instructions for them.
fn hsv(pixel: [u8; 3]) -> [u8; 3] {
    // `turns` lies between 5/6 and 11/6.
    hsv_by(pixel, |turns| if turns >= 1.0 { turns - 1.0 } else { turns })
}

/// [`hsv`] with a given reduction of turns to 0..1.
fn hsv_by([red, green, blue]: [u8; 3], within_a_turn: impl Fn(f64) -> f64) -> [u8; 3] {
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let below = |value: u8| f32::from(most - value) / range;
    let sixths = if red == most {
        below(blue) - below(green)
    } else if green == most {
        (2.0 + f64::from(below(red)) - f64::from(below(blue))) as f32
    } else {
        (4.0 + f64::from(below(green)) - f64::from(below(red))) as f32
    };
    let hue = within_a_turn(f64::from(sixths) / 6.0 + 1.0) as f32;
    let saturation = range / f32::from(most);
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, most]
}

/// Red, green and blue from 8-bit hue, saturation and value.
fn rgb(pixel: [u8; 3]) -> [u8; 3] {
    rgb_by(pixel, |sixths| sixths as u8, rounded)
}

/// [`rgb`] with given functions for truncation and rounding of numbers from 0 to 255.
fn rgb_by([hue, saturation, value]: [u8; 3], whole: impl Fn(f64) -> u8, rounded: impl Fn(f64) -> u8) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let sixths = f64::from(hue) * 6.0 / 255.0;
    let sector = whole(sixths);
    let fraction = (sixths - f64::from(sector)) as f32;
    let saturation = (f64::from(saturation) / 255.0) as f32;
    let scaled = |less: f64| rounded(f64::from(value) * (1.0 - less));
    let (low, falling) = (scaled(saturation.into()), scaled((saturation * fraction).into()));
    let rising = scaled(f64::from(saturation) * (1.0 - f64::from(fraction)));
    match sector % 6 {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
    }
}

/// Rounds 0..=255 to the nearest integer, halves up. Casting `value + 0.5` is wrong for the largest number below one
/// half.
fn rounded(value: f64) -> u8 {
    let whole = value as u8;
    whole + u8::from(value - f64::from(whole) >= 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;
    use crate::random::{Purpose, stream};

    /// Made from `photo.png` by `fixtures/make.py` with Pillow and torchvision.
    #[test]
    fn every_change_is_pillows() {
        let photo = decode(include_bytes!("../../fixtures/photo.png"), 3).unwrap();
        let cases: [(Change, &[u8]); 6] = [
            (Change::Brightness(1.3), include_bytes!("../../fixtures/jitter_brightness.png")),
            (Change::Brightness(0.7), include_bytes!("../../fixtures/jitter_darkness.png")),
            (Change::Contrast(1.4), include_bytes!("../../fixtures/jitter_contrast.png")),
            (Change::Saturation(0.6), include_bytes!("../../fixtures/jitter_saturation.png")),
            (Change::Hue(0.1), include_bytes!("../../fixtures/jitter_hue.png")),
            (Change::Hue(-0.07), include_bytes!("../../fixtures/jitter_hue_back.png")),
        ];
        for (change, expected) in cases {
            let mut found = photo.pixels.clone();
            change.apply(&mut found, 3);
            let expected = decode(expected, 3).unwrap().pixels;
            let differing = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
            assert_eq!(differing, 0, "{change:?}: {differing} of {} values", found.len());
        }
    }

    /// [`hsv`] with the remainder operator, as in Pillow.
    fn hsv_by_functions(pixel: [u8; 3]) -> [u8; 3] {
        hsv_by(pixel, |turns| turns % 1.0)
    }

    /// [`rgb`] with the functions of `f64`, as in Pillow.
    fn rgb_by_functions(pixel: [u8; 3]) -> [u8; 3] {
        rgb_by(pixel, |sixths| sixths.floor() as u8, |value| value.round() as u8)
    }

    #[test]
    fn casts_give_what_the_functions_give() {
        for first in 0..=255 {
            for second in 0..=255 {
                for third in (0..=255).step_by(5) {
                    let values = [first, second, third];
                    assert_eq!(hsv(values), hsv_by_functions(values), "hsv of {values:?}");
                    assert_eq!(rgb(values), rgb_by_functions(values), "rgb of {values:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_rounded_as_by_the_function() {
        for half in 0..=510u32 {
            let half = f64::from(half) / 2.0;
            for value in [half.next_down().max(0.0), half, half.next_up().min(255.0)] {
                assert_eq!(rounded(value), value.round() as u8, "{value:?}");
            }
        }
    }

    #[test]
    fn strengths_bound_the_changes_and_the_seed_decides_them() {
        let jitter = |jitter: ColorJitter, number: u64| {
            let mut pixels = vec![100, 150, 50, 100, 150, 50];
            jitter.apply(&mut pixels, 3, &mut stream(1, Purpose::Augment, &[0, number]));
            pixels
        };
        assert_eq!(jitter(ColorJitter::default(), 1), [100, 150, 50, 100, 150, 50]);
        assert_eq!(jitter(ColorJitter::strong(), 1), jitter(ColorJitter::strong(), 1));
        assert_ne!(jitter(ColorJitter::strong(), 1), jitter(ColorJitter::strong(), 2));
        let only = ColorJitter { brightness: 0.2, ..ColorJitter::default() };
        let red: Vec<u8> = (0..200).map(|number| jitter(only, number)[0]).collect();
        let (least, most) = (red.iter().min().unwrap(), red.iter().max().unwrap());
        assert!((80..85).contains(least) && (116..=120).contains(most), "{least} to {most}");
    }

    #[test]
    fn gray_images_have_no_colour_to_change() {
        let mut pixels = vec![10, 200];
        Change::Saturation(0.0).apply(&mut pixels, 1);
        Change::Hue(0.3).apply(&mut pixels, 1);
        assert_eq!(pixels, [10, 200]);
        Change::Contrast(0.0).apply(&mut pixels, 1);
        assert_eq!(pixels, [105, 105]);
    }

    #[test]
    fn impossible_strengths_are_named() {
        let message = |jitter: ColorJitter| jitter.validate().unwrap_err().to_string();
        assert!(
            message(ColorJitter { hue: 0.6, ..ColorJitter::default() })
                .contains("color_jitter.hue is 0.6, expected 0 to")
        );
        assert!(message(ColorJitter { contrast: -1.0, ..ColorJitter::default() }).contains("contrast is -1"));
        assert!(ColorJitter::weak().validate().is_ok() && ColorJitter::strong().validate().is_ok());
    }
}
