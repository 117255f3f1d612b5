//! The windows of a convolution as rows of a matrix.

use crate::kernels::depthwise::flex::copy_row;
use crate::kernels::plain::{all_f32, sizes};
use burn::backend::flex::FlexTensor;

/// Rows of at least this length are copied by a call to `memcpy`.
const LONG: usize = 32;

/// The windows of images of one size under a kernel of odd size. A window is laid out row by row, pixel by pixel,
/// channel by channel, so its rows are runs of the padded image in the same layout.
#[derive(Clone, Copy)]
pub(super) struct Windows {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) kernel_size: usize,
    pub(super) stride: usize,
}

impl Windows {
    /// `None` if the tensors are not `f32` or the kernel size is even.
    pub(super) fn of(input: &FlexTensor, weight: &FlexTensor, stride: usize) -> Option<Self> {
        let ([_, channels, height, width], [_, _, kernel_size, _]) = (sizes(input), sizes(weight));
        let applies = all_f32(&[input, weight]) && kernel_size % 2 == 1;
        applies.then_some(Self { channels, height, width, kernel_size, stride })
    }

    /// Number of elements in a window.
    pub(super) fn len(&self) -> usize {
        self.kernel_size * self.kernel_size * self.channels
    }

    pub(super) fn out_height(&self) -> usize {
        self.height.div_ceil(self.stride)
    }

    pub(super) fn out_width(&self) -> usize {
        self.width.div_ceil(self.stride)
    }

    /// Number of elements in an image.
    pub(super) fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Number of elements from one row of a padded image to the next.
    fn pitch(&self) -> usize {
        (self.width + self.kernel_size - 1) * self.channels
    }

    /// Number of elements in a padded image.
    pub(super) fn padded_len(&self) -> usize {
        (self.height + self.kernel_size - 1) * self.pitch()
    }

    /// For each row of each plane, its start in a padded image and its range in an image.
    fn rows(&self) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
        let (this, padding) = (*self, self.kernel_size / 2);
        (0..this.channels * this.height).map(move |row| {
            let (channel, y) = (row / this.height, row % this.height);
            let start = (y + padding) * this.pitch() + padding * this.channels + channel;
            (start, row * this.width..(row + 1) * this.width)
        })
    }

    /// Lays out an image `[channels, height, width]` with zeros around it.
    pub(super) fn pad(&self, image: &[f32], padded: &mut [f32]) {
        padded.fill(0.0);
        for (start, row) in self.rows() {
            let targets = padded[start..].iter_mut().step_by(self.channels);
            targets.zip(&image[row]).for_each(|(to, from)| *to = *from);
        }
    }

    /// The reverse of [`pad`](Self::pad).
    pub(super) fn cut(&self, padded: &[f32], image: &mut [f32]) {
        for (start, row) in self.rows() {
            let sources = padded[start..].iter().step_by(self.channels);
            image[row].iter_mut().zip(sources).for_each(|(to, from)| *to = *from);
        }
    }

    /// Starts, in a padded image, of row `row` of each window of output row `y`.
    fn runs(&self, y: usize, row: usize) -> impl Iterator<Item = usize> {
        let start = (y * self.stride + row) * self.pitch();
        (0..self.out_width()).map(move |x| start + x * self.stride * self.channels)
    }

    /// Number of elements in a row of a window.
    fn run(&self) -> usize {
        self.kernel_size * self.channels
    }

    /// Copies the windows of output row `y`.
    pub(super) fn copy(&self, padded: &[f32], y: usize, windows: &mut [f32]) {
        for row in 0..self.kernel_size {
            let targets = windows[row * self.run()..].chunks_mut(self.len());
            self.runs(y, row).zip(targets).for_each(|(start, to)| copy(&padded[start..], &mut to[..self.run()]));
        }
    }

    /// Splits a window into pieces of at most `most` elements, in order; a piece stays within a row.
    pub(super) fn pieces(&self, most: usize) -> impl Iterator<Item = Piece> {
        let run = self.run();
        let even = run.div_ceil(run.div_ceil(most));
        (0..self.kernel_size).flat_map(move |row| {
            (0..run).step_by(even).map(move |start| Piece { row, start, len: even.min(run - start) })
        })
    }

    /// Copies the same piece of all windows of output row `y`.
    pub(super) fn copy_piece(&self, padded: &[f32], y: usize, piece: Piece, pieces: &mut [f32]) {
        let targets = pieces.chunks_exact_mut(piece.len);
        self.runs(y, piece.row).zip(targets).for_each(|(start, to)| copy(&padded[start + piece.start..], to));
    }

    /// Adds the windows of output row `y` back to the padded image they came from.
    pub(super) fn add(&self, windows: &[f32], y: usize, padded: &mut [f32]) {
        for row in 0..self.kernel_size {
            let sources = windows[row * self.run()..].chunks(self.len());
            for (start, from) in self.runs(y, row).zip(sources) {
                let to = &mut padded[start..][..self.run()];
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        }
    }

    /// Rearranges a kernel `[out, in, k, k]` to the layout of the windows, `[out, k, k, in]`.
    pub(super) fn laid_out(&self, weight: &[f32]) -> Vec<f32> {
        transposed_each(weight, self.channels, self.kernel_size * self.kernel_size)
    }

    /// The reverse of [`laid_out`](Self::laid_out).
    pub(super) fn laid_back(&self, weight: &[f32]) -> Vec<f32> {
        transposed_each(weight, self.kernel_size * self.kernel_size, self.channels)
    }
}

/// A part of a row of a window.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    row: usize,
    start: usize,
    /// Number of elements.
    pub(super) len: usize,
}

/// Copies as many elements as `to` holds.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    let from = &from[..to.len()];
    if to.len() < LONG { copy_row(from, to) } else { to.copy_from_slice(from) }
}

/// Transposes each matrix `[rows, columns]` of a sequence.
fn transposed_each(matrices: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut transposed = vec![0.0; matrices.len()];
    for (from, to) in matrices.chunks_exact(rows * columns).zip(transposed.chunks_exact_mut(rows * columns)) {
        transpose(from, columns, to);
    }
    transposed
}

/// Transposes a matrix with `columns` columns.
pub(super) fn transpose(matrix: &[f32], columns: usize, transposed: &mut [f32]) {
    let rows = matrix.len() / columns;
    for (row, numbers) in matrix.chunks_exact(columns).enumerate() {
        transposed[row..].iter_mut().step_by(rows).zip(numbers).for_each(|(to, from)| *to = *from);
    }
}
