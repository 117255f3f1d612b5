//! A matrix times the channels of an image, in register blocks.

use crate::kernels::activation::Lanes;
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;
use std::ops::Range;

/// Rows of a block.
pub(in crate::kernels) const ROWS: usize = 6;
/// Maximum vectors of pixels in a block. With [`ROWS`] rows, twelve sums, two values and two weights fill the sixteen
/// registers of AVX2. Four rows of three vectors need as many, but the compiler then keeps two weights in registers and
/// spills a sum to memory, which took half as long again.
const VECTORS: usize = 2;
/// Number of lanes in the widest vector.
const WIDEST: usize = 16;

/// `out[o][p] = after(sum over i of matrix[o][i] * input[i][p])`
///
/// The pixels of a block are first copied into a panel, channel by channel. In an image, channels can be so far apart,
/// at such regular distances, that few of them stay in the cache from one group of rows to the next.
pub(in crate::kernels) struct Product<'a, A> {
    pub(in crate::kernels) matrix: &'a [f32],
    pub(in crate::kernels) input: &'a [f32],
    pub(in crate::kernels) channels: usize,
    pub(in crate::kernels) pixels: usize,
    /// Scratch space of [`Product::panel_len`] values.
    pub(in crate::kernels) panel: &'a mut [f32],
    pub(in crate::kernels) out: &'a mut [f32],
    pub(in crate::kernels) after: After<'a, A>,
}

/// Applied to a row once it is summed: `activation(sum * scale + shift)`, or nothing.
pub(in crate::kernels) struct After<'a, A> {
    scale_and_shift: Option<(&'a [f32], &'a [f32])>,
    activation: PhantomData<A>,
}

impl<'a, A: Lanes> After<'a, A> {
    /// Leaves the sums as they are.
    pub(in crate::kernels) const NOTHING: Self = Self { scale_and_shift: None, activation: PhantomData };

    /// A scale and a shift per row.
    pub(in crate::kernels) fn affine(scale: &'a [f32], shift: &'a [f32]) -> Self {
        Self { scale_and_shift: Some((scale, shift)), activation: PhantomData }
    }

    /// The same for some of the rows.
    pub(super) fn of(&self, rows: Range<usize>) -> Self {
        let part = |(scale, shift): (&'a [f32], &'a [f32])| (&scale[rows.clone()], &shift[rows.clone()]);
        Self { scale_and_shift: self.scale_and_shift.map(part), activation: PhantomData }
    }

    #[inline(always)]
    fn apply<S: Simd, const V: usize>(&self, simd: S, row: usize, sums: [S::f32s; V]) -> [S::f32s; V] {
        let Some((scale, shift)) = self.scale_and_shift else { return sums };
        let (scale, shift) = (simd.splat_f32s(scale[row]), simd.splat_f32s(shift[row]));
        let mut values = sums;
        for value in &mut values {
            *value = A::value(simd, simd.mul_add_e_f32s(*value, scale, shift));
        }
        values
    }
}

impl<A> Product<'_, A> {
    /// Number of elements in a panel.
    pub(in crate::kernels) fn panel_len(channels: usize) -> usize {
        channels * VECTORS * WIDEST
    }
}

impl<A: Lanes> WithSimd for Product<'_, A> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut at = 0;
        while at < self.pixels {
            let length = (self.pixels - at).min(VECTORS * S::F32_LANES);
            if length > S::F32_LANES {
                self.pixel_block::<S, VECTORS>(simd, at, length);
            } else {
                self.pixel_block::<S, 1>(simd, at, length);
            }
            at += length;
        }
    }
}

impl<A: Lanes> Product<'_, A> {
    /// Computes all rows for `length` pixels, as `V` vectors; the last may be partial.
    #[inline(always)]
    fn pixel_block<S: Simd, const V: usize>(&mut self, simd: S, at: usize, length: usize) {
        let Self { matrix, input, channels, pixels, panel, out, after } = self;
        let (vectors, _) = S::as_mut_simd_f32s(&mut panel[..*channels * V * S::F32_LANES]);
        let (panel, _) = vectors.as_chunks_mut::<V>();
        for (values, plane) in panel.iter_mut().zip(input.chunks_exact(*pixels)) {
            *values = load::<S, V>(simd, &plane[at..][..length]);
        }
        let rows = matrix.len() / *channels;
        for first in (0..rows).step_by(ROWS) {
            // If less than a group of rows is left, the last row is summed repeatedly and the copies are discarded.
            let weights = std::array::from_fn(|r| &matrix[(first + r).min(rows - 1) * *channels..][..*channels]);
            let sums = block::<S, V>(simd, panel, weights);
            for (row, sums) in (first..rows).zip(sums) {
                let values = after.apply::<S, V>(simd, row, sums);
                store::<S, V>(simd, &mut out[row * *pixels + at..][..length], values);
            }
        }
    }
}

/// The sums of [`ROWS`] rows of weights.
#[inline(always)]
fn block<S: Simd, const V: usize>(simd: S, panel: &[[S::f32s; V]], weights: [&[f32]; ROWS]) -> [[S::f32s; V]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); V]; ROWS];
    let [a, b, c, d, e, f] = weights;
    for ((((((values, a), b), c), d), e), f) in panel.iter().zip(a).zip(b).zip(c).zip(d).zip(e).zip(f) {
        for (sums, weight) in sums.iter_mut().zip([a, b, c, d, e, f]) {
            let weight = simd.splat_f32s(*weight);
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = simd.mul_add_e_f32s(weight, *value, *sum);
            }
        }
    }
    sums
}

/// Loads `V` vectors and fills up the last with zeros.
#[inline(always)]
fn load<S: Simd, const V: usize>(simd: S, numbers: &[f32]) -> [S::f32s; V] {
    let (whole, rest) = S::as_simd_f32s(numbers);
    match whole.first_chunk::<V>() {
        Some(vectors) => *vectors,
        None => std::array::from_fn(|v| if v < whole.len() { whole[v] } else { simd.partial_load_f32s(rest) }),
    }
}

/// Stores as many values as `numbers` holds.
#[inline(always)]
fn store<S: Simd, const V: usize>(simd: S, numbers: &mut [f32], values: [S::f32s; V]) {
    let (whole, rest) = S::as_mut_simd_f32s(numbers);
    match whole.first_chunk_mut::<V>() {
        Some(vectors) => *vectors = values,
        None => {
            whole.iter_mut().zip(values).for_each(|(to, value)| *to = value);
            simd.partial_store_f32s(rest, values[whole.len()]);
        }
    }
}
