//! Drawing a square view of an image: crop, resize, flip, erase, on buffers that are used again.

use fast_image_resize::images::{CroppedImage, Image as SliceImage, ImageRef};
use fast_image_resize::{FilterType, IntoImageView, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::decode::Image;

/// Resize(ceil(resolution / 0.875)) before CenterCrop(resolution): 256 for 224.
const CENTER_CROP_SHARE: f64 = 0.875;

/// A square view, drawn into `pixels`.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    /// `[resolution, resolution, channels]`
    pub(crate) pixels: Vec<u8>,
    resolution: usize,
    channels: usize,
    shifted: Vec<u8>,
    resizer: Resizer,
}

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rectangle {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Canvas {
    /// The whole image, whatever its shape.
    pub(crate) fn draw_whole(&mut self, image: &Image, resolution: usize) {
        self.draw(&view_of(image, &image.pixels), image.channels, resolution, options());
    }

    /// The middle of the image, as torchvision's Resize and CenterCrop show it.
    ///
    /// In one step: only the pixels that stay are computed. The filter sees beyond the crop, as it
    /// does when the whole image is resized first.
    pub(crate) fn draw_center_crop(&mut self, image: &Image, resolution: usize) {
        let short = (resolution as f64 / CENTER_CROP_SHARE).ceil();
        let (width, height) = (image.width as f64, image.height as f64);
        let shortest = width.min(height);
        // (offset, extent) of the crop along a side, in pixels of the image
        let along = |side: f64| {
            let resized = (short * side / shortest).floor();
            let offset = ((resized - resolution as f64) / 2.0).round_ties_even() * side / resized;
            (offset, (resolution as f64 * side / resized).min(side - offset))
        };
        let ((left, crop_width), (top, crop_height)) = (along(width), along(height));
        let options = options().crop(left, top, crop_width, crop_height);
        self.draw(&view_of(image, &image.pixels), image.channels, resolution, options);
    }

    /// The pixels of `crop` and no others.
    pub(crate) fn draw_crop(&mut self, image: &Image, crop: Rectangle, resolution: usize) {
        let view = view_of(image, &image.pixels);
        let [left, top, width, height] = [crop.left, crop.top, crop.width, crop.height].map(|side| side as u32);
        let cropped = CroppedImage::new(&view, left, top, width, height)
            .unwrap_or_else(|error| panic!("{crop:?} of {} x {}: {error}", image.width, image.height));
        self.draw(&cropped, image.channels, resolution, options());
    }

    /// The whole image, moved `right` and `down` by pixels of its own size, zeros moving in.
    pub(crate) fn draw_shifted(&mut self, image: &Image, right: i64, down: i64, resolution: usize) {
        let mut shifted = std::mem::take(&mut self.shifted);
        shift(image, right, down, &mut shifted);
        self.draw(&view_of(image, &shifted), image.channels, resolution, options());
        self.shifted = shifted;
    }

    fn draw(&mut self, source: &impl IntoImageView, channels: usize, resolution: usize, options: ResizeOptions) {
        (self.resolution, self.channels) = (resolution, channels);
        self.pixels.resize(resolution * resolution * channels, 0);
        let side = resolution as u32;
        let mut target = SliceImage::from_slice_u8(side, side, &mut self.pixels, pixel_type(channels))
            .expect("the buffer was just made to fit");
        let resized = self.resizer.resize(source, &mut target, &options);
        resized.unwrap_or_else(|error| panic!("{options:?} to {resolution} px: {error}"));
    }

    /// Mirrors what was drawn, left to right.
    pub(crate) fn flip(&mut self) {
        for row in self.pixels.chunks_exact_mut(self.resolution * self.channels) {
            row.reverse();
            // The channels were reversed with the pixels.
            row.chunks_exact_mut(self.channels).for_each(<[u8]>::reverse);
        }
    }

    /// Fills a rectangle of what was drawn with one colour.
    pub(crate) fn erase(&mut self, area: Rectangle, colour: &[u8]) {
        let rows = self.pixels.chunks_exact_mut(self.resolution * self.channels);
        for row in rows.skip(area.top).take(area.height) {
            let row = &mut row[area.left * self.channels..(area.left + area.width) * self.channels];
            row.chunks_exact_mut(self.channels).for_each(|pixel| pixel.copy_from_slice(colour));
        }
    }
}

fn options() -> ResizeOptions {
    // Convolution widens the filter with the scale: the antialiased bilinear of Pillow.
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false)
}

fn pixel_type(channels: usize) -> PixelType {
    match channels {
        1 => PixelType::U8,
        3 => PixelType::U8x3,
        _ => panic!("channels is {channels}, expected 1 or 3"),
    }
}

/// `pixels` in the shape of `image`.
fn view_of<'a>(image: &Image, pixels: &'a [u8]) -> ImageRef<'a> {
    let (width, height, channels) = (image.width, image.height, image.channels);
    ImageRef::new(width as u32, height as u32, pixels, pixel_type(channels))
        .unwrap_or_else(|error| panic!("{} values for {width} x {height} x {channels}: {error}", pixels.len()))
}

fn shift(image: &Image, right: i64, down: i64, shifted: &mut Vec<u8>) {
    shifted.clear();
    shifted.resize(image.pixels.len(), 0);
    let (columns, rows) = (overlap(image.width, right), overlap(image.height, down));
    let row_size = image.width * image.channels;
    let bytes = |column: usize| column * image.channels;
    for row in 0..rows.length {
        let from = (rows.from + row) * row_size + bytes(columns.from);
        let to = (rows.to + row) * row_size + bytes(columns.to);
        let length = bytes(columns.length);
        shifted[to..to + length].copy_from_slice(&image.pixels[from..from + length]);
    }
}

/// What is left of a side when it moves: `length` pixels, from where to where.
struct Overlap {
    from: usize,
    to: usize,
    length: usize,
}

fn overlap(side: usize, by: i64) -> Overlap {
    let distance = (by.unsigned_abs() as usize).min(side);
    let (from, to) = if by < 0 { (distance, 0) } else { (0, distance) };
    Overlap { from, to, length: side - distance }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;

    fn gray(width: usize, height: usize, pixels: &[u8]) -> Image {
        Image { width, height, channels: 1, pixels: pixels.to_vec() }
    }

    const NINE: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

    #[test]
    fn shifting_moves_zeros_in() {
        let image = gray(3, 3, &NINE);
        let mut canvas = Canvas::default();
        for (right, down, expected) in [
            (0, 0, NINE),
            (1, 0, [0, 1, 2, 0, 4, 5, 0, 7, 8]),
            (-1, 0, [2, 3, 0, 5, 6, 0, 8, 9, 0]),
            (0, 2, [0, 0, 0, 0, 0, 0, 1, 2, 3]),
            (-2, -1, [6, 0, 0, 9, 0, 0, 0, 0, 0]),
            (3, 0, [0; 9]),
            (-7, 9, [0; 9]),
        ] {
            canvas.draw_shifted(&image, right, down, 3);
            assert_eq!(canvas.pixels, expected, "{right} right, {down} down");
        }
    }

    #[test]
    fn flipping_mirrors_pixels_not_channels() {
        let mut canvas = Canvas::default();
        canvas.draw_whole(&gray(3, 3, &NINE), 3);
        canvas.flip();
        assert_eq!(canvas.pixels, [3, 2, 1, 6, 5, 4, 9, 8, 7]);
        let colour = Image { width: 2, height: 2, channels: 3, pixels: (1..13).collect() };
        canvas.draw_whole(&colour, 2);
        canvas.flip();
        assert_eq!(canvas.pixels, [4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9]);
    }

    #[test]
    fn erasing_fills_the_rectangle_only() {
        let mut canvas = Canvas::default();
        let colour = Image { width: 2, height: 2, channels: 3, pixels: (1..13).collect() };
        canvas.draw_whole(&colour, 2);
        canvas.erase(Rectangle { left: 1, top: 0, width: 1, height: 2 }, &[70, 80, 90]);
        assert_eq!(canvas.pixels, [1, 2, 3, 70, 80, 90, 7, 8, 9, 70, 80, 90]);
    }

    #[test]
    fn halving_averages_with_the_antialiased_filter() {
        let image = gray(4, 4, &[[0; 4], [0; 4], [160; 4], [160; 4]].concat());
        let mut canvas = Canvas::default();
        canvas.draw_whole(&image, 2);
        // A triangle of radius 2 around 1.0 reaches rows 0, 1, 2 with weights 3/7, 3/7, 1/7.
        assert_eq!(canvas.pixels, [23, 23, 137, 137]);
    }

    fn fixture(name: &str) -> Image {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
        decode(&std::fs::read(path).unwrap(), 3).unwrap()
    }

    fn distance(a: &[u8], b: &[u8]) -> u8 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(&a, &b)| a.abs_diff(b)).max().unwrap()
    }

    #[test]
    fn crops_are_those_of_pillow() {
        let photo = fixture("photo.png");
        let mut canvas = Canvas::default();
        canvas.draw_center_crop(&photo, 32);
        let off = distance(&canvas.pixels, &fixture("photo_eval_32.png").pixels);
        assert!(off <= 2, "Resize + CenterCrop is off by {off}");
        canvas.draw_crop(&photo, Rectangle { left: 7, top: 3, width: 41, height: 33 }, 24);
        let off = distance(&canvas.pixels, &fixture("photo_crop_24.png").pixels);
        assert!(off <= 2, "crop + resize is off by {off}");
    }

    #[test]
    fn center_crops_of_every_shape_stay_inside_the_image() {
        let mut canvas = Canvas::default();
        for (width, height) in [(1, 1), (1, 500), (333, 7), (37, 41), (300, 299)] {
            let image = gray(width, height, &vec![9; width * height]);
            for resolution in (4..64).chain([224]) {
                canvas.draw_center_crop(&image, resolution);
                assert!(canvas.pixels.iter().all(|&value| value == 9), "{width} x {height} at {resolution}");
            }
        }
    }
}
