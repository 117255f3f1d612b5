//! Products of the pixels of two images, channel by channel, in blocks of registers.

use pulp::{Simd, WithSimd};

/// Rows of a block.
pub(super) const ROWS: usize = 4;

/// `out[o][i] = sum over images and pixels of gradient[image][o][p] * input[image][i][p]`
pub(super) struct Correlations<'a> {
    pub(super) gradient: &'a [f32],
    pub(super) input: &'a [f32],
    pub(super) rows: usize,
    /// The output is that of some rows, from this one on.
    pub(super) first: usize,
    pub(super) columns: usize,
    pub(super) pixels: usize,
    pub(super) out: &'a mut [f32],
}

impl WithSimd for Correlations<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (mut row, rows) = (0, self.out.len() / self.columns);
        while rows - row >= ROWS {
            self.row_block::<S, ROWS>(simd, row);
            row += ROWS;
        }
        while row < rows {
            self.row_block::<S, 1>(simd, row);
            row += 1;
        }
    }
}

impl Correlations<'_> {
    #[inline(always)]
    fn row_block<S: Simd, const R: usize>(&mut self, simd: S, row: usize) {
        let mut column = 0;
        while self.columns - column >= 2 {
            self.block::<S, R, 2>(simd, row, column);
            column += 2;
        }
        if column < self.columns {
            self.block::<S, R, 1>(simd, row, column);
        }
    }

    #[inline(always)]
    fn block<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, row: usize, column: usize) {
        let pixels = self.pixels;
        let mut sums = [[simd.splat_f32s(0.0); C]; R];
        let images = self.gradient.chunks_exact(self.rows * pixels).zip(self.input.chunks_exact(self.columns * pixels));
        for (gradient, input) in images {
            let gradients: [_; R] =
                std::array::from_fn(|r| S::as_simd_f32s(&gradient[(self.first + row + r) * pixels..][..pixels]));
            let inputs: [_; C] = std::array::from_fn(|c| S::as_simd_f32s(&input[(column + c) * pixels..][..pixels]));
            for v in 0..pixels / S::F32_LANES {
                let inputs: [S::f32s; C] = std::array::from_fn(|c| inputs[c].0[v]);
                add_products(simd, &mut sums, std::array::from_fn(|r| gradients[r].0[v]), inputs);
            }
            if !pixels.is_multiple_of(S::F32_LANES) {
                let inputs: [S::f32s; C] = std::array::from_fn(|c| simd.partial_load_f32s(inputs[c].1));
                add_products(simd, &mut sums, std::array::from_fn(|r| simd.partial_load_f32s(gradients[r].1)), inputs);
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (c, sum) in sums.iter().enumerate() {
                self.out[(row + r) * self.columns + column + c] = simd.reduce_sum_f32s(*sum);
            }
        }
    }
}

#[inline(always)]
fn add_products<S: Simd, const R: usize, const C: usize>(
    simd: S,
    sums: &mut [[S::f32s; C]; R],
    gradients: [S::f32s; R],
    inputs: [S::f32s; C],
) {
    for (sums, gradient) in sums.iter_mut().zip(gradients) {
        for (sum, input) in sums.iter_mut().zip(inputs) {
            *sum = simd.mul_add_e_f32s(gradient, input, *sum);
        }
    }
}
