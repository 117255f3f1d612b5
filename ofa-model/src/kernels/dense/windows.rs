//! The windows of a convolution, each a row of a matrix.

use crate::kernels::depthwise::flex::copy_row;
use crate::kernels::plain::{all_f32, sizes};
use burn::backend::flex::FlexTensor;

/// Numbers that are copied by the call for long rows.
const LONG: usize = 32;

/// The windows of images of one size, under a kernel of odd size. A window is laid out row by row, pixel by pixel, channel by
/// channel, so that its rows are runs of the padded image in the same layout.
#[derive(Clone, Copy)]
pub(super) struct Windows {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) kernel_size: usize,
    pub(super) stride: usize,
}

impl Windows {
    /// `None` if the numbers or the kernel are others than those that the kernels know.
    pub(super) fn of(input: &FlexTensor, weight: &FlexTensor, stride: usize) -> Option<Self> {
        let ([_, channels, height, width], [_, _, kernel_size, _]) = (sizes(input), sizes(weight));
        let applies = all_f32(&[input, weight]) && kernel_size % 2 == 1;
        applies.then_some(Self { channels, height, width, kernel_size, stride })
    }

    /// Numbers of a window.
    pub(super) fn len(&self) -> usize {
        self.kernel_size * self.kernel_size * self.channels
    }

    pub(super) fn out_height(&self) -> usize {
        self.height.div_ceil(self.stride)
    }

    pub(super) fn out_width(&self) -> usize {
        self.width.div_ceil(self.stride)
    }

    /// Numbers of an image.
    pub(super) fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Numbers from one row of a padded image to the next.
    fn pitch(&self) -> usize {
        (self.width + self.kernel_size - 1) * self.channels
    }

    /// Numbers of a padded image.
    pub(super) fn padded_len(&self) -> usize {
        (self.height + self.kernel_size - 1) * self.pitch()
    }

    /// Where the rows of the planes begin in a padded image, and how they lie in an image.
    fn rows(&self) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
        let (this, padding) = (*self, self.kernel_size / 2);
        (0..this.channels * this.height).map(move |row| {
            let (channel, y) = (row / this.height, row % this.height);
            let start = (y + padding) * this.pitch() + padding * this.channels + channel;
            (start, row * this.width..(row + 1) * this.width)
        })
    }

    /// Lays out an image `[channels, height, width]`, with zeros around it.
    pub(super) fn pad(&self, image: &[f32], padded: &mut [f32]) {
        padded.fill(0.0);
        for (start, row) in self.rows() {
            let targets = padded[start..].iter_mut().step_by(self.channels);
            targets.zip(&image[row]).for_each(|(to, from)| *to = *from);
        }
    }

    /// The reverse.
    pub(super) fn cut(&self, padded: &[f32], image: &mut [f32]) {
        for (start, row) in self.rows() {
            let sources = padded[start..].iter().step_by(self.channels);
            image[row].iter_mut().zip(sources).for_each(|(to, from)| *to = *from);
        }
    }

    /// Where the rows of the windows of output row `y` begin in a padded image, window by window.
    fn runs(&self, y: usize) -> impl Iterator<Item = usize> {
        let this = *self;
        (0..this.out_width()).flat_map(move |x| {
            let start = y * this.stride * this.pitch() + x * this.stride * this.channels;
            (0..this.kernel_size).map(move |row| start + row * this.pitch())
        })
    }

    /// The windows of output row `y`.
    pub(super) fn copy(&self, padded: &[f32], y: usize, windows: &mut [f32]) {
        let run = self.kernel_size * self.channels;
        for (start, to) in self.runs(y).zip(windows.chunks_exact_mut(run)) {
            let from = &padded[start..start + run];
            if run < LONG { copy_row(from, to) } else { to.copy_from_slice(from) }
        }
    }

    /// Adds the windows of output row `y` to what they were taken from.
    pub(super) fn add(&self, windows: &[f32], y: usize, padded: &mut [f32]) {
        let run = self.kernel_size * self.channels;
        for (start, from) in self.runs(y).zip(windows.chunks_exact(run)) {
            padded[start..start + run].iter_mut().zip(from).for_each(|(to, from)| *to += from);
        }
    }

    /// A kernel `[out, in, k, k]` laid out as the windows are, `[out, k, k, in]`.
    pub(super) fn laid_out(&self, weight: &[f32]) -> Vec<f32> {
        transposed_each(weight, self.channels, self.kernel_size * self.kernel_size)
    }

    /// The reverse.
    pub(super) fn laid_back(&self, weight: &[f32]) -> Vec<f32> {
        transposed_each(weight, self.kernel_size * self.kernel_size, self.channels)
    }
}

/// Matrices `[rows, columns]` as `[columns, rows]`, one after the other.
fn transposed_each(matrices: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut transposed = vec![0.0; matrices.len()];
    for (from, to) in matrices.chunks_exact(rows * columns).zip(transposed.chunks_exact_mut(rows * columns)) {
        transpose(from, columns, to);
    }
    transposed
}

/// A matrix of `columns` as one of as many rows.
pub(super) fn transpose(matrix: &[f32], columns: usize, transposed: &mut [f32]) {
    let rows = matrix.len() / columns;
    for (row, numbers) in matrix.chunks_exact(columns).enumerate() {
        transposed[row..].iter_mut().step_by(rows).zip(numbers).for_each(|(to, from)| *to = *from);
    }
}
