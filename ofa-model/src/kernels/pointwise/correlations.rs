//! Products of the pixels of two images, channel by channel, in register blocks.

use crate::kernels::lanes::{LANES, load, load_rest, sum, with_vectors, zeros};
use pulp::{Simd, WithSimd};

/// Rows of a block, or a multiple of them, for every vector width.
pub(super) const ROWS: usize = 4;

/// `out[o][i] = sum over images and pixels of gradient[image][o][p] * input[image][i][p]`, in the order of `lanes`;
/// every image starts at lane 0.
pub(super) struct Correlations<'a> {
    pub(super) gradient: &'a [f32],
    pub(super) input: &'a [f32],
    pub(super) rows: usize,
    /// First row to compute; `out` may hold only some of the rows.
    pub(super) first: usize,
    pub(super) columns: usize,
    pub(super) pixels: usize,
    pub(super) out: &'a mut [f32],
}

impl WithSimd for Correlations<'_> {
    type Output = ();

    /// Uses as many sums as the registers hold: sixteen registers of AVX2, thirty-two of AVX-512.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        with_vectors!(S, N => match N {
            1 => self.blocks::<S, N, ROWS, 4>(simd),
            2 => self.blocks::<S, N, 2, 3>(simd),
            _ => self.blocks::<S, N, 2, 1>(simd),
        });
    }
}

impl Correlations<'_> {
    /// Computes all rows and columns in blocks of `R` by `C`, and the remainder one by one.
    #[inline(always)]
    fn blocks<S: Simd, const N: usize, const R: usize, const C: usize>(mut self, simd: S) {
        let (mut row, rows) = (0, self.out.len() / self.columns);
        while rows - row >= R {
            self.row_block::<S, N, R, C>(simd, row);
            row += R;
        }
        while row < rows {
            self.row_block::<S, N, 1, C>(simd, row);
            row += 1;
        }
    }

    #[inline(always)]
    fn row_block<S: Simd, const N: usize, const R: usize, const C: usize>(&mut self, simd: S, row: usize) {
        let mut column = 0;
        while self.columns - column >= C {
            self.block::<S, N, R, C>(simd, row, column);
            column += C;
        }
        while column < self.columns {
            self.block::<S, N, R, 1>(simd, row, column);
            column += 1;
        }
    }

    #[inline(always)]
    fn block<S: Simd, const N: usize, const R: usize, const C: usize>(&mut self, simd: S, row: usize, column: usize) {
        let pixels = self.pixels;
        let mut sums = [[zeros::<S, N>(simd); C]; R];
        let images = self.gradient.chunks_exact(self.rows * pixels).zip(self.input.chunks_exact(self.columns * pixels));
        for (gradient, input) in images {
            let gradients: [_; R] =
                std::array::from_fn(|r| gradient[(self.first + row + r) * pixels..][..pixels].as_chunks::<LANES>());
            let inputs: [_; C] = std::array::from_fn(|c| input[(column + c) * pixels..][..pixels].as_chunks::<LANES>());
            for i in 0..pixels / LANES {
                let gradients = std::array::from_fn(|r| load::<S, N>(&gradients[r].0[i]));
                add_products(simd, &mut sums, gradients, std::array::from_fn(|c| load::<S, N>(&inputs[c].0[i])));
            }
            if !pixels.is_multiple_of(LANES) {
                let gradients = std::array::from_fn(|r| load_rest::<S, N>(simd, gradients[r].1));
                add_products(simd, &mut sums, gradients, std::array::from_fn(|c| load_rest::<S, N>(simd, inputs[c].1)));
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (c, lanes) in sums.iter().enumerate() {
                self.out[(row + r) * self.columns + column + c] = sum(simd, *lanes);
            }
        }
    }
}

#[inline(always)]
fn add_products<S: Simd, const N: usize, const R: usize, const C: usize>(
    simd: S,
    sums: &mut [[[S::f32s; N]; C]; R],
    gradients: [[S::f32s; N]; R],
    inputs: [[S::f32s; N]; C],
) {
    for vector in 0..N {
        for (sums, gradient) in sums.iter_mut().zip(&gradients) {
            for (sum, input) in sums.iter_mut().zip(&inputs) {
                sum[vector] = simd.mul_add_e_f32s(gradient[vector], input[vector], sum[vector]);
            }
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::kernels::lanes::testing;
    use crate::testing::Draw;

    #[test]
    fn every_width_of_vectors_sums_in_the_order_of_the_lanes() {
        let mut draw = Draw::new(1);
        for (rows, columns, pixels, images) in
            [(5, 7, 49, 3), (4, 3, 100, 2), (1, 1, 5, 1), (9, 8, 9, 8), (6, 4, 64, 1)]
        {
            let (gradient, input) = (draw.numbers(images * rows * pixels), draw.numbers(images * columns * pixels));
            let planes = |tensor: &[f32], channels: usize, channel: usize| -> Vec<Vec<f32>> {
                let images = tensor.chunks_exact(channels * pixels);
                images.map(|image| image[channel * pixels..][..pixels].to_vec()).collect()
            };
            let first = rows / 3;
            let of = |i: usize| {
                let row = planes(&gradient, rows, first + i / columns);
                let column = planes(&input, columns, i % columns);
                let pairs = row.into_iter().zip(column).map(|(row, column)| row.into_iter().zip(column));
                testing::sum(testing::lanes(pairs, |sum, (a, b): (f32, f32)| a.mul_add(b, sum)))
            };
            let expected: Vec<f32> = (0..(rows - first) * columns).map(of).collect();
            testing::assert_every_width_gives(&expected, |width| {
                let mut out = vec![0.0; expected.len()];
                let (gradient, input) = (&gradient[..], &input[..]);
                width.run(Correlations { gradient, input, rows, first, columns, pixels, out: &mut out });
                out
            });
        }
    }
}
