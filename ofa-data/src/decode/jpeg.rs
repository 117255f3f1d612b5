//! Strict decoding of JPEG files.

use std::borrow::Cow;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::decode::frame::{
    END_OF_IMAGE, Frame, ROWS_BELOW, START_OF_IMAGE, START_OF_SCAN, check_dimensions, end_of_image, segments,
};
use crate::decode::{Damage, Image};
use crate::error::ImageProblem;

/// The first bytes of every JPEG file.
pub(crate) const SIGNATURE: &[u8] = &[0xff, START_OF_IMAGE, 0xff];

const PROGRESSIVE: u8 = 0xc2;

/// Decodes a JPEG file of at most `limit` pixels to gray if it is stored in gray, else to RGB.
///
/// Damage that still decodes, such as a flipped bit, goes unnoticed: JPEG has no checksums. So does missing data of a
/// progressive file in scans before the last, or missing whole scans.
pub(crate) fn decode(bytes: &[u8], damage: Damage, limit: usize) -> Result<Image, ImageProblem> {
    let broken =
        |reason: zune_jpeg::errors::DecodeErrors| ImageProblem::Jpeg { bytes: bytes.len(), reason: reason.to_string() };
    // Even a strict decoder fills in data missing before the end-of-image marker.
    let is_strict = damage == Damage::Refuse;
    let data = match is_strict {
        true => with_stop(bytes, end_of_image(bytes).ok_or(ImageProblem::Truncated { bytes: bytes.len() })?),
        false => Cow::Borrowed(bytes),
    };
    // The size is limited by `check_dimensions` below, not per side.
    let options = DecoderOptions::default()
        .set_strict_mode(is_strict)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&*data), options);
    decoder.decode_headers().map_err(broken)?;
    let (width, height) = decoder.dimensions().expect("the header was just decoded");
    check_dimensions(width, height, bytes.len(), limit)?;
    let gray = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let (channels, space) = if gray { (1, ColorSpace::Luma) } else { (3, ColorSpace::RGB) };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let pixels = decoder.decode().map_err(broken)?;
    assert_eq!(pixels.len(), width * height * channels, "a jpeg of {width} x {height} x {channels}");
    Ok(Image { width, height, channels, pixels })
}

/// Number of 0xff bytes that is certain to stop a decoder: a code has at most 16 bits, and so does the value that
/// follows it.
const STOP: usize = 16;

/// The image up to its end-of-image marker at `end`, with all-ones bytes appended to its data. No JPEG code is all
/// ones: a decoder that reads past the data gets an error instead of making up zeros. A decoder that has all it needs
/// never reads them.
///
/// In a progressive file this covers only the last scan. A progressive file with a single scan is left unchanged,
/// because the decoder must find the end of the first scan while reading it.
fn with_stop(bytes: &[u8], end: usize) -> Cow<'_, [u8]> {
    let Some((_, scan)) = segments(bytes).find(|&(marker, _)| marker == START_OF_SCAN) else {
        return Cow::Borrowed(bytes);
    };
    let is_progressive = segments(bytes).any(|(marker, _)| marker == PROGRESSIVE);
    let has_more_scans = || bytes[scan.end..].windows(2).any(|pair| pair == [0xff, START_OF_SCAN]);
    if end < scan.end || is_progressive && !has_more_scans() {
        return Cow::Borrowed(bytes);
    }
    let ones = [0xff_u8, 0].repeat(STOP);
    Cow::Owned([&bytes[..end], &ones[..], &[0xff, END_OF_IMAGE]].concat())
}

/// Largest unit height for partial decoding. Files with larger units (colour at a quarter of the height) are rare; they
/// are decoded whole.
const MAX_UNIT_ROWS: usize = 16;

/// Decodes a JPEG file down to row `bottom` and slightly further; the rows above `bottom` are identical to those of
/// [`decode`]. `None` if the file must be decoded whole, because nothing would be saved or something is wrong.
///
/// Data below is not checked, except for the end-of-image marker: damage there goes unnoticed.
pub(crate) fn decode_top(bytes: &[u8], bottom: usize, limit: usize) -> Option<Image> {
    let frame = Frame::find(bytes, limit).ok().filter(|frame| frame.unit_rows <= MAX_UNIT_ROWS)?;
    let shortened = frame.shortened(bytes, bottom + ROWS_BELOW)?;
    decode(&shortened, Damage::Refuse, limit).ok()
}

/// Whether `bytes` is a gray or YCbCr JPEG, which every reader supports; CMYK is not.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    let mut decoder = JpegDecoder::new(ZCursor::new(bytes));
    let is_read = bytes.starts_with(SIGNATURE) && decoder.decode_headers().is_ok();
    is_read && matches!(decoder.input_colorspace(), Some(ColorSpace::Luma | ColorSpace::YCbCr))
}

#[cfg(test)]
mod top_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::MAX_PIXELS;

    fn decode(bytes: &[u8]) -> Result<Image, ImageProblem> {
        super::decode(bytes, Damage::Refuse, MAX_PIXELS)
    }

    const WHOLE: &[u8] = include_bytes!("../../fixtures/gradient_rgb.jpg");

    #[test]
    fn truncated_files_are_errors_wherever_they_end() {
        for length in 3..WHOLE.len() {
            let problem = decode(&WHOLE[..length]).unwrap_err();
            assert_eq!(problem, ImageProblem::Truncated { bytes: length });
        }
    }

    #[test]
    fn what_is_left_of_a_truncated_file_can_be_shown() {
        let whole = decode(WHOLE).unwrap();
        let cut = super::decode(&WHOLE[..WHOLE.len() - 24], Damage::Show, MAX_PIXELS).unwrap();
        assert_eq!((cut.width, cut.height), (whole.width, whole.height));
        // The first 16 x 16 block is present, except for colour interpolation at its edge; the second one is missing.
        let (row, block) = (whole.width * whole.channels, 12 * whole.channels);
        for y in 0..whole.height {
            assert_eq!(cut.pixels[y * row..y * row + block], whole.pixels[y * row..y * row + block], "row {y}");
        }
        assert_ne!(cut.pixels, whole.pixels);
        assert!(super::decode(&WHOLE[..40], Damage::Show, MAX_PIXELS).is_err());
    }

    #[test]
    fn data_that_ends_before_the_picture_is_an_error_although_the_end_marker_is_there() {
        // The last 112 bytes, except for the marker, are image data.
        for missing in 1..=100 {
            let cut = [&WHOLE[..WHOLE.len() - 2 - missing], &WHOLE[WHOLE.len() - 2..]].concat();
            for bytes in [cut.clone(), [&cut[..], b"what follows"].concat()] {
                let problem = decode(&bytes).unwrap_err().to_string();
                assert!(problem.starts_with(&format!("broken jpeg ({} bytes): ", bytes.len())), "{problem}");
                assert!(super::decode(&bytes, Damage::Show, MAX_PIXELS).is_ok(), "{missing} bytes");
            }
        }
    }

    #[test]
    fn what_a_progressive_file_lacks_of_whole_scans_goes_unnoticed() {
        let whole = include_bytes!("../../fixtures/gradient_progressive.jpg");
        let scans = (2..whole.len()).filter(|&at| whole[at..].starts_with(&[0xff, START_OF_SCAN]));
        for scan in scans.skip(1) {
            let cut = decode(&[&whole[..scan], &[0xff, END_OF_IMAGE]].concat()).unwrap();
            assert_eq!((cut.width, cut.height), (24, 16));
        }
    }

    #[test]
    fn the_end_marker_of_a_thumbnail_is_not_that_of_the_picture() {
        // An APP1 segment of 4 + 2 bytes that ends like an image.
        let with_thumbnail = [&WHOLE[..2], &[0xff, 0xe1, 0, 6, 0, 0, 0xff, 0xd9], &WHOLE[2..]].concat();
        assert_eq!(decode(&with_thumbnail), decode(WHOLE));
        let cut_off = &with_thumbnail[..with_thumbnail.len() - 24];
        assert_eq!(decode(cut_off), Err(ImageProblem::Truncated { bytes: cut_off.len() }));
    }

    #[test]
    fn what_follows_the_picture_is_ignored() {
        assert_eq!(decode(&[WHOLE, b"\0\0trailing \xff"].concat()), decode(WHOLE));
        assert!(decode(WHOLE).is_ok());
    }

    #[test]
    fn what_the_decoder_refuses_is_an_error() {
        let mut flat = WHOLE.to_vec();
        let frame = flat.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
        flat[frame + 5..frame + 7].copy_from_slice(&[0, 0]);
        let problem = decode(&flat).unwrap_err();
        assert!(matches!(problem, ImageProblem::Jpeg { bytes, .. } if bytes == WHOLE.len()), "{problem:?}");
        assert!(problem.to_string().starts_with("broken jpeg (735 bytes): Image width or height"), "{problem}");
    }

    #[test]
    fn a_size_beyond_the_data_is_refused() {
        let mut forged = WHOLE.to_vec();
        let frame = forged.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
        forged[frame + 5..frame + 9].copy_from_slice(&[0x10, 0, 0x18, 0]);
        for damage in [Damage::Refuse, Damage::Show] {
            let problem = super::decode(&forged, damage, MAX_PIXELS).unwrap_err().to_string();
            assert_eq!(problem, "broken jpeg (735 bytes): too short for 6144 x 4096 pixels");
        }
    }

    #[test]
    fn a_forged_size_is_refused_before_memory_is_taken() {
        let mut forged = WHOLE.to_vec();
        let frame = forged.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
        forged[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
        let problem = decode(&forged).unwrap_err();
        let limit = MAX_PIXELS;
        assert_eq!(problem, ImageProblem::TooLarge { width: 65500, height: 65500, limit });
    }
}
