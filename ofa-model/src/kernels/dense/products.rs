//! Dense convolution and its gradients as products of two matrices: the windows of some rows of pixels, and the
//! weights.

use super::windows::{Windows, transpose};
use crate::kernels::activation::lanes::Identity;
use crate::kernels::plain::{parallel_chunks, parallel_parts, planes_of_an_image, with_scratch};
use crate::kernels::pointwise::product::{After, Product, ROWS};
use pulp::Arch;
use std::ops::Range;

/// Target number of windows per matrix, in whole rows of pixels: few enough for the cache, and enough to be worth
/// packing the weights. Fixed, so sums do not depend on the number of threads.
const PIXELS: usize = 256;
/// Maximum number of terms of a window summed in one run: longer sums lose precision.
const LONGEST: usize = 256;
/// Images per partial sum of the weight gradient; fixed for the same reason.
const IMAGES: usize = 8;

/// A row of output pixels: image index and row index.
type Line = (usize, usize);

/// A convolution of a batch to `out` channels.
pub(super) struct Convolution {
    pub(super) windows: Windows,
    pub(super) batch: usize,
    pub(super) out: usize,
}

impl Convolution {
    /// Pixels per output plane.
    fn plane(&self) -> usize {
        self.windows.out_height() * self.windows.out_width()
    }

    /// Rows of pixels per matrix of windows.
    fn lines(&self) -> usize {
        (PIXELS / self.windows.out_width()).max(1)
    }

    /// Number of elements in the matrix of windows.
    fn matrix_len(&self) -> usize {
        self.lines() * self.windows.out_width() * self.windows.len()
    }

    /// Output of the convolution, `[batch, out, pixels]`.
    pub(super) fn forward(&self, input: &[f32], weight: &[f32]) -> Vec<f32> {
        let (plane, window) = (self.plane(), self.windows.len());
        let weight = self.windows.laid_out(weight);
        let some = planes_of_an_image(self.batch, self.out, plane * window, 1);
        // The weights of each task, by column.
        let columns: Vec<Vec<f32>> = weight.chunks(some * window).map(|rows| transposed(rows, window)).collect();
        parallel_parts(self.batch * self.out * plane, self.out * plane, some * plane, |image, offset, output| {
            let image = &input[image * self.windows.image_len()..][..self.windows.image_len()];
            self.image(image, &columns[offset / (some * plane)], output);
        })
    }

    /// Computes some output planes of an image from the weights `[window, planes]`.
    fn image(&self, image: &[f32], weight: &[f32], output: &mut [f32]) {
        let (windows, plane, width) = (&self.windows, self.plane(), self.windows.out_width());
        let planes = output.len() / plane;
        let pixels = self.lines() * width;
        let lengths = [windows.padded_len(), pixels * LONGEST, pixels * planes, pixels * planes];
        with_parts(lengths, LONGEST, |[padded, matrix, product, sum], panel| {
            windows.pad(image, padded);
            for first in (0..windows.out_height()).step_by(self.lines()) {
                let lines = first..windows.out_height().min(first + self.lines());
                let pixels = lines.len() * width;
                let (product, sum) = (&mut product[..pixels * planes], &mut sum[..pixels * planes]);
                sum.fill(0.0);
                let mut weight = weight;
                for piece in windows.pieces(LONGEST) {
                    let matrix = &mut matrix[..pixels * piece.len];
                    for (y, to) in lines.clone().zip(matrix.chunks_exact_mut(width * piece.len)) {
                        windows.copy_piece(padded, y, piece, to);
                    }
                    let (part, rest) = weight.split_at(piece.len * planes);
                    weight = rest;
                    multiply(matrix, part, piece.len, panel, product);
                    sum.iter_mut().zip(&*product).for_each(|(sum, number)| *sum += number);
                }
                for (channel, output) in output.chunks_exact_mut(plane).enumerate() {
                    let numbers = sum[channel..].iter().step_by(planes);
                    output[first * width..][..pixels].iter_mut().zip(numbers).for_each(|(to, from)| *to = *from);
                }
            }
        });
    }

    /// Gradient of the input, `[batch, in, height, width]`.
    pub(super) fn input_gradient(&self, weight: &[f32], gradient: &[f32]) -> Vec<f32> {
        let weight = self.windows.laid_out(weight);
        let length = self.windows.image_len();
        parallel_chunks(
            self.batch,
            length,
            || (),
            |(), image, output| {
                let gradient = &gradient[image * self.out * self.plane()..][..self.out * self.plane()];
                self.image_gradient(gradient, &weight, output);
            },
        )
    }

    /// Each window's gradient is a product; the windows are then added back to where they came from.
    fn image_gradient(&self, gradient: &[f32], weight: &[f32], output: &mut [f32]) {
        let (windows, plane, width) = (&self.windows, self.plane(), self.windows.out_width());
        let lengths = [windows.padded_len(), self.matrix_len(), self.lines() * width * self.out];
        with_parts(lengths, self.out, |[padded, matrix, pixels_first], panel| {
            padded.fill(0.0);
            for first in (0..windows.out_height()).step_by(self.lines()) {
                let lines = first..windows.out_height().min(first + self.lines());
                let pixels = lines.len() * width;
                let pixels_first = &mut pixels_first[..pixels * self.out];
                for (channel, plane) in gradient.chunks_exact(plane).enumerate() {
                    let targets = pixels_first[channel..].iter_mut().step_by(self.out);
                    targets.zip(&plane[first * width..]).for_each(|(to, from)| *to = *from);
                }
                let matrix = &mut matrix[..pixels * windows.len()];
                multiply(pixels_first, weight, self.out, panel, matrix);
                for (y, from) in lines.zip(matrix.chunks_exact(width * windows.len())) {
                    windows.add(from, y, padded);
                }
            }
            windows.cut(padded, output);
        });
    }

    /// Gradient of the weight, `[out, in, k, k]`.
    pub(super) fn weight_gradient(&self, input: &[f32], gradient: &[f32]) -> Vec<f32> {
        let (groups, window) = (self.batch.div_ceil(IMAGES), self.windows.len());
        let length = self.out * window;
        let some = planes_of_an_image(groups, self.out, IMAGES * self.plane() * window, ROWS);
        let parts = parallel_parts(groups * length, length, some * window, |group, offset, sum| {
            let images = group * IMAGES..self.batch.min((group + 1) * IMAGES);
            let channels = offset / window..(offset + sum.len()) / window;
            self.add_weight_gradient(input, gradient, images, channels, sum);
        });
        let mut sum = vec![0.0; length];
        for part in parts.chunks_exact(length) {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        self.windows.laid_back(&sum)
    }

    /// Adds the contribution of some images to some output channels: for a few rows of pixels at a time, their
    /// gradients times their windows.
    fn add_weight_gradient(
        &self,
        input: &[f32],
        gradient: &[f32],
        images: Range<usize>,
        channels: Range<usize>,
        sum: &mut [f32],
    ) {
        let (windows, width) = (&self.windows, self.windows.out_width());
        let lines: Vec<Line> = images.flat_map(|image| (0..windows.out_height()).map(move |y| (image, y))).collect();
        let pixels = self.lines() * width;
        let lengths = [windows.padded_len(), self.matrix_len(), pixels * channels.len(), sum.len()];
        with_parts(lengths, pixels, |[padded, matrix, gradients, product], panel| {
            let mut laid_out = None;
            for lines in lines.chunks(self.lines()) {
                let pixels = lines.len() * width;
                let matrix = &mut matrix[..pixels * windows.len()];
                for (&(image, y), to) in lines.iter().zip(matrix.chunks_exact_mut(width * windows.len())) {
                    if laid_out != Some(image) {
                        windows.pad(&input[image * windows.image_len()..][..windows.image_len()], padded);
                        laid_out = Some(image);
                    }
                    windows.copy(padded, y, to);
                }
                let gradients = &mut gradients[..pixels * channels.len()];
                self.copy_gradients(gradient, lines, channels.clone(), gradients);
                multiply(gradients, matrix, pixels, panel, product);
                sum.iter_mut().zip(&*product).for_each(|(sum, number)| *sum += number);
            }
        });
    }

    /// Copies the gradients of some rows of pixels to `[channels, pixels]`.
    fn copy_gradients(&self, gradient: &[f32], lines: &[Line], channels: Range<usize>, gradients: &mut [f32]) {
        let width = self.windows.out_width();
        for (channel, to) in channels.zip(gradients.chunks_exact_mut(lines.len() * width)) {
            for (&(image, y), to) in lines.iter().zip(to.chunks_exact_mut(width)) {
                to.copy_from_slice(&gradient[(image * self.out + channel) * self.plane() + y * width..][..width]);
            }
        }
    }
}

/// `product = matrix * other`, with inner size `inner`.
fn multiply(matrix: &[f32], other: &[f32], inner: usize, panel: &mut [f32], product: &mut [f32]) {
    let (channels, pixels, after) = (inner, other.len() / inner, After::<Identity>::NOTHING);
    Arch::new().dispatch(Product { matrix, input: other, channels, pixels, panel, out: product, after });
}

/// Calls `work` with scratch buffers of the given lengths, with arbitrary contents, and a panel for products of the
/// given inner size.
fn with_parts<const N: usize>(lengths: [usize; N], inner: usize, work: impl FnOnce([&mut [f32]; N], &mut [f32])) {
    let panel_len = Product::<Identity>::panel_len(inner);
    with_scratch(lengths.iter().sum::<usize>() + panel_len, |scratch| {
        let (panel, mut rest) = scratch.split_at_mut(panel_len);
        let parts = lengths.map(|length| rest.split_off_mut(..length).expect("the scratch has the parts' lengths"));
        work(parts, panel);
    });
}

/// Transposes a matrix with `columns` columns.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    let mut turned = vec![0.0; matrix.len()];
    transpose(matrix, columns, &mut turned);
    turned
}
