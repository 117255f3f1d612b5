//! Decodes image files to pixels.

mod format;
mod frame;
pub(crate) mod jpeg;
pub(crate) mod orientation;
pub(crate) mod picture;
mod rectangle;
#[cfg(feature = "turbo")]
mod turbo;

pub(crate) use rectangle::Rectangle;

use std::io::Cursor;

use format::Format;
use image::codecs::bmp::BmpDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ImageDecoder, ImageError, ImageResult, Limits};

use crate::error::{DataError, ImageProblem};

/// The default of [`DecodeConfig::max_pixels`].
pub(crate) const MAX_PIXELS: usize = 1 << 27;

/// How image files are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeConfig {
    /// Images with more pixels are rejected before memory is allocated: a forged header must not crash the process. The
    /// default is 2^27; the largest photograph of ImageNet has 61 million pixels.
    pub max_pixels: usize,
    /// Whether images are turned as the orientation in their EXIF data says. Off by default: pixels are those of the
    /// file, as in Pillow and torchvision.
    pub apply_orientation: bool,
}

impl Default for DecodeConfig {
    fn default() -> Self {
        Self { max_pixels: MAX_PIXELS, apply_orientation: false }
    }
}

/// Bytes the PNG decoder may allocate besides the pixels (one row of pixels counts, though): colour profiles can
/// inflate enormously. Equals the decoder's default limit.
const MAX_PNG_EXTRAS: u64 = 64 << 20;

/// A decoded image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// 1 (gray) or 3 (RGB).
    pub channels: usize,
    /// Values 0..=255 in row-major order with interleaved channels: `[height, width, channels]`.
    pub pixels: Vec<u8>,
}

/// [`DecodeConfig::decode`] with the defaults.
///
/// # Errors
/// An [`ImageProblem`] that says why the bytes are not such an image.
///
/// # Panics
/// If `channels` is neither 1 nor 3.
pub fn decode(bytes: &[u8], channels: usize) -> Result<Image, ImageProblem> {
    DecodeConfig::default().decode(bytes, channels)
}

impl DecodeConfig {
    /// Checks the limit.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if `max_pixels` is 0.
    pub fn validate(self) -> Result<(), DataError> {
        match self.max_pixels {
            0 => Err(DataError::invalid("max_pixels", 0, "at least 1")),
            _ => Ok(()),
        }
    }

    /// Decodes a JPEG, PNG, WebP or BMP file, detected by its first bytes, to gray (`channels` = 1) or RGB (3).
    ///
    /// A truncated JPEG is an error rather than a partly gray image, even if only its end-of-image marker is missing,
    /// or if the marker is there but data before it is missing. If a progressive JPEG lacks whole scans, this goes
    /// unnoticed. Of an animation, the first picture is decoded.
    ///
    /// Colour is converted to gray with the luma weights of ITU-R BT.601, as Pillow's `convert("L")` does; gray becomes
    /// RGB by repetition. CMYK is converted to RGB, alpha is dropped, and 16 bits are scaled to 8.
    ///
    /// # Errors
    /// An [`ImageProblem`] that says why the bytes are not such an image.
    ///
    /// # Panics
    /// If `channels` is neither 1 nor 3.
    pub fn decode(self, bytes: &[u8], channels: usize) -> Result<Image, ImageProblem> {
        Ok(decode_as_stored(bytes, Damage::Refuse, self)?.with_channels(channels))
    }
}

/// Policy for damage inside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Return an error.
    Refuse,
    /// Decode a JPEG as far as possible; the content of the rest is unspecified.
    Show,
}

/// Decodes gray images to gray, all others to RGB.
pub(crate) fn decode_as_stored(bytes: &[u8], damage: Damage, config: DecodeConfig) -> Result<Image, ImageProblem> {
    let limit = config.max_pixels;
    let image = match Format::of(bytes)? {
        Format::Jpeg => decode_jpeg(bytes, damage, limit)?,
        Format::Png => decode_with(bytes, limit, "png", png_decoder)?,
        Format::WebP => {
            format::check_webp(bytes)?;
            decode_with(bytes, limit, "webp", |bytes| WebPDecoder::new(Cursor::new(bytes)))?
        }
        Format::Bmp => decode_with(bytes, limit, "bmp", |bytes| BmpDecoder::new(Cursor::new(bytes)))?,
    };
    Ok(if config.apply_orientation { image.turned(orientation::of(bytes)) } else { image })
}

#[cfg(not(feature = "turbo"))]
fn decode_jpeg(bytes: &[u8], damage: Damage, limit: usize) -> Result<Image, ImageProblem> {
    jpeg::decode(bytes, damage, limit)
}

#[cfg(feature = "turbo")]
fn decode_jpeg(bytes: &[u8], damage: Damage, limit: usize) -> Result<Image, ImageProblem> {
    if damage == Damage::Refuse
        && let Ok(Some(image)) = turbo::decode(bytes, limit)
    {
        return Ok(image);
    }
    // If libjpeg-turbo cannot decode a file or reports an error, the other decoder decides: whether a set is sound must
    // not depend on the decoder.
    jpeg::decode(bytes, damage, limit)
}

/// Decodes with one of `image`'s decoders; `format` names it in errors.
fn decode_with<'a, D: ImageDecoder>(
    bytes: &'a [u8],
    limit: usize,
    format: &'static str,
    decoder: impl FnOnce(&'a [u8]) -> ImageResult<D>,
) -> Result<Image, ImageProblem> {
    let broken = |error: ImageError| {
        let (bytes, reason) = (bytes.len(), error.to_string());
        if format == "png" {
            ImageProblem::Png { bytes, reason }
        } else {
            ImageProblem::Other { format, bytes, reason }
        }
    };
    let decoder = decoder(bytes).map_err(broken)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(width, height, limit)?;
    let image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    let (channels, pixels) =
        if image.color().has_color() { (3, image.into_rgb8().into_raw()) } else { (1, image.into_luma8().into_raw()) };
    Ok(Image { width, height, channels, pixels })
}

fn png_decoder(bytes: &[u8]) -> ImageResult<PngDecoder<Cursor<&[u8]>>> {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_PNG_EXTRAS);
    PngDecoder::with_limits(Cursor::new(bytes), limits)
}

pub(crate) fn check_size(width: usize, height: usize, limit: usize) -> Result<(), ImageProblem> {
    match width.saturating_mul(height) <= limit {
        true => Ok(()),
        false => Err(ImageProblem::TooLarge { width, height, limit }),
    }
}

impl Image {
    /// Checks an image of unknown origin.
    pub(crate) fn checked(self, limit: usize) -> Result<Self, ImageProblem> {
        let Self { width, height, channels, ref pixels } = self;
        check_size(width, height, limit)?;
        let values = pixels.len();
        let is_sound = matches!(channels, 1 | 3) && values > 0 && values == width * height * channels;
        if is_sound { Ok(self) } else { Err(ImageProblem::Malformed { width, height, channels, values }) }
    }

    /// Converts to 1 (gray) or 3 (RGB) channels.
    ///
    /// # Panics
    /// If `channels` is neither 1 nor 3.
    pub(crate) fn with_channels(mut self, channels: usize) -> Self {
        assert!(matches!(channels, 1 | 3), "channels is {channels}, expected 1 or 3");
        self.pixels = match (self.channels, channels) {
            (3, 1) => self.pixels.chunks_exact(3).map(luma).collect(),
            (1, 3) => self.pixels.iter().flat_map(|&value| [value; 3]).collect(),
            _ => self.pixels,
        };
        self.channels = channels;
        self
    }
}

/// 0.299 R + 0.587 G + 0.114 B in Pillow's 16-bit fixed point.
pub(crate) fn luma(rgb: &[u8]) -> u8 {
    wide_luma([rgb[0], rgb[1], rgb[2]]) as u8
}

/// [`luma`] as `i32`, for loops that should vectorise.
#[inline(always)]
pub(crate) fn wide_luma([red, green, blue]: [u8; 3]) -> i32 {
    (19595 * i32::from(red) + 38470 * i32::from(green) + 7471 * i32::from(blue) + 0x8000) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::ZlibEncoder;
    use flate2::{Compression, Crc};
    use image::{ImageBuffer, ImageFormat, Luma, Rgb, Rgba};
    use proptest::prelude::*;
    use std::io::{self, Read};

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../fixtures/", $name)).as_slice()
        };
    }

    fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// The photograph in another format.
    fn photo_as(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let photo = image::load_from_memory(fixture!("photo.png")).unwrap();
        photo.to_rgb8().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn webp_and_bmp_hold_the_picture_of_the_png_or_are_broken() {
        for (format, name) in [(ImageFormat::WebP, "broken webp"), (ImageFormat::Bmp, "broken bmp")] {
            let bytes = photo_as(format);
            for channels in [1, 3] {
                assert_eq!(decode(&bytes, channels), decode(fixture!("photo.png"), channels), "{format:?}");
            }
            for length in [30, bytes.len() / 2, bytes.len() - 20] {
                let problem = decode(&bytes[..length], 3).unwrap_err();
                assert!([name, "truncated"].contains(&problem.sort()), "{length} bytes: {problem}");
            }
        }
    }

    #[test]
    fn the_pixel_limit_is_that_of_the_configuration() {
        let webp = photo_as(ImageFormat::WebP);
        for bytes in [fixture!("photo.png"), &webp, fixture!("gradient_rgb.jpg"), fixture!("gradient_progressive.jpg")]
        {
            let Image { width, height, .. } = decode(bytes, 3).unwrap();
            let config = |max_pixels| DecodeConfig { max_pixels, ..DecodeConfig::default() };
            assert!(config(width * height).decode(bytes, 3).is_ok());
            let limit = width * height - 1;
            assert_eq!(config(limit).decode(bytes, 3), Err(ImageProblem::TooLarge { width, height, limit }));
        }
        assert!(DecodeConfig { max_pixels: 0, ..DecodeConfig::default() }.validate().is_err());
    }

    /// Largest difference from the gradient that `fixtures/make.py` compressed.
    fn distance_to_gradient(image: &Image) -> i32 {
        assert_eq!((image.width, image.height), (24, 16));
        let expected = (0..16).flat_map(|y| (0..24).map(move |x| [40 + 5 * x, 30 + 8 * y, 120u8]));
        let of_pixel = |(pixel, rgb): (&[u8], [u8; 3])| {
            let expected = if image.channels == 1 { vec![luma(&rgb)] } else { rgb.to_vec() };
            let difference = |(&a, b): (&u8, u8)| (i32::from(a) - i32::from(b)).abs();
            pixel.iter().zip(expected).map(difference).max()
        };
        image.pixels.chunks_exact(image.channels).zip(expected).filter_map(of_pixel).max().unwrap()
    }

    #[test]
    fn every_kind_of_jpeg_gives_the_picture_in_colour_and_in_gray() {
        for (name, bytes) in [
            ("rgb", fixture!("gradient_rgb.jpg")),
            ("progressive", fixture!("gradient_progressive.jpg")),
            ("cmyk", fixture!("gradient_cmyk.jpg")),
            ("ycck", fixture!("gradient_ycck.jpg")),
        ] {
            for channels in [1, 3] {
                let image = decode(bytes, channels).unwrap();
                assert_eq!(image.pixels.len(), 24 * 16 * channels);
                let distance = distance_to_gradient(&image);
                assert!(distance <= 6, "{name}, {channels} channels: off by {distance}");
            }
        }
        let gray = decode(fixture!("gradient_gray.jpg"), 1).unwrap();
        assert!(distance_to_gradient(&gray) <= 3);
        let repeated = decode(fixture!("gradient_gray.jpg"), 3).unwrap();
        let expected: Vec<u8> = gray.pixels.iter().flat_map(|&v| [v, v, v]).collect();
        assert_eq!(repeated.pixels, expected);
    }

    #[test]
    fn colour_png_becomes_gray_by_the_weights_of_pillow() {
        let rgb = ImageBuffer::<Rgb<u8>, _>::from_raw(2, 1, vec![255, 0, 0, 10, 200, 77]).unwrap();
        let bytes = png(rgb);
        assert_eq!(decode(&bytes, 3).unwrap().pixels, [255, 0, 0, 10, 200, 77]);
        // Image.new("RGB", ...).convert("L") gives these two values
        assert_eq!(decode(&bytes, 1).unwrap().pixels, [76, 129]);
    }

    #[test]
    fn alpha_is_dropped_and_sixteen_bits_are_scaled() {
        let rgba = ImageBuffer::<Rgba<u8>, _>::from_raw(1, 1, vec![10, 20, 30, 0]).unwrap();
        assert_eq!(decode(&png(rgba), 3).unwrap().pixels, [10, 20, 30]);
        let deep = vec![0u16, 257, 0x7fff, 0xffff];
        let deep = ImageBuffer::<Luma<u16>, _>::from_raw(4, 1, deep).unwrap();
        assert_eq!(decode(&png(deep), 1).unwrap().pixels, [0, 1, 127, 255]);
    }

    #[test]
    fn palettes_become_colours() {
        // A PNG with two palette indices: pixel (0, 0) is red, (1, 0) is (1, 2, 3).
        let palette = fixture!("palette.png");
        assert_eq!(decode(palette, 3).unwrap().pixels, [255, 0, 0, 1, 2, 3]);
    }

    /// A PNG file with a colour profile of `zeros` zeros inserted after its header.
    fn with_profile(file: &[u8], zeros: u64) -> Vec<u8> {
        let mut profile = ZlibEncoder::new(b"iCCPname\0\0".to_vec(), Compression::fast());
        io::copy(&mut io::repeat(0).take(zeros), &mut profile).unwrap();
        let chunk = profile.finish().unwrap();
        let (length, mut checksum) = (chunk.len() as u32 - 4, Crc::new());
        checksum.update(&chunk);
        let (header, rest) = file.split_at(format::PNG_SIGNATURE.len() + 25);
        [header, &length.to_be_bytes(), &chunk, &checksum.sum().to_be_bytes(), rest].concat()
    }

    #[test]
    fn a_colour_profile_beyond_the_limit_is_passed_over_not_inflated() {
        let whole = fixture!("photo.png");
        let profile = |zeros: u64| {
            let bytes = with_profile(whole, zeros);
            assert_eq!(decode(&bytes, 3), decode(whole, 3), "{zeros} zeros");
            png_decoder(&bytes).unwrap().icc_profile().unwrap().map(|profile| profile.len())
        };
        assert_eq!(profile(1000), Some(1000));
        assert_eq!(profile(80 << 20), None);
    }

    proptest! {
        #[test]
        fn flipped_bits_are_errors_or_pictures_of_some_size_but_never_panics(at in 0usize..735, bit in 0u8..8) {
            let [webp, bmp] = [ImageFormat::WebP, ImageFormat::Bmp].map(photo_as);
            let [jpeg, progressive] = [fixture!("gradient_rgb.jpg"), fixture!("gradient_progressive.jpg")];
            for file in [jpeg, progressive, fixture!("photo.png"), &webp, &bmp] {
                let mut flipped = file.to_vec();
                let at = at * file.len() / 735;
                flipped[at] ^= 1 << bit;
                for damage in [Damage::Refuse, Damage::Show] {
                    if let Ok(image) = decode_as_stored(&flipped, damage, DecodeConfig::default()) {
                        prop_assert_eq!(image.pixels.len(), image.width * image.height * image.channels);
                    }
                }
            }
        }
    }

    #[test]
    fn broken_pngs_and_foreign_files_are_errors() {
        let whole = fixture!("photo.png");
        for length in [8, 20, whole.len() / 2, whole.len() - 20] {
            let problem = decode(&whole[..length], 3).unwrap_err();
            assert!(matches!(problem, ImageProblem::Png { .. }), "{length} bytes: {problem:?}");
        }
        let mut flipped = whole.to_vec();
        flipped[whole.len() / 2] ^= 0x10;
        assert!(matches!(decode(&flipped, 3), Err(ImageProblem::Png { .. })));
        assert_eq!(decode(b"", 3), Err(ImageProblem::Empty));
        let html = decode(b"<html></html>", 3).unwrap_err();
        assert!(matches!(&html, ImageProblem::OtherFormat(name) if name.contains("HTML page")), "{html:?}");
        let unknown = decode(b"a line of text", 3).unwrap_err();
        assert_eq!(unknown, ImageProblem::UnknownFormat(b"a line o".to_vec()));
    }
}
