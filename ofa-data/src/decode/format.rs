//! Formats of image files, told apart by their first bytes.

use super::jpeg;
use crate::error::ImageProblem;

pub(super) const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A format that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    WebP,
    Bmp,
}

/// Signatures of what is not decoded, their offset, and what to do about such a file.
const OTHERS: [(usize, &[u8], &str); 36] = [
    (0, b"GIF8", "a GIF image; convert it to JPEG or PNG"),
    (0, b"II*\0", "a TIFF image; convert it to JPEG or PNG"),
    (0, b"MM\0*", "a TIFF image; convert it to JPEG or PNG"),
    (0, b"II+\0", "a TIFF image; convert it to JPEG or PNG"),
    (0, b"MM\0+", "a TIFF image; convert it to JPEG or PNG"),
    (4, b"ftypavif", "an AVIF image; convert it to JPEG or PNG"),
    (4, b"ftypavis", "an AVIF image; convert it to JPEG or PNG"),
    (4, b"ftyphe", "a HEIC image; convert it to JPEG or PNG"),
    (4, b"ftypmif1", "a HEIC image; convert it to JPEG or PNG"),
    (4, b"ftypmsf1", "a HEIC image; convert it to JPEG or PNG"),
    (4, b"ftyp", "a video or an image of another kind (ISO media file); convert it to JPEG or PNG"),
    (0, b"\xff\x0a", "a JPEG XL image; convert it to JPEG or PNG"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL image; convert it to JPEG or PNG"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image; convert it to JPEG or PNG"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image; convert it to JPEG or PNG"),
    (0, b"8BPS", "a Photoshop image; convert it to JPEG or PNG"),
    (0, b"\0\0\x01\0", "an icon (ICO); convert it to JPEG or PNG"),
    (0, b"qoif", "a QOI image; convert it to JPEG or PNG"),
    (0, b"v/1\x01", "an OpenEXR image; convert it to JPEG or PNG"),
    (0, b"DDS ", "a DDS image; convert it to JPEG or PNG"),
    (0, b"#?RADIANCE", "a Radiance HDR image; convert it to JPEG or PNG"),
    (0, b"P4\n", "a PBM image; convert it to JPEG or PNG"),
    (0, b"P5\n", "a PGM image; convert it to JPEG or PNG"),
    (0, b"P6\n", "a PPM image; convert it to JPEG or PNG"),
    (0, b"<svg", "an SVG image; convert it to JPEG or PNG"),
    (0, b"%PDF", "a PDF document, no image"),
    (0, b"PK\x03\x04", "a zip archive, no image; unpack it"),
    (0, b"\x1f\x8b", "a gzip stream, no image; unpack it"),
    (0, b"\x93NUMPY", "a NumPy array, no image; convert it to PNG"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the image itself; fetch it with `git lfs pull`"),
    (0, b"<!DOCTYPE", "an HTML page, no image; download the image again"),
    (0, b"<!doctype", "an HTML page, no image; download the image again"),
    (0, b"<html", "an HTML page, no image; download the image again"),
    (0, b"<HTML", "an HTML page, no image; download the image again"),
    (0, b"P3\n", "a PPM image; convert it to JPEG or PNG"),
    (0, b"<?xml", "an XML file, no image that is read"),
];

impl Format {
    /// The format of a file that is decoded.
    ///
    /// # Errors
    /// [`ImageProblem::Empty`], [`ImageProblem::OtherFormat`] or [`ImageProblem::UnknownFormat`].
    pub(super) fn of(bytes: &[u8]) -> Result<Self, ImageProblem> {
        if bytes.starts_with(jpeg::SIGNATURE) {
            Ok(Self::Jpeg)
        } else if bytes.starts_with(PNG_SIGNATURE) {
            Ok(Self::Png)
        } else if bytes.starts_with(b"RIFF") && has(bytes, 8, b"WEBP") {
            Ok(Self::WebP)
        } else if is_bmp(bytes) {
            Ok(Self::Bmp)
        } else {
            Err(problem(bytes))
        }
    }
}

fn has(bytes: &[u8], at: usize, signature: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(signature))
}

/// Two letters are no proof: the length of the second header must be one that exists.
fn is_bmp(bytes: &[u8]) -> bool {
    let header = bytes.get(14..18).map(|length| u32::from_le_bytes(length.try_into().expect("four bytes")));
    bytes.starts_with(b"BM") && matches!(header, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

fn problem(bytes: &[u8]) -> ImageProblem {
    if bytes.is_empty() {
        return ImageProblem::Empty;
    }
    let known = OTHERS.iter().find(|(at, signature, _)| has(bytes, *at, signature));
    known.map_or_else(
        || ImageProblem::UnknownFormat(bytes[..bytes.len().min(8)].to_vec()),
        |(_, _, what)| ImageProblem::OtherFormat(what),
    )
}

/// Refuses a WebP file that is shorter than its header says: the decoder might make up the rest.
pub(super) fn check_webp(bytes: &[u8]) -> Result<(), ImageProblem> {
    let announced = bytes.get(4..8).map(|length| u32::from_le_bytes(length.try_into().expect("four bytes")));
    match announced.is_some_and(|announced| announced as usize + 8 <= bytes.len()) {
        true => Ok(()),
        false => Err(ImageProblem::Truncated { bytes: bytes.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d18_formats_that_are_not_read_are_named() {
        let cases: [(&[u8], &str); 6] = [
            (b"GIF87a\x01\0", "a GIF image; convert it to JPEG or PNG"),
            (b"MM\0*\0\0\0\x08", "a TIFF image; convert it to JPEG or PNG"),
            (b"\0\0\0\x18ftypheic\0\0", "a HEIC image; convert it to JPEG or PNG"),
            (b"\0\0\0\x1cftypavif\0\0", "an AVIF image; convert it to JPEG or PNG"),
            (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image; convert it to JPEG or PNG"),
            (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS, not the image itself; fetch it"),
        ];
        for (bytes, expected) in cases {
            let message = Format::of(bytes).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
        assert_eq!(Format::of(b""), Err(ImageProblem::Empty));
        assert_eq!(Format::of(b"BMW is a car").unwrap_err().sort(), "unknown format");
        assert_eq!(Format::of(b"RIFF\x24\0\0\0WAVEfmt ").unwrap_err().sort(), "unknown format");
    }
}
