//! Draws a square view of an image (crop, resize, flip, erase) into reusable buffers.

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use serde::{Deserialize, Serialize};

use crate::decode::{Image, Rectangle};

/// Resampling filter. Both filters widen with the scale (antialiasing), as in Pillow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Torchvision's default.
    #[default]
    Bilinear,
    /// Sharper, but a third slower.
    Bicubic,
}

/// Evaluation uses Resize(ceil(resolution / 0.875)) before CenterCrop(resolution): 256 for 224.
const CENTER_CROP_SHARE: f64 = 0.875;

/// A square view, drawn into `pixels`.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    /// `[resolution, resolution, channels]`
    pub(crate) pixels: Vec<u8>,
    resolution: usize,
    channels: usize,
    interpolation: Interpolation,
    shifted: Vec<u8>,
    resizer: Resizer,
}

impl Canvas {
    /// A canvas that resizes with `interpolation`.
    pub(crate) fn new(interpolation: Interpolation) -> Self {
        Self { interpolation, ..Self::default() }
    }

    /// Draws the whole image, stretched to a square.
    pub(crate) fn draw_whole(&mut self, image: &Image, resolution: usize) {
        self.draw_crop(image, Rectangle::of(image), resolution);
    }

    /// Draws the centre of the image, equivalent to torchvision's Resize and CenterCrop.
    ///
    /// Done in one step, so only the visible pixels are computed. The filter reads beyond the crop, as it does when the
    /// whole image is resized first.
    pub(crate) fn draw_center_crop(&mut self, image: &Image, resolution: usize) {
        let short = (resolution as f64 / CENTER_CROP_SHARE).ceil();
        let (width, height) = (image.width as f64, image.height as f64);
        let shortest = width.min(height);
        // (offset, extent) of the crop along a side, in source pixels
        let along = |side: f64| {
            let resized = (short * side / shortest).floor();
            let offset = ((resized - resolution as f64) / 2.0).round_ties_even() * side / resized;
            (offset, (resolution as f64 * side / resized).min(side - offset))
        };
        let ((left, crop_width), (top, crop_height)) = (along(width), along(height));
        let options = self.options().crop(left, top, crop_width, crop_height);
        self.draw(image, &image.pixels, Rectangle::of(image), resolution, options);
    }

    /// Draws the pixels of `crop` only.
    pub(crate) fn draw_crop(&mut self, image: &Image, crop: Rectangle, resolution: usize) {
        self.draw(image, &image.pixels, crop, resolution, self.options());
    }

    /// Draws the whole image, shifted `right` and `down` by source pixels and filled with zeros.
    pub(crate) fn draw_shifted(&mut self, image: &Image, right: i64, down: i64, resolution: usize) {
        let mut shifted = std::mem::take(&mut self.shifted);
        shift(image, right, down, &mut shifted);
        self.draw(image, &shifted, Rectangle::of(image), resolution, self.options());
        self.shifted = shifted;
    }

    /// Draws `crop` of `pixels`, which have the shape of `image`.
    fn draw(&mut self, image: &Image, pixels: &[u8], crop: Rectangle, resolution: usize, options: ResizeOptions) {
        (self.resolution, self.channels) = (resolution, image.channels);
        self.pixels.resize(resolution * resolution * image.channels, 0);
        let source = Source { width: image.width, height: image.height, pixels, crop };
        // Use the typed interface: the untyped one compiles the resizer for every pixel type.
        match image.channels {
            1 => source.resize::<U8>(&mut self.resizer, &mut self.pixels, [resolution; 2], &options),
            3 => source.resize::<U8x3>(&mut self.resizer, &mut self.pixels, [resolution; 2], &options),
            channels => panic!("channels is {channels}, expected 1 or 3"),
        }
    }

    fn options(&self) -> ResizeOptions {
        // Convolution widens the filter with the scale, as Pillow does.
        let filter = match self.interpolation {
            Interpolation::Bilinear => FilterType::Bilinear,
            Interpolation::Bicubic => FilterType::CatmullRom,
        };
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false)
    }

    /// Mirrors the drawn pixels left to right.
    pub(crate) fn flip(&mut self) {
        for row in self.pixels.chunks_exact_mut(self.resolution * self.channels) {
            row.reverse();
            // Reversing the row also reversed the channels of each pixel.
            row.chunks_exact_mut(self.channels).for_each(<[u8]>::reverse);
        }
    }

    /// Fills a rectangle of the drawn pixels with one colour.
    pub(crate) fn erase(&mut self, area: Rectangle, colour: &[u8]) {
        let rows = self.pixels.chunks_exact_mut(self.resolution * self.channels);
        for row in rows.skip(area.top).take(area.height) {
            let row = &mut row[area.left * self.channels..(area.left + area.width) * self.channels];
            row.chunks_exact_mut(self.channels).for_each(|pixel| pixel.copy_from_slice(colour));
        }
    }
}

/// Resizes the whole of `image`.
pub(crate) fn resized(image: &Image, width: usize, height: usize, algorithm: ResizeAlg) -> Image {
    let mut pixels = vec![0; width * height * image.channels];
    let source = Source { width: image.width, height: image.height, pixels: &image.pixels, crop: Rectangle::of(image) };
    let options = ResizeOptions::new().resize_alg(algorithm).use_alpha(false);
    let size = [width, height];
    match image.channels {
        1 => source.resize::<U8>(&mut Resizer::new(), &mut pixels, size, &options),
        3 => source.resize::<U8x3>(&mut Resizer::new(), &mut pixels, size, &options),
        channels => panic!("channels is {channels}, expected 1 or 3"),
    }
    Image { width, height, channels: image.channels, pixels }
}

/// Pixels to resize, and the part of them to use.
#[derive(Debug)]
struct Source<'a> {
    width: usize,
    height: usize,
    pixels: &'a [u8],
    crop: Rectangle,
}

impl Source<'_> {
    fn resize<P: PixelTrait>(
        &self,
        resizer: &mut Resizer,
        target: &mut [u8],
        size: [usize; 2],
        options: &ResizeOptions,
    ) {
        let Rectangle { left, top, width, height } = self.crop;
        let [left, top, width, height] = [left, top, width, height].map(|side| side as u32);
        let whole = TypedImageRef::<P>::from_buffer(self.width as u32, self.height as u32, self.pixels).unwrap_or_else(
            |error| panic!("{} values for {} x {}: {error}", self.pixels.len(), self.width, self.height),
        );
        let source = TypedCroppedImage::from_ref(&whole, left, top, width, height)
            .unwrap_or_else(|error| panic!("{:?} of {} x {}: {error}", self.crop, self.width, self.height));
        let mut target = TypedImage::<P>::from_buffer(size[0] as u32, size[1] as u32, target)
            .unwrap_or_else(|error| panic!("a buffer for {size:?}: {error}"));
        let resized = resizer.resize_typed(&source, &mut target, options);
        resized.unwrap_or_else(|error| panic!("{options:?} to {size:?}: {error}"));
    }
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

/// The visible part of a side after a shift: `length` pixels, moved from `from` to `to`.
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
        let mut canvas = Canvas::new(Interpolation::Bicubic);
        canvas.draw_crop(&photo, Rectangle { left: 7, top: 3, width: 41, height: 33 }, 24);
        let off = distance(&canvas.pixels, &fixture("photo_bicubic_24.png").pixels);
        assert!(off <= 2, "bicubic crop + resize is off by {off}");
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
