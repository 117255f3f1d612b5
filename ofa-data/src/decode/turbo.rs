//! Strict JPEG decoding with libjpeg-turbo: faster than the pure-Rust decoder, and it can stop below the needed part of
//! an image.

use turbojpeg::{Decompressor, Error, PixelFormat};

use crate::decode::frame::has_end_of_image;
use crate::decode::frame::{Frame, ROWS_BELOW};
use crate::decode::{Image, Rectangle};
use crate::error::ImageProblem;

/// Largest width and height the library supports.
const MAX_SIDE: usize = 65_500;

/// The same limit as the pure-Rust decoder: every scan, however short, costs the work of a whole image.
const MAX_SCANS: u32 = 100;

/// Warning for an image that is complete before its data ends. The library reports only the first warning of a file, so
/// this one means that the image itself was decoded without any.
const MORE_DATA: &str = "extraneous bytes before marker 0xd9";

/// A decoded part of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Region {
    /// Pixels of the part.
    pub(crate) image: Image,
    /// Column of the full image where the part begins.
    pub(crate) left: usize,
    /// Row of the full image where the part begins.
    pub(crate) top: usize,
}

/// Decodes a JPEG file to gray if it is stored in gray, else to RGB. `None` for files left to [`jpeg`](super::jpeg):
/// CMYK, arithmetic coding, or more than 8 bits.
///
/// Library warnings are treated as errors.
pub(crate) fn decode(bytes: &[u8], limit: usize) -> Result<Option<Image>, ImageProblem> {
    let frame = Frame::find(bytes, limit)?;
    if !is_supported(&frame) {
        return Ok(None);
    }
    check_end(bytes)?;
    decode_frame(bytes, frame.width, frame.height, frame.channels).map(Some).map_err(|reason| broken(bytes, reason))
}

/// Decodes a part of a JPEG file that contains the rectangle; the rectangle's pixels are identical to those of
/// [`decode`]. `None` where [`decode`] returns `None`.
///
/// The part spans the full width and starts at the top, because decoding needs all preceding data. Data below the
/// rectangle is not checked, so damage there goes unnoticed. Most damage above goes unnoticed too: it shows only at the
/// end of the data, when too much or too little is left. Progressive files and files with restart markers are decoded
/// whole.
///
/// # Panics
/// If the rectangle is not inside the image.
pub(crate) fn decode_region(bytes: &[u8], place: Rectangle, limit: usize) -> Result<Option<Region>, ImageProblem> {
    let frame = Frame::find(bytes, limit)?;
    let Rectangle { left, top, width, height } = place;
    assert!(
        left + width <= frame.width && top + height <= frame.height,
        "{width} x {height} at ({left}, {top}) of {} x {}",
        frame.width,
        frame.height
    );
    let rows = top + height + ROWS_BELOW;
    if is_supported(&frame)
        && let Some(shortened) = frame.shortened(bytes, rows)
    {
        check_end(bytes)?;
        if let Some(image) = decode_top(&shortened, &frame, rows) {
            return Ok(Some(Region { image, left: 0, top: 0 }));
        }
    }
    // Decoding everything also gives a better error for broken files.
    Ok(decode(bytes, limit)?.map(|image| Region { image, left: 0, top: 0 }))
}

/// Whether the library supports this kind of file.
fn is_supported(frame: &Frame) -> bool {
    let huffman_coded = matches!(frame.marker, 0xc0..=0xc2);
    let small = frame.width.max(frame.height) <= MAX_SIDE;
    huffman_coded && small && frame.precision == 8 && matches!(frame.channels, 1 | 3)
}

/// Decodes a file whose header claims only `rows` rows. `None` if the library finds anything wrong with them.
fn decode_top(shortened: &[u8], frame: &Frame, rows: usize) -> Option<Image> {
    let mut image = blank(frame.width, rows, frame.channels);
    match decompress(shortened, &mut image) {
        Ok(()) => Some(image),
        Err(Error::TurboJpegError(reason)) if reason.ends_with(MORE_DATA) => Some(image),
        Err(_) => None,
    }
}

fn decode_frame(bytes: &[u8], width: usize, height: usize, channels: usize) -> Result<Image, Error> {
    let mut image = blank(width, height, channels);
    decompress(bytes, &mut image)?;
    Ok(image)
}

fn blank(width: usize, height: usize, channels: usize) -> Image {
    Image { width, height, channels, pixels: vec![0; width * height * channels] }
}

/// Decodes into `image`. The image is filled even if a library warning is returned as an error.
fn decompress(bytes: &[u8], image: &mut Image) -> Result<(), Error> {
    let target = turbojpeg::Image {
        width: image.width,
        height: image.height,
        pitch: image.width * image.channels,
        format: if image.channels == 1 { PixelFormat::GRAY } else { PixelFormat::RGB },
        pixels: image.pixels.as_mut_slice(),
    };
    // Creating one is too cheap to keep one per thread.
    let mut decompressor = Decompressor::new()?;
    decompressor.set_scan_limit(MAX_SCANS)?;
    decompressor.decompress(bytes, target)
}

fn check_end(bytes: &[u8]) -> Result<(), ImageProblem> {
    if has_end_of_image(bytes) { Ok(()) } else { Err(ImageProblem::Truncated { bytes: bytes.len() }) }
}

fn broken(bytes: &[u8], reason: Error) -> ImageProblem {
    let reason = match reason {
        Error::TurboJpegError(reason) => reason,
        other => other.to_string(),
    };
    ImageProblem::Jpeg { bytes: bytes.len(), reason }
}

#[cfg(test)]
mod tests;
