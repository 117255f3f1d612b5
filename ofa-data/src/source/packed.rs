//! Decoded images of one size, in memory.

use crate::decode::Image;

#[derive(Debug)]
pub(crate) struct PackedImages {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// 1 (gray) or 3 (RGB).
    pub(crate) channels: usize,
    /// `[image, height, width, channels]`
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Vec<u32>,
    /// Identifies the content: checksums of the source files.
    pub(crate) checksum: String,
}

impl PackedImages {
    /// A copy of image `i`.
    pub(crate) fn image(&self, i: usize) -> Image {
        let size = self.width * self.height * self.channels;
        let pixels = self.pixels[i * size..(i + 1) * size].to_vec();
        Image { width: self.width, height: self.height, channels: self.channels, pixels }
    }
}
