//! The orientation in the EXIF data of an image file: how cameras say that they were held sideways.

use std::io::Cursor;

use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, RgbImage};

use super::format::Format;
use super::frame::segments;
use super::{Image, png_decoder};

/// The marker of the JPEG segment that holds EXIF data, and how the data begins.
const APP1: u8 = 0xe1;
const EXIF: &[u8] = b"Exif\0\0";

/// The orientation that the file names; none if it names none, or one that does not exist.
pub(crate) fn of(bytes: &[u8]) -> Orientation {
    let chunk = match Format::of(bytes) {
        Ok(Format::Jpeg) => segments(bytes)
            .filter(|(marker, _)| *marker == APP1)
            .find_map(|(_, range)| bytes[range].strip_prefix(EXIF).map(<[u8]>::to_vec)),
        Ok(Format::Png) => png_decoder(bytes).and_then(|mut decoder| decoder.exif_metadata()).ok().flatten(),
        Ok(Format::WebP) => {
            WebPDecoder::new(Cursor::new(bytes)).and_then(|mut decoder| decoder.exif_metadata()).ok().flatten()
        }
        _ => None,
    };
    chunk.and_then(|chunk| Orientation::from_exif_chunk(&chunk)).unwrap_or(Orientation::NoTransforms)
}

/// Whether an image would be turned: its file names an orientation other than the usual one.
pub(crate) fn is_turned(bytes: &[u8]) -> bool {
    of(bytes) != Orientation::NoTransforms
}

impl Image {
    /// The image, turned and mirrored.
    pub(super) fn turned(self, orientation: Orientation) -> Self {
        if orientation == Orientation::NoTransforms {
            return self;
        }
        let (width, height, channels) = (self.width as u32, self.height as u32, self.channels);
        let image = match channels {
            1 => GrayImage::from_raw(width, height, self.pixels).map(DynamicImage::from),
            _ => RgbImage::from_raw(width, height, self.pixels).map(DynamicImage::from),
        };
        let mut image = image.expect("as many values as the size says");
        image.apply_orientation(orientation);
        let (width, height) = (image.width() as usize, image.height() as usize);
        Self { width, height, channels, pixels: image.into_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::picture::Picture;
    use crate::decode::{DecodeConfig, decode};

    const JPEG: &[u8] = include_bytes!("../../fixtures/gradient_rgb.jpg");

    /// The JPEG file with EXIF data of this orientation, little or big endian.
    fn with_orientation(orientation: u8, is_big: bool) -> Vec<u8> {
        let tiff: Vec<u8> = match is_big {
            true => [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0]]
                .concat(),
            false => [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0, 0]]
                .concat(),
        };
        let length = ((EXIF.len() + tiff.len() + 2) as u16).to_be_bytes();
        [&JPEG[..2], &[0xff, APP1], &length, EXIF, &tiff, &JPEG[2..]].concat()
    }

    #[test]
    fn images_are_turned_only_when_asked_to() {
        let plain = decode(JPEG, 3).unwrap();
        let upright = DecodeConfig { apply_orientation: true, ..DecodeConfig::default() };
        let pixel = |image: &Image, x: usize, y: usize| {
            let at = (y * image.width + x) * 3;
            image.pixels[at..at + 3].to_vec()
        };
        for is_big in [false, true] {
            // 6: the camera was turned left, so the picture is turned right; its left edge comes to the top.
            let bytes = with_orientation(6, is_big);
            assert!(is_turned(&bytes));
            assert_eq!(decode(&bytes, 3).unwrap(), plain);
            let turned = upright.decode(&bytes, 3).unwrap();
            assert_eq!((turned.width, turned.height), (plain.height, plain.width));
            assert_eq!(pixel(&turned, 0, 5), pixel(&plain, 5, plain.height - 1));
            assert_eq!(*Picture::open(bytes.clone(), 3, upright).unwrap().whole().unwrap(), turned);
            assert_eq!(Picture::open(bytes, 3, DecodeConfig::default()).unwrap().size(), (plain.width, plain.height));
        }
        for orientation in [0, 1, 9] {
            let bytes = with_orientation(orientation, false);
            assert!(!is_turned(&bytes));
            assert_eq!(upright.decode(&bytes, 3).unwrap(), plain);
        }
        assert_eq!(upright.decode(JPEG, 3).unwrap(), plain);
    }
}
