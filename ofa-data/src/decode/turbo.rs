//! JPEG files, decoded strictly by libjpeg-turbo: faster than the pure-Rust decoder, and no further down than
//! the part of a picture that is needed.

use turbojpeg::{Decompressor, Error, PixelFormat};

use crate::decode::Image;
use crate::decode::frame::{Frame, ROWS_BELOW};
use crate::decode::jpeg::has_end_of_image;
use crate::error::ImageProblem;

/// What the library takes for the greatest width and height.
const MAX_SIDE: usize = 65_500;

/// As many as the other decoder takes: every scan costs the work of a picture, however short it is.
const MAX_SCANS: u32 = 100;

/// The complaint about a picture that is complete before its data is. Only the first complaint about
/// a file is reported, so this one says that the picture was decoded without any.
const MORE_DATA: &str = "extraneous bytes before marker 0xd9";

/// A decoded part of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Region {
    /// The part.
    pub(crate) image: Image,
    /// Column of the whole image where the part begins.
    pub(crate) left: usize,
    /// Row of the whole image where the part begins.
    pub(crate) top: usize,
}

/// Decodes a JPEG file to gray if it is gray, else to RGB; `None` if it is of a kind that is left to
/// [`jpeg`](super::jpeg): CMYK, arithmetic coding, more than 8 bits.
///
/// Warnings of the library are errors.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Image>, ImageProblem> {
    let frame = Frame::find(bytes)?;
    if !is_supported(&frame) {
        return Ok(None);
    }
    check_end(bytes)?;
    decode_frame(bytes, frame.width, frame.height, frame.channels).map(Some).map_err(|reason| broken(bytes, reason))
}

/// Decodes a part of a JPEG file that contains the rectangle, whose pixels are those of [`decode`];
/// `None` where that gives `None`.
///
/// The part spans the full width and begins at the top: nothing can be decoded without the data before
/// it. What lies below the rectangle is not looked at, so damage there goes unnoticed, and so does most
/// damage above: it shows at the end of the data, when too much or too little is left. Progressive files
/// and those with restart markers are decoded whole.
///
/// # Panics
/// If the rectangle is not inside the image.
pub(crate) fn decode_region(
    bytes: &[u8],
    left: usize,
    top: usize,
    width: usize,
    height: usize,
) -> Result<Option<Region>, ImageProblem> {
    let frame = Frame::find(bytes)?;
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
    // Of broken files, too, the whole tells more.
    Ok(decode(bytes)?.map(|image| Region { image, left: 0, top: 0 }))
}

/// Whether the library decodes it to what is asked of it.
fn is_supported(frame: &Frame) -> bool {
    let huffman_coded = matches!(frame.marker, 0xc0..=0xc2);
    let small = frame.width.max(frame.height) <= MAX_SIDE;
    huffman_coded && small && frame.precision == 8 && matches!(frame.channels, 1 | 3)
}

/// Decodes a file whose header claims that there are no more than `rows`; `None` if the library finds anything wrong with
/// these.
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

/// Fills `image`, also if it returns a warning of the library as the error it is.
fn decompress(bytes: &[u8], image: &mut Image) -> Result<(), Error> {
    let target = turbojpeg::Image {
        width: image.width,
        height: image.height,
        pitch: image.width * image.channels,
        format: if image.channels == 1 { PixelFormat::GRAY } else { PixelFormat::RGB },
        pixels: image.pixels.as_mut_slice(),
    };
    // A new one costs too little to keep one for every thread.
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
