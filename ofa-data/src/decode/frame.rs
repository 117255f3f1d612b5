//! The parts of a JPEG header that determine how the file can be decoded.

use std::iter;
use std::ops::Range;

use crate::decode::check_size;
use crate::error::ImageProblem;

/// Upper bound on pixels per byte of file. An 8 x 8 block takes at least one bit, so 512 pixels fit in a byte; this is
/// twice that.
const MAX_PIXELS_A_BYTE: usize = 1024;
pub(super) const START_OF_IMAGE: u8 = 0xd8;
pub(super) const END_OF_IMAGE: u8 = 0xd9;

/// Extra rows needed below the wanted ones: colour at half height is interpolated from the rows above and below.
pub(super) const ROWS_BELOW: usize = 2;

pub(super) const START_OF_SCAN: u8 = 0xda;
pub(super) const RESTART_INTERVAL: u8 = 0xdd;

/// Contents of a start-of-frame segment.
#[derive(Debug)]
pub(super) struct Frame {
    /// The start-of-frame marker, which gives the coding process.
    pub(super) marker: u8,
    /// Bits per sample.
    pub(super) precision: u8,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) channels: usize,
    /// Height of a minimum coded unit in rows.
    pub(super) unit_rows: usize,
    /// File offset of the height field.
    height_at: usize,
}

impl Frame {
    /// Finds and parses the start of frame; rejects images of more than `limit` pixels.
    pub(super) fn find(bytes: &[u8], limit: usize) -> Result<Self, ImageProblem> {
        let missing = || match has_end_of_image(bytes) {
            true => ImageProblem::Jpeg { bytes: bytes.len(), reason: "no start-of-frame marker".into() },
            false => ImageProblem::Truncated { bytes: bytes.len() },
        };
        let (marker, range) = segments(bytes).find(|&(marker, _)| starts_frame(marker)).ok_or_else(missing)?;
        let frame = Self::read(bytes, marker, range).ok_or_else(missing)?;
        if frame.width == 0 || frame.height == 0 {
            let reason = format!("the image has {} x {} pixels", frame.width, frame.height);
            return Err(ImageProblem::Jpeg { bytes: bytes.len(), reason });
        }
        check_dimensions(frame.width, frame.height, bytes.len(), limit)?;
        Ok(frame)
    }

    fn read(bytes: &[u8], marker: u8, range: Range<usize>) -> Option<Self> {
        let height_at = range.start + 1;
        let &[precision, h1, h0, w1, w0, channels, ref components @ ..] = &bytes[range] else { return None };
        let sampling = components.chunks_exact(3).map(|component| usize::from(component[1] & 0xf));
        Some(Self {
            marker,
            precision,
            width: usize::from(u16::from_be_bytes([w1, w0])),
            height: usize::from(u16::from_be_bytes([h1, h0])),
            channels: usize::from(channels),
            unit_rows: 8 * sampling.max()?.max(1),
            height_at,
        })
    }

    /// A copy of the file whose header claims only `rows` rows. `None` if that saves nothing, or if the data is not a
    /// single baseline scan without restarts.
    pub(super) fn shortened(&self, bytes: &[u8], rows: usize) -> Option<Vec<u8>> {
        if !self.has_blocks_below(rows) || !self.is_one_plain_scan(bytes) {
            return None;
        }
        let height = u16::try_from(rows).expect("less than the height, which has 16 bits");
        let mut shortened = bytes.to_vec();
        shortened[self.height_at..self.height_at + 2].copy_from_slice(&height.to_be_bytes());
        Some(shortened)
    }

    /// Whether the file has data that the first `rows` rows do not need.
    fn has_blocks_below(&self, rows: usize) -> bool {
        rows.div_ceil(self.unit_rows) < self.height.div_ceil(self.unit_rows)
    }

    fn is_one_plain_scan(&self, bytes: &[u8]) -> bool {
        let is_plain = |(marker, range): (u8, Range<usize>)| match marker {
            RESTART_INTERVAL => bytes[range].iter().all(|&byte| byte == 0),
            START_OF_SCAN => bytes[range].first().map(|&channels| usize::from(channels)) == Some(self.channels),
            _ => true,
        };
        matches!(self.marker, 0xc0 | 0xc1) && self.precision == 8 && segments(bytes).all(is_plain)
    }
}

/// Markers and payload ranges of the segments up to and including the first start of scan.
pub(super) fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, Range<usize>)> {
    let mut at = 2;
    let mut over = false;
    iter::from_fn(move || {
        // Any number of 0xff bytes may precede a marker.
        let fill = bytes.get(at..)?.iter().take_while(|&&byte| byte == 0xff).count();
        let start = at + fill;
        let &[marker, l1, l0, ..] = bytes.get(start..)? else { return None };
        let end = start + 1 + usize::from(u16::from_be_bytes([l1, l0]));
        if over || fill == 0 || end < start + 3 || end > bytes.len() {
            return None;
        }
        (at, over) = (end, marker == START_OF_SCAN);
        Some((marker, start + 3..end))
    })
}

/// Whether a marker is a start of frame: 0xc0 to 0xcf, except three.
fn starts_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// Rejects images of more than `limit` pixels, or of more than a file of `bytes` bytes can hold: a header of a few
/// bytes must not cause seconds of work.
pub(super) fn check_dimensions(width: usize, height: usize, bytes: usize, limit: usize) -> Result<(), ImageProblem> {
    check_size(width, height, limit)?;
    match width * height > bytes.saturating_mul(MAX_PIXELS_A_BYTE) {
        true => Err(ImageProblem::Jpeg { bytes, reason: format!("too short for {width} x {height} pixels") }),
        false => Ok(()),
    }
}

/// Whether the image has an end-of-image marker.
pub(super) fn has_end_of_image(bytes: &[u8]) -> bool {
    end_of_image(bytes).is_some()
}

/// Offset of the image's end-of-image marker, ignoring those of thumbnails inside segments.
pub(super) fn end_of_image(bytes: &[u8]) -> Option<usize> {
    if bytes.ends_with(&[0xff, END_OF_IMAGE]) {
        return Some(bytes.len() - 2);
    }
    // Trailing bytes follow the image, or it is truncated: walk from marker to marker.
    let mut at = 0;
    while let Some(distance) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xff)) {
        let marker = at + distance + 1;
        at = match bytes.get(marker) {
            None => return None,
            Some(&END_OF_IMAGE) => return Some(marker - 1),
            // Any number of 0xff bytes may precede a marker.
            Some(0xff) => marker,
            // A stuffed 0xff in image data, a restart marker or the start of image: no segment follows.
            Some(0x00 | 0x01 | 0xd0..=START_OF_IMAGE) => marker + 1,
            Some(_) => match bytes.get(marker + 1..marker + 3) {
                Some(length) => marker + 1 + usize::from(u16::from_be_bytes([length[0], length[1]])),
                None => return None,
            },
        };
    }
    None
}
