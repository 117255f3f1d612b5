//! SIMD arithmetic on all pixels of an image; the instruction set is chosen at run time.

#![allow(clippy::needless_range_loop, reason = "compilers vectorise indexed loops over arrays")]

use pulp::{Arch, Simd, WithSimd};

use crate::decode::wide_luma;

/// Pixels processed together: a whole number of vectors of any width.
const GROUP: usize = 32;

/// Interpolates all `pixels` between `from` (factor 0) and their own values (factor 1), or extrapolates for a factor
/// above 1; clamped to 0..=255.
pub(crate) fn blend_all(pixels: &mut [u8], from: u8, factor: f32) {
    Arch::new().dispatch(BlendAll { pixels, from: from.into(), factor });
}

/// Interpolates all RGB `pixels` between their luma (factor 0) and their own values (factor 1), or extrapolates for a
/// factor above 1; clamped to 0..=255.
pub(crate) fn saturate_all(pixels: &mut [u8], factor: f32) {
    Arch::new().dispatch(SaturateAll { pixels, factor });
}

/// Writes `(value / 255 - mean) / std` of gray pixels.
pub(crate) fn normalise_gray(pixels: &[u8], plane: &mut [f32], mean: f32, std: f32) {
    assert_eq!(pixels.len(), plane.len(), "values of one image, before and after");
    Arch::new().dispatch(NormaliseGray { pixels, plane, mean, std });
}

/// Writes `(value / 255 - mean) / std` of RGB pixels, transposed from `[pixel, channel]` to `[channel, pixel]`.
pub(crate) fn normalise_rgb(pixels: &[u8], planes: &mut [f32], mean: [f32; 3], std: [f32; 3]) {
    assert_eq!(pixels.len(), planes.len(), "values of one image, before and after");
    Arch::new().dispatch(NormaliseRgb { pixels, planes, mean, std });
}

struct BlendAll<'a> {
    pixels: &'a mut [u8],
    from: f32,
    factor: f32,
}

struct SaturateAll<'a> {
    pixels: &'a mut [u8],
    factor: f32,
}

struct NormaliseGray<'a> {
    pixels: &'a [u8],
    plane: &'a mut [f32],
    mean: f32,
    std: f32,
}

struct NormaliseRgb<'a> {
    pixels: &'a [u8],
    planes: &'a mut [f32],
    mean: [f32; 3],
    std: [f32; 3],
}

// Everything below is inlined into `with_simd`, which is compiled once per instruction set.

impl WithSimd for BlendAll<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for value in self.pixels {
            *value = blend(self.from, (*value).into(), self.factor);
        }
    }
}

impl WithSimd for SaturateAll<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (groups, rest) = self.pixels.as_chunks_mut::<{ 3 * GROUP }>();
        for group in groups {
            saturate(group, self.factor);
        }
        let mut group = [0; 3 * GROUP];
        group[..rest.len()].copy_from_slice(rest);
        saturate(&mut group, self.factor);
        rest.copy_from_slice(&group[..rest.len()]);
    }
}

impl WithSimd for NormaliseGray<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (normalised, &value) in self.plane.iter_mut().zip(self.pixels) {
            *normalised = normalise(value, self.mean, self.std);
        }
    }
}

impl WithSimd for NormaliseRgb<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { pixels, planes, mean, std } = self;
        let (red, others) = planes.split_at_mut(pixels.len() / 3);
        let (green, blue) = others.split_at_mut(pixels.len() / 3);
        let (groups, rest) = pixels.as_chunks::<{ 3 * GROUP }>();
        let (red, last_red) = red.as_chunks_mut::<GROUP>();
        let (green, last_green) = green.as_chunks_mut::<GROUP>();
        let (blue, last_blue) = blue.as_chunks_mut::<GROUP>();
        for (((group, red), green), blue) in groups.iter().zip(red).zip(green).zip(blue) {
            normalise_group(group, [red, green, blue], mean, std);
        }
        for (i, pixel) in rest.as_chunks::<3>().0.iter().enumerate() {
            last_red[i] = normalise(pixel[0], mean[0], std[0]);
            last_green[i] = normalise(pixel[1], mean[1], std[1]);
            last_blue[i] = normalise(pixel[2], mean[2], std[2]);
        }
    }
}

// Loops over flat arrays throughout: compilers do not vectorise closures in `from_fn` or nested arrays.

#[inline(always)]
fn channels(pixels: &[u8; 3 * GROUP]) -> ([u8; GROUP], [u8; GROUP], [u8; GROUP]) {
    let (mut red, mut green, mut blue) = ([0; GROUP], [0; GROUP], [0; GROUP]);
    for i in 0..GROUP {
        red[i] = pixels[3 * i];
        green[i] = pixels[3 * i + 1];
        blue[i] = pixels[3 * i + 2];
    }
    (red, green, blue)
}

#[inline(always)]
fn saturate(pixels: &mut [u8; 3 * GROUP], factor: f32) {
    let (mut red, mut green, mut blue) = channels(pixels);
    let mut gray = [0; GROUP];
    for i in 0..GROUP {
        gray[i] = wide_luma([red[i], green[i], blue[i]]);
    }
    for channel in [&mut red, &mut green, &mut blue] {
        for i in 0..GROUP {
            channel[i] = cut(gray[i] as f32 + factor * (i32::from(channel[i]) - gray[i]) as f32);
        }
    }
    for i in 0..GROUP {
        pixels[3 * i] = red[i];
        pixels[3 * i + 1] = green[i];
        pixels[3 * i + 2] = blue[i];
    }
}

#[inline(always)]
fn normalise_group(pixels: &[u8; 3 * GROUP], planes: [&mut [f32; GROUP]; 3], mean: [f32; 3], std: [f32; 3]) {
    let (red, green, blue) = channels(pixels);
    let [red_plane, green_plane, blue_plane] = planes;
    for i in 0..GROUP {
        red_plane[i] = normalise(red[i], mean[0], std[0]);
    }
    for i in 0..GROUP {
        green_plane[i] = normalise(green[i], mean[1], std[1]);
    }
    for i in 0..GROUP {
        blue_plane[i] = normalise(blue[i], mean[2], std[2]);
    }
}

/// In single precision and in this order, as in torchvision's ToTensor and Normalize.
#[inline(always)]
fn normalise(value: u8, mean: f32, std: f32) -> f32 {
    (f32::from(value) / 255.0 - mean) / std
}

/// Pillow's blend: single precision, truncated towards zero and clamped to 0..=255.
#[inline(always)]
fn blend(from: f32, to: f32, factor: f32) -> u8 {
    cut(from + factor * (to - from))
}

/// Equals `value as u8`, which compilers do not vectorise.
#[inline(always)]
fn cut(value: f32) -> u8 {
    // Floats from 2^23 on have no fraction: adding it rounds the value and leaves the byte in the lowest eight bits.
    const WHOLE: f32 = (1u32 << 23) as f32;
    // Not `clamp`, which propagates NaN.
    #[allow(clippy::manual_clamp, reason = "NaN becomes 0")]
    let value = value.max(0.0).min(255.0);
    let rounded = value + WHOLE;
    let is_up = rounded - WHOLE > value;
    (rounded.to_bits() - u32::from(is_up)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::luma;
    use proptest::prelude::*;

    fn blended(from: u8, to: u8, factor: f32) -> u8 {
        (f32::from(from) + factor * (f32::from(to) - f32::from(from))) as u8
    }

    #[test]
    fn cutting_is_that_of_the_language() {
        let around = |value: f32| [value.next_down(), value, value.next_up(), value + 0.5, value + 0.5f32.next_up()];
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MIN_POSITIVE, 1e30, -7.3];
        for value in (-3i16..260).flat_map(|value| around(value.into())).chain(odd) {
            assert_eq!(cut(value), value as u8, "{value}");
        }
    }

    proptest! {
        #[test]
        fn vectors_give_what_single_values_give(
            pixels in prop::collection::vec(any::<[u8; 3]>(), 0..150),
            from: u8,
            factor in prop_oneof![0f32..3.0, Just(0.0), Just(1.0), Just(f32::INFINITY)],
        ) {
            let pixels = pixels.as_flattened();
            let mut found = pixels.to_vec();
            blend_all(&mut found, from, factor);
            let expected: Vec<u8> = pixels.iter().map(|&value| blended(from, value, factor)).collect();
            prop_assert_eq!(found, expected);
            let mut found = pixels.to_vec();
            saturate_all(&mut found, factor);
            let of_pixel = |pixel: &[u8]| [0, 1, 2].map(|channel| blended(luma(pixel), pixel[channel], factor));
            let expected: Vec<u8> = pixels.chunks_exact(3).flat_map(of_pixel).collect();
            prop_assert_eq!(found, expected);
            let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
            let mut found = vec![f32::NAN; pixels.len()];
            normalise_rgb(pixels, &mut found, mean, std);
            let plane = pixels.len() / 3;
            for (i, &value) in pixels.iter().enumerate() {
                prop_assert_eq!(found[i % 3 * plane + i / 3], (f32::from(value) / 255.0 - mean[i % 3]) / std[i % 3]);
            }
            let mut found = vec![f32::NAN; pixels.len()];
            normalise_gray(pixels, &mut found, 0.3, 0.2);
            prop_assert!(found.iter().zip(pixels).all(|(&found, &value)| found == (f32::from(value) / 255.0 - 0.3) / 0.2));
        }
    }
}
