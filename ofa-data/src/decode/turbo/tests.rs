//! Tests of `turbo`.

use super::*;
use crate::decode::frame::{RESTART_INTERVAL, START_OF_SCAN, segments};
use crate::decode::{Damage, MAX_PIXELS, jpeg};
use turbojpeg::{Compressor, Subsamp};

const RGB: &[u8] = include_bytes!("../../../fixtures/gradient_rgb.jpg");
const CMYK: &[u8] = include_bytes!("../../../fixtures/gradient_cmyk.jpg");
const GRAY: &[u8] = include_bytes!("../../../fixtures/gradient_gray.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../../fixtures/gradient_progressive.jpg");

const SAMPLINGS: [Subsamp; 7] =
    [Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub2x2, Subsamp::Sub1x2, Subsamp::Sub4x1, Subsamp::Sub1x4, Subsamp::Gray];

/// Pseudorandom numbers.
fn noise(seed: u32) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    }
}

/// Compresses noise over a gradient.
fn compressed(width: usize, height: usize, sampling: Subsamp, progressive: bool) -> Vec<u8> {
    let mut draw = noise(7);
    let pixels: Vec<u8> =
        (0..width * height * 3).map(|at| (at / width % 128 + draw(128)).try_into().unwrap()).collect();
    let image = turbojpeg::Image { pixels: &pixels[..], width, pitch: width * 3, height, format: PixelFormat::RGB };
    let mut compressor = Compressor::new().unwrap();
    compressor.set_subsamp(sampling).unwrap();
    compressor.set_quality(80).unwrap();
    compressor.set_progressive(progressive).unwrap();
    compressor.compress_to_vec(image).unwrap()
}

fn decode(bytes: &[u8]) -> Result<Option<Image>, ImageProblem> {
    super::decode(bytes, MAX_PIXELS)
}

fn decode_region(
    bytes: &[u8],
    left: usize,
    top: usize,
    width: usize,
    height: usize,
) -> Result<Option<Region>, ImageProblem> {
    super::decode_region(bytes, Rectangle { left, top, width, height }, MAX_PIXELS)
}

fn size(bytes: &[u8]) -> Result<(usize, usize), ImageProblem> {
    Frame::find(bytes, MAX_PIXELS).map(|frame| (frame.width, frame.height))
}

fn insert(bytes: &[u8], at: usize, inserted: &[u8]) -> Vec<u8> {
    [&bytes[..at], inserted, &bytes[at..]].concat()
}

/// Offset of the first segment with this marker.
fn segment(bytes: &[u8], marker: u8) -> usize {
    segments(bytes).find(|&(found, _)| found == marker).unwrap().1.start - 4
}

fn with_size(bytes: &[u8], width: u16, height: u16) -> Vec<u8> {
    let mut forged = bytes.to_vec();
    let at = segment(bytes, 0xc0) + 5;
    forged[at..at + 4].copy_from_slice(&[height.to_be_bytes(), width.to_be_bytes()].concat());
    forged
}

fn assert_same(region: &Region, whole: &Image, [left, top, width, height]: [usize; 4]) {
    assert!(region.left <= left && left + width <= region.left + region.image.width);
    assert!(region.top <= top && top + height <= region.top + region.image.height);
    assert_eq!(region.image.channels, whole.channels);
    assert_eq!(region.image.pixels.len(), region.image.width * region.image.height * whole.channels);
    for row in top..top + height {
        let of = |image: &Image, left: usize, row: usize| {
            let at = (row * image.width + left) * image.channels;
            image.pixels[at..at + width * image.channels].to_vec()
        };
        let found = of(&region.image, left - region.left, row - region.top);
        assert_eq!(found, of(whole, left, row), "row {row} of {width} x {height} at ({left}, {top})");
    }
}

#[test]
fn regions_are_cut_from_the_whole_at_every_height() {
    for sampling in SAMPLINGS {
        for height in [67, 80] {
            let bytes = compressed(53, height, sampling, false);
            let whole = decode(&bytes).unwrap().unwrap();
            for bottom in 1..=height {
                let rectangle = [3, bottom / 2, 40, bottom - bottom / 2];
                let [left, top, w, h] = rectangle;
                let region = decode_region(&bytes, left, top, w, h).unwrap().unwrap();
                assert_same(&region, &whole, rectangle);
                let shortened = bottom + ROWS_BELOW < height / 32 * 32;
                assert!(!shortened || region.image.height == bottom + ROWS_BELOW, "{sampling:?} {bottom}");
            }
        }
    }
}

#[test]
fn random_regions_are_cut_from_the_whole() {
    let mut draw = noise(1);
    for sampling in SAMPLINGS {
        for progressive in [false, true] {
            let (width, height) = (1 + draw(150), 1 + draw(150));
            let bytes = compressed(width, height, sampling, progressive);
            let whole = decode(&bytes).unwrap().unwrap();
            assert_eq!(size(&bytes), Ok((width, height)));
            assert_eq!(whole.channels, if sampling == Subsamp::Gray { 1 } else { 3 });
            for _ in 0..40 {
                let (left, top) = (draw(width), draw(height));
                let (w, h) = (1 + draw(width - left), 1 + draw(height - top));
                let region = decode_region(&bytes, left, top, w, h).unwrap().unwrap();
                assert_same(&region, &whole, [left, top, w, h]);
                assert!(!progressive || region.image.height == height);
            }
        }
    }
}

#[test]
fn pictures_are_those_of_the_other_decoder() {
    for bytes in [RGB, GRAY, PROGRESSIVE] {
        let (image, other) =
            (decode(bytes).unwrap().unwrap(), jpeg::decode(bytes, Damage::Refuse, MAX_PIXELS).unwrap());
        assert_eq!((image.width, image.height, image.channels), (other.width, other.height, other.channels));
        let off = image.pixels.iter().zip(&other.pixels).map(|(&a, &b)| a.abs_diff(b)).max();
        assert!(off <= Some(4), "off by {off:?}");
    }
}

#[test]
fn kinds_that_are_left_to_the_other_decoder_have_a_size() {
    assert_eq!(size(CMYK), Ok((24, 16)));
    assert_eq!(decode(CMYK), Ok(None));
    assert_eq!(decode_region(CMYK, 0, 0, 1, 1), Ok(None));
    let mut deep = RGB.to_vec();
    deep[segment(RGB, 0xc0) + 4] = 12;
    assert_eq!(decode(&deep), Ok(None));
    let mut arithmetic = RGB.to_vec();
    arithmetic[segment(RGB, 0xc0) + 1] = 0xc9;
    assert_eq!((size(&arithmetic), decode(&arithmetic)), (Ok((24, 16)), Ok(None)));
}

#[test]
fn files_with_restart_markers_are_decoded_whole() {
    let bytes = compressed(50, 70, Subsamp::Sub2x2, false);
    let scan = segment(&bytes, START_OF_SCAN);
    for (interval, height) in [(0, 12), (255, 70)] {
        let restarting = insert(&bytes, scan, &[0xff, RESTART_INTERVAL, 0, 4, 0, interval]);
        let region = decode_region(&restarting, 0, 0, 10, 10).unwrap().unwrap();
        assert_eq!(region.image.height, height);
        assert_same(&region, &decode(&bytes).unwrap().unwrap(), [0, 0, 10, 10]);
    }
}

#[test]
fn truncated_files_are_errors_wherever_they_end() {
    let bytes = compressed(40, 40, Subsamp::Sub2x2, false);
    for length in 2..bytes.len() {
        let cut_off = &bytes[..length];
        let problem = ImageProblem::Truncated { bytes: length };
        assert_eq!(decode(cut_off), Err(problem.clone()));
        assert_eq!(decode_region(cut_off, 0, 0, 9, 9), Err(problem));
    }
}

#[test]
fn warnings_are_errors_with_the_words_of_the_library() {
    let bytes = compressed(40, 70, Subsamp::Sub2x2, false);
    let scan = segments(&bytes).last().unwrap().1.end;
    let reason = |result: Result<Option<Region>, ImageProblem>| match result {
        Err(ImageProblem::Jpeg { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let whole = |bytes| decode(bytes).map(|image| image.map(|image| Region { image, left: 0, top: 0 }));
    let mut missing = bytes.clone();
    missing.drain(scan + 50..bytes.len() - 2);
    let expected = "Corrupt JPEG data: premature end of data segment";
    assert_eq!(reason(whole(&missing)), expected);
    assert_eq!(reason(decode_region(&missing, 0, 0, 9, 30)), expected);
    let junk = insert(&bytes, bytes.len() - 2, &[1, 2, 3]);
    let found = reason(whole(&junk));
    assert!(found.starts_with("Corrupt JPEG data: ") && found.ends_with(MORE_DATA), "{found}");
    let mut damaged = bytes.clone();
    // No code is all ones.
    damaged[scan + 40..scan + 60].copy_from_slice(&[0xff, 0].repeat(10));
    let expected = "Corrupt JPEG data: bad Huffman code";
    assert_eq!(reason(decode_region(&damaged, 0, 0, 9, 30)), expected);
    assert_eq!(reason(whole(&damaged)), expected);
}

#[test]
fn a_file_of_more_scans_than_any_is_refused_by_both_decoders() {
    let bytes = compressed(40, 40, Subsamp::Gray, true);
    let last = (0..bytes.len()).rfind(|&at| bytes[at..].starts_with(&[0xff, START_OF_SCAN])).unwrap();
    let end = bytes.len() - 2;
    let forged = insert(&bytes, end, &bytes[last..end].repeat(200));
    let reason = decode(&forged).unwrap_err().to_string();
    assert!(reason.ends_with("Progressive JPEG image has more than 100 scans"), "{reason}");
    let problem = crate::decode::decode(&forged, 1).unwrap_err();
    assert!(matches!(problem, ImageProblem::Jpeg { .. }), "{problem:?}");
}

#[test]
fn damage_below_a_region_does_not_matter_to_it() {
    let bytes = compressed(40, 200, Subsamp::Sub2x2, false);
    let mut damaged = bytes.clone();
    damaged.drain(bytes.len() - 300..bytes.len() - 100);
    assert!(decode(&damaged).is_err());
    let region = decode_region(&damaged, 0, 0, 40, 20).unwrap();
    assert!(region.is_some());
    assert_eq!(region, decode_region(&bytes, 0, 0, 40, 20).unwrap());
}

#[test]
fn regions_of_damaged_files_are_those_of_the_whole_or_errors() {
    let mut draw = noise(3);
    let mut accepted = 0;
    for round in 0..2000 {
        let mut bytes = compressed(40, 40, SAMPLINGS[round % SAMPLINGS.len()], round % 2 == 1);
        let at = 2 + draw(bytes.len() - 4);
        bytes[at] = draw(256).try_into().unwrap();
        let Ok((width, height)) = size(&bytes) else { continue };
        let Ok(Some(whole)) = decode(&bytes) else { continue };
        let h = 1 + draw(height);
        let region = decode_region(&bytes, 0, 0, width, h).unwrap().unwrap();
        assert_same(&region, &whole, [0, 0, width, h]);
        accepted += 1;
    }
    assert!(accepted > 200, "{accepted}");
}

#[test]
fn a_forged_size_is_refused_before_memory_is_taken() {
    let forged = with_size(RGB, 65_500, 65_500);
    let problem = ImageProblem::TooLarge { width: 65_500, height: 65_500, limit: MAX_PIXELS };
    assert_eq!(size(&forged), Err(problem.clone()));
    assert_eq!(decode(&forged), Err(problem.clone()));
    assert_eq!(decode_region(&forged, 0, 0, 1, 1), Err(problem));
    // Larger than the library supports.
    assert_eq!(decode(&with_size(RGB, 65_535, 1)), Ok(None));
    let problem = size(&with_size(RGB, 0, 10)).unwrap_err();
    assert_eq!(problem.to_string(), "broken jpeg (735 bytes): the image has 0 x 10 pixels");
}

#[test]
fn a_header_that_makes_no_sense_is_an_error() {
    for marker in [0xc0, 0xc4, 0xda, 0xdb] {
        for at in 0..12 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut odd = RGB.to_vec();
                odd[segment(RGB, marker) + at] = value;
                // Any result is fine, except a panic.
                let _ = (size(&odd), decode(&odd));
                let _ = size(&odd).is_ok_and(|(w, h)| decode_region(&odd, 0, 0, w, h / 2).is_ok());
            }
        }
    }
    let reason = "no start-of-frame marker".to_owned();
    let empty = [0xff, 0xd8, 0xff, 0xd9];
    assert_eq!(size(&empty), Err(ImageProblem::Jpeg { bytes: 4, reason }));
}

#[test]
#[should_panic(expected = "20 x 1 at (5, 0) of 24 x 16")]
fn regions_beyond_the_image_are_refused() {
    let _ = decode_region(RGB, 5, 0, 20, 1);
}
