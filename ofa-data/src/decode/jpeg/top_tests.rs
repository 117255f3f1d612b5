//! Tests of `decode_top`.

use super::*;
use crate::decode::MAX_PIXELS;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

const SAMPLINGS: [SamplingFactor; 4] =
    [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_1_2, SamplingFactor::F_2_2];

fn decode(bytes: &[u8], damage: Damage) -> Result<Image, ImageProblem> {
    super::decode(bytes, damage, MAX_PIXELS)
}

fn decode_top(bytes: &[u8], bottom: usize) -> Option<Image> {
    super::decode_top(bytes, bottom, MAX_PIXELS)
}

/// Compresses noise over a gradient.
fn compressed(size: [usize; 2], color: ColorType, set_up: impl Fn(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let [width, height] = size;
    let mut state = 7u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as usize % 128
    };
    let values = width * height * if color == ColorType::Luma { 1 } else { 3 };
    let pixels: Vec<u8> = (0..values).map(|at| (at / width % 128 + noise()) as u8).collect();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 80);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    set_up(&mut encoder);
    encoder.encode(&pixels, width as u16, height as u16, color).unwrap();
    bytes
}

fn strict(bytes: &[u8]) -> Image {
    decode(bytes, Damage::Refuse).unwrap()
}

/// Asserts that `top` equals the beginning of `whole` and reaches down to `bottom`.
fn assert_top(top: &Image, whole: &Image, bottom: usize) {
    assert_eq!((top.width, top.channels), (whole.width, whole.channels));
    assert!(top.height >= bottom && top.height < whole.height);
    let values = bottom * whole.width * whole.channels;
    assert!(top.pixels[..values] == whole.pixels[..values], "the {bottom} first rows differ");
}

#[test]
fn rows_are_those_of_the_whole_at_every_height() {
    let gray = (ColorType::Luma, SamplingFactor::F_1_1);
    for (color, sampling) in SAMPLINGS.map(|sampling| (ColorType::Rgb, sampling)).into_iter().chain([gray]) {
        for height in [67, 80] {
            let bytes = compressed([53, height], color, |encoder| encoder.set_sampling_factor(sampling));
            let whole = strict(&bytes);
            let tops = (1..=height).filter_map(|bottom| decode_top(&bytes, bottom).map(|top| (bottom, top)));
            let count = tops.inspect(|(bottom, top)| assert_top(top, &whole, *bottom)).count();
            // All except those that reach into the last unit of 16 rows, the largest unit here.
            assert!(count >= (height - 1) / 16 * 16 - ROWS_BELOW, "{sampling:?}: {count} of {height}");
        }
    }
}

#[test]
fn files_with_scans_or_restarts_are_decoded_whole() {
    let in_scans = compressed([53, 90], ColorType::Rgb, |encoder| encoder.set_progressive(true));
    // Colour at a quarter of the height: this encoder writes one scan per channel.
    let by_channel = compressed([53, 90], ColorType::Rgb, |encoder| encoder.set_sampling_factor(SamplingFactor::F_1_4));
    let with_restarts = compressed([53, 90], ColorType::Rgb, |encoder| encoder.set_restart_interval(2));
    for bytes in [in_scans, by_channel, with_restarts] {
        assert_eq!(decode_top(&bytes, 10), None);
        assert_eq!(strict(&bytes).height, 90);
    }
}

#[test]
fn damage_below_does_not_matter_but_a_missing_end_does() {
    let bytes = compressed([53, 200], ColorType::Rgb, |_| ());
    let mut damaged = bytes.clone();
    let below = bytes.len() - 3000;
    // No code is all ones.
    damaged[below..below + 100].copy_from_slice(&[0xff, 0].repeat(50));
    assert!(decode(&damaged, Damage::Refuse).is_err());
    assert_eq!(decode_top(&damaged, 20), decode_top(&bytes, 20));
    assert_eq!(decode_top(&bytes[..bytes.len() - 1], 20), None);
}

#[test]
fn rows_of_damaged_files_are_those_of_the_whole_or_none() {
    let mut accepted = 0;
    for round in 0..2000 {
        let sampling = SAMPLINGS[round % SAMPLINGS.len()];
        let mut bytes = compressed([40, 70], ColorType::Rgb, |encoder| encoder.set_sampling_factor(sampling));
        let at = 2 + round * 7919 % (bytes.len() - 4);
        bytes[at] = (round * 31) as u8;
        let (whole, top) = (decode(&bytes, Damage::Refuse), decode_top(&bytes, 20));
        if let (Ok(whole), Some(top)) = (whole, top) {
            assert_top(&top, &whole, 20);
            accepted += 1;
        }
    }
    assert!(accepted > 200, "{accepted}");
}

#[test]
fn sound_files_do_not_reach_the_stop_behind_their_data() {
    let plain = SAMPLINGS.map(|sampling| compressed([53, 67], ColorType::Rgb, |e| e.set_sampling_factor(sampling)));
    let others = [
        compressed([53, 67], ColorType::Luma, |encoder| encoder.set_sampling_factor(SamplingFactor::F_1_1)),
        compressed([53, 67], ColorType::Rgb, |encoder| encoder.set_progressive(true)),
        compressed([53, 67], ColorType::Rgb, |encoder| encoder.set_restart_interval(2)),
        compressed([53, 67], ColorType::Rgb, |encoder| encoder.set_sampling_factor(SamplingFactor::F_1_4)),
        include_bytes!("../../../fixtures/gradient_rgb.jpg").to_vec(),
        include_bytes!("../../../fixtures/gradient_progressive.jpg").to_vec(),
        include_bytes!("../../../fixtures/gradient_cmyk.jpg").to_vec(),
        include_bytes!("../../../fixtures/gradient_ycck.jpg").to_vec(),
    ];
    for bytes in plain.into_iter().chain(others) {
        assert_eq!(decode(&bytes, Damage::Refuse), decode(&bytes, Damage::Show));
    }
}
