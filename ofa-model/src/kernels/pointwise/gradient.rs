//! The weight gradient of a 1x1 convolution.

use super::correlations::{Correlations, ROWS};
use super::product::{After, Product};
use crate::kernels::activation::lanes::Identity;
use crate::kernels::plain::{parallel_parts, planes_of_an_image, with_scratch};
use pulp::Arch;
use rayon::prelude::*;

/// Images per partial sum; fixed, so sums do not depend on the number of threads.
const IMAGES: usize = 8;
/// Up to this many pixels, the sum over images is computed per pixel, with columns side by side in a vector; above it,
/// pixels are side by side. Either way a lane sums one pixel over the images and the lanes are added last, so the bits
/// are the same.
const FEW_PIXELS: usize = 4;
/// Number of elements of the sum that one task adds up.
const SUMS: usize = 4096;

/// Sizes of the gradient and of the images it is summed over.
#[derive(Clone, Copy)]
pub(super) struct Gradient {
    /// Output channels.
    pub(super) rows: usize,
    /// Input channels.
    pub(super) columns: usize,
    pub(super) pixels: usize,
}

impl Gradient {
    /// Weight gradient `[rows, columns]`, from `[batch, columns, pixels]` and `[batch, rows, pixels]`.
    pub(super) fn of(self, input: &[f32], gradient: &[f32]) -> Vec<f32> {
        let Self { rows, columns, pixels } = self;
        let inputs: Vec<&[f32]> = input.chunks(IMAGES * columns * pixels).collect();
        let gradients: Vec<&[f32]> = gradient.chunks(IMAGES * rows * pixels).collect();
        let weights = rows * columns;
        let some = planes_of_an_image(inputs.len(), rows, IMAGES * columns * pixels, ROWS);
        let parts = parallel_parts(inputs.len() * weights, weights, some * columns, |part, offset, out| {
            self.part(inputs[part], gradients[part], offset / columns, out);
        });
        if inputs.len() <= 1 {
            return if parts.is_empty() { vec![0.0; weights] } else { parts };
        }
        let (first, others) = parts.split_at(weights);
        let mut sum = first.to_vec();
        sum.par_chunks_mut(SUMS).enumerate().for_each(|(chunk, sum)| {
            for part in others.chunks_exact(weights) {
                sum.iter_mut().zip(&part[chunk * SUMS..]).for_each(|(sum, part)| *sum += part);
            }
        });
        sum
    }

    /// Some rows, starting at `first`, over a few images.
    fn part(self, input: &[f32], gradient: &[f32], first: usize, out: &mut [f32]) {
        let Self { rows, columns, pixels } = self;
        if pixels > FEW_PIXELS {
            Arch::new().dispatch(Correlations { gradient, input, rows, first, columns, pixels, out });
        } else {
            self.pixel_by_pixel(input, gradient, first, out);
        }
    }

    /// For every pixel, multiplies the gradients (images as columns) by the inputs (images as rows).
    fn pixel_by_pixel(self, input: &[f32], gradient: &[f32], first: usize, out: &mut [f32]) {
        let Self { rows, columns, pixels } = self;
        let images = input.len() / (columns * pixels);
        let lengths = [out.len() / columns * images, images * columns, Product::<Identity>::panel_len(images)];
        with_scratch(lengths.iter().sum::<usize>() + pixels * out.len(), |scratch| {
            let (matrix, scratch) = scratch.split_at_mut(lengths[0]);
            let (plane, scratch) = scratch.split_at_mut(lengths[1]);
            let (panel, sums) = scratch.split_at_mut(lengths[2]);
            for (pixel, sums) in sums.chunks_exact_mut(out.len()).enumerate() {
                for (row, matrix) in (first..).zip(matrix.chunks_exact_mut(images)) {
                    let gradients = gradient[row * pixels + pixel..].iter().step_by(rows * pixels);
                    matrix.iter_mut().zip(gradients).for_each(|(to, from)| *to = *from);
                }
                let values = input[pixel..].iter().step_by(pixels);
                plane.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
                Arch::new().dispatch(Product {
                    matrix,
                    input: plane,
                    channels: images,
                    pixels: columns,
                    panel: &mut *panel,
                    out: sums,
                    after: After::<Identity>::NOTHING,
                });
            }
            add_lanes(sums, pixels, out);
        });
    }
}

/// Adds up to [`FEW_PIXELS`] rows of sums in the order in which the lanes of a vector are added: first those two apart.
fn add_lanes(sums: &[f32], lanes: usize, out: &mut [f32]) {
    let length = out.len();
    let sum = |lane: usize, i: usize| if lane < lanes { sums[lane * length + i] } else { 0.0 };
    for (i, out) in out.iter_mut().enumerate() {
        *out = (sum(0, i) + sum(2, i)) + (sum(1, i) + sum(3, i));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Draw;

    fn draw(draw: &mut Draw, length: usize) -> Vec<f32> {
        draw.normal([length], 0.0, 1.0).into_data().try_to_vec().unwrap()
    }

    /// Runs resumed with a later version depend on it.
    #[test]
    fn few_pixels_have_the_bits_of_many() {
        let mut numbers = Draw::new(2);
        for (pixels, images) in [(1, 8), (2, 8), (3, 5), (4, 8), (4, 1)] {
            let shape = Gradient { rows: 13, columns: 21, pixels };
            let Gradient { rows, columns, .. } = shape;
            let input = draw(&mut numbers, images * columns * pixels);
            let gradient = draw(&mut numbers, images * rows * pixels);
            let first = 4;
            let mut out = [vec![0.0; (rows - first) * columns], vec![0.0; (rows - first) * columns]];
            let [few, many] = &mut out;
            shape.pixel_by_pixel(&input, &gradient, first, few);
            let (gradient, input) = (&gradient[..], &input[..]);
            Arch::new().dispatch(Correlations { gradient, input, rows, first, columns, pixels, out: many });
            let difference = few.iter().zip(&*many).map(|(few, many)| (few - many).abs()).fold(0.0, f32::max);
            // On processors other than x86, vector lanes may be added in another order.
            let tolerance = if cfg!(target_arch = "x86_64") { 0.0 } else { 1e-5 };
            assert!(difference <= tolerance, "{pixels} pixels of {images} images: {difference:e}");
        }
    }
}
