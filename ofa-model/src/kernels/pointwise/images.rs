//! Multithreaded product of a matrix with the channels of every image in a batch.

use super::product::{After, Product, ROWS};
use crate::kernels::activation::Lanes;
use crate::kernels::plain::{parallel_parts, planes_of_an_image, with_scratch};
use pulp::Arch;

/// Images with fewer pixels are processed side by side.
const FEW_PIXELS: usize = 16;
/// Maximum number of images side by side: this many fill whole vectors whatever their size.
const MOST_IMAGES: usize = 16;

/// Sizes of `[batch, channels, pixels]`.
#[derive(Clone, Copy)]
pub(super) struct Images {
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) pixels: usize,
}

impl Images {
    /// Output `[batch, out, pixels]`: every image times the matrix `[out, channels]`, then `after`.
    pub(super) fn mixed<A: Lanes>(self, input: &[f32], matrix: &[f32], out: usize, after: After<'_, A>) -> Vec<f32> {
        if self.pixels < FEW_PIXELS && self.batch > 1 {
            self.by_groups(input, matrix, out, after)
        } else {
            self.one_by_one(input, matrix, out, after)
        }
    }

    /// Number of elements in an image.
    fn len(self) -> usize {
        self.channels * self.pixels
    }

    fn one_by_one<A: Lanes>(self, input: &[f32], matrix: &[f32], out: usize, after: After<'_, A>) -> Vec<f32> {
        let Self { batch, channels, pixels } = self;
        let rows = planes_of_an_image(batch, out, self.len(), ROWS);
        parallel_parts(batch * out * pixels, out * pixels, rows * pixels, |image, offset, out| {
            let rows = offset / pixels..(offset + out.len()) / pixels;
            let input = &input[image * self.len()..][..self.len()];
            let matrix = &matrix[rows.start * channels..rows.end * channels];
            with_scratch(Product::<A>::panel_len(channels), |panel| {
                Arch::new().dispatch(Product { matrix, input, channels, pixels, panel, out, after: after.of(rows) });
            });
        })
    }

    /// Processes several images side by side as one: a few pixels alone leave most of a vector empty.
    fn by_groups<A: Lanes>(self, input: &[f32], matrix: &[f32], out: usize, after: After<'_, A>) -> Vec<f32> {
        let images = self.images_of_a_group();
        let length = images * out * self.pixels;
        parallel_parts(self.batch * out * self.pixels, length, length, |group, _, output| {
            let pixels = output.len() / out;
            let input = &input[group * images * self.len()..][..pixels * self.channels];
            with_scratch(input.len() + output.len() + Product::<A>::panel_len(self.channels), |scratch| {
                let (wide, scratch) = scratch.split_at_mut(input.len());
                let (mixed, panel) = scratch.split_at_mut(output.len());
                side_by_side(input, self.channels, self.pixels, wide);
                let (channels, after) = (self.channels, after.of(0..out));
                Arch::new().dispatch(Product { matrix, input: wide, channels, pixels, panel, out: &mut *mixed, after });
                one_after_another(mixed, out, self.pixels, output);
            });
        })
    }

    fn images_of_a_group(self) -> usize {
        let whole_vectors = |images: &usize| (images * self.pixels).is_multiple_of(MOST_IMAGES);
        let images = (1..=MOST_IMAGES).find(whole_vectors).unwrap_or(MOST_IMAGES);
        images.min(self.batch.div_ceil(rayon::current_num_threads()))
    }
}

/// `[images, channels, pixels]` as `[channels, images * pixels]`.
fn side_by_side(images: &[f32], channels: usize, pixels: usize, wide: &mut [f32]) {
    let width = wide.len() / channels;
    for (image, planes) in images.chunks_exact(channels * pixels).enumerate() {
        for (wide, plane) in wide.chunks_exact_mut(width).zip(planes.chunks_exact(pixels)) {
            wide[image * pixels..].iter_mut().zip(plane).for_each(|(to, from)| *to = *from);
        }
    }
}

/// `[channels, images * pixels]` as `[images, channels, pixels]`.
fn one_after_another(wide: &[f32], channels: usize, pixels: usize, images: &mut [f32]) {
    let width = wide.len() / channels;
    for (image, planes) in images.chunks_exact_mut(channels * pixels).enumerate() {
        for (plane, wide) in planes.chunks_exact_mut(pixels).zip(wide.chunks_exact(width)) {
            plane.iter_mut().zip(&wide[image * pixels..]).for_each(|(to, from)| *to = *from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::activation::lanes::HardSwish;
    use crate::testing::Draw;

    #[test]
    fn groups_of_images_have_the_bits_of_single_ones() {
        let mut draw = Draw::new(3);
        let mut draw =
            |length: usize| -> Vec<f32> { draw.normal([length], 0.0, 1.0).into_data().try_to_vec().unwrap() };
        let (channels, out) = (7, 11);
        for (batch, pixels) in [(2, 1), (33, 1), (5, 4), (17, 9), (3, 15), (40, 2)] {
            let images = Images { batch, channels, pixels };
            let (input, matrix) = (draw(batch * channels * pixels), draw(out * channels));
            let (scale, shift) = (draw(out), draw(out));
            let after = || After::<HardSwish>::affine(&scale, &shift);
            let groups = images.by_groups(&input, &matrix, out, after());
            let single = images.one_by_one(&input, &matrix, out, after());
            assert_eq!(groups, single, "{batch} images of {pixels} pixels");
        }
    }
}
