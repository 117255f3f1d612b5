//! Arithmetic on all pixels of an image, by vector instructions that are chosen at run time.

use pulp::{Arch, Simd, WithSimd};

use crate::decode::wide_luma;

/// Pixels that are worked on together: whole vectors of any width.
const GROUP: usize = 32;

/// Moves all `pixels` from `from` towards, or by a factor above 1 beyond, their values; cut to 0..=255.
pub(crate) fn blend_all(pixels: &mut [u8], from: u8, factor: f32) {
    Arch::new().dispatch(BlendAll { pixels, from: from.into(), factor });
}

/// Moves all RGB `pixels` from their luma towards, or by a factor above 1 beyond, their values; cut to 0..=255.
pub(crate) fn saturate_all(pixels: &mut [u8], factor: f32) {
    Arch::new().dispatch(SaturateAll { pixels, factor });
}

/// Writes `(value / 255 - mean) / std` of `[pixel, channel]` values as `[channel, pixel]`.
pub(crate) fn normalise_all<const CHANNELS: usize>(
    pixels: &[u8],
    planes: &mut [f32],
    mean: [f32; CHANNELS],
    std: [f32; CHANNELS],
) {
    assert_eq!(pixels.len(), planes.len(), "values of one image, before and after");
    Arch::new().dispatch(NormaliseAll { pixels, planes, mean, std });
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

struct NormaliseAll<'a, const CHANNELS: usize> {
    pixels: &'a [u8],
    planes: &'a mut [f32],
    mean: [f32; CHANNELS],
    std: [f32; CHANNELS],
}

// Everything below is inlined into `with_simd`, which is what is compiled for each set of vector instructions.

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
        let (groups, rest) = self.pixels.as_chunks_mut::<3>().0.as_chunks_mut::<GROUP>();
        groups.iter_mut().for_each(|group| saturate(group, self.factor));
        rest.as_chunks_mut::<1>().0.iter_mut().for_each(|pixel| saturate(pixel, self.factor));
    }
}

impl<const CHANNELS: usize> WithSimd for NormaliseAll<'_, CHANNELS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { pixels, planes, mean, std } = self;
        let plane = planes.len() / CHANNELS;
        let pixels = pixels.as_chunks::<CHANNELS>().0;
        let (groups, rest) = pixels.as_chunks::<GROUP>();
        for (i, group) in groups.iter().enumerate() {
            for (channel, values) in by_channel(group).iter().enumerate() {
                let start = channel * plane + i * GROUP;
                let normalised = &mut planes[start..start + GROUP];
                for (normalised, &value) in normalised.iter_mut().zip(values) {
                    *normalised = normalise(value, mean[channel], std[channel]);
                }
            }
        }
        for (i, pixel) in rest.iter().enumerate() {
            for (channel, &value) in pixel.iter().enumerate() {
                planes[channel * plane + groups.len() * GROUP + i] = normalise(value, mean[channel], std[channel]);
            }
        }
    }
}

// Loops over arrays throughout: closures in `from_fn` are not inlined, and then compiled without vectors.

#[inline(always)]
fn saturate<const N: usize>(pixels: &mut [[u8; 3]; N], factor: f32) {
    let mut channels = by_channel(pixels);
    let mut grays = [0; N];
    for i in 0..N {
        grays[i] = wide_luma([channels[0][i], channels[1][i], channels[2][i]]);
    }
    for channel in 0..3 {
        for i in 0..N {
            channels[channel][i] = cut(grays[i] as f32 + factor * (i32::from(channels[channel][i]) - grays[i]) as f32);
        }
    }
    let values = pixels.as_flattened_mut();
    for i in 0..N {
        for channel in 0..3 {
            values[3 * i + channel] = channels[channel][i];
        }
    }
}

#[inline(always)]
fn by_channel<const CHANNELS: usize, const N: usize>(pixels: &[[u8; CHANNELS]; N]) -> [[u8; N]; CHANNELS] {
    let mut channels = [[0; N]; CHANNELS];
    let values = pixels.as_flattened();
    for i in 0..N {
        for channel in 0..CHANNELS {
            channels[channel][i] = values[CHANNELS * i + channel];
        }
    }
    channels
}

/// In single precision and in this order, as torchvision's ToTensor and Normalize do it.
#[inline(always)]
fn normalise(value: u8, mean: f32, std: f32) -> f32 {
    (f32::from(value) / 255.0 - mean) / std
}

/// Pillow's: in single precision, cut towards zero and to 0..=255.
#[inline(always)]
fn blend(from: f32, to: f32, factor: f32) -> u8 {
    cut(from + factor * (to - from))
}

/// `value as u8`, for which compilers find no vector instructions.
#[inline(always)]
fn cut(value: f32) -> u8 {
    // Numbers from here on have no fraction, so that the sum is rounded, and a byte is the last eight bits of its sum.
    const WHOLE: f32 = (1u32 << 23) as f32;
    // Not `clamp`, which keeps what is not a number.
    #[allow(clippy::manual_clamp, reason = "what is not a number becomes 0")]
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
            normalise_all(pixels, &mut found, mean, std);
            let plane = pixels.len() / 3;
            for (i, &value) in pixels.iter().enumerate() {
                prop_assert_eq!(found[i % 3 * plane + i / 3], (f32::from(value) / 255.0 - mean[i % 3]) / std[i % 3]);
            }
            let mut found = vec![f32::NAN; pixels.len()];
            normalise_all(pixels, &mut found, [0.3], [0.2]);
            prop_assert!(found.iter().zip(pixels).all(|(&found, &value)| found == (f32::from(value) / 255.0 - 0.3) / 0.2));
        }
    }
}
