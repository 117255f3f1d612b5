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

    /// Where row `row` of the windows of output row `y` begins in a padded image, window by window.
    fn runs(&self, y: usize, row: usize) -> impl Iterator<Item = usize> {
        let start = (y * self.stride + row) * self.pitch();
        (0..self.out_width()).map(move |x| start + x * self.stride * self.channels)
    }

    /// Numbers of a row of a window.
    fn run(&self) -> usize {
        self.kernel_size * self.channels
    }

    /// The windows of output row `y`.
    pub(super) fn copy(&self, padded: &[f32], y: usize, windows: &mut [f32]) {
        for row in 0..self.kernel_size {
            let targets = windows[row * self.run()..].chunks_mut(self.len());
            self.runs(y, row).zip(targets).for_each(|(start, to)| copy(&padded[start..], &mut to[..self.run()]));
        }
    }

    /// Pieces of a window of at most so many numbers each, in order and no longer than a row.
    pub(super) fn pieces(&self, most: usize) -> impl Iterator<Item = Piece> {
        let run = self.run();
        let even = run.div_ceil(run.div_ceil(most));
        (0..self.kernel_size).flat_map(move |row| {
            (0..run).step_by(even).map(move |start| Piece { row, start, len: even.min(run - start) })
        })
    }

    /// The same piece of all windows of output row `y`.
    pub(super) fn copy_piece(&self, padded: &[f32], y: usize, piece: Piece, pieces: &mut [f32]) {
        let targets = pieces.chunks_exact_mut(piece.len);
        self.runs(y, piece.row).zip(targets).for_each(|(start, to)| copy(&padded[start + piece.start..], to));
    }

    /// Adds the windows of output row `y` to what they were taken from.
    pub(super) fn add(&self, windows: &[f32], y: usize, padded: &mut [f32]) {
        for row in 0..self.kernel_size {
            let sources = windows[row * self.run()..].chunks(self.len());
            for (start, from) in self.runs(y, row).zip(sources) {
                let to = &mut padded[start..][..self.run()];
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
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

/// A part of a row of a window.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    row: usize,
    start: usize,
    /// Its numbers.
    pub(super) len: usize,
}

/// Copies as many numbers as there is room for.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    let from = &from[..to.len()];
    if to.len() < LONG { copy_row(from, to) } else { to.copy_from_slice(from) }
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
