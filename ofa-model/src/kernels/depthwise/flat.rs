//! Two-dimensional filters as one-dimensional ones.
//!
//! Lay a plane out row by row with enough zeros between rows, and the neighbour of every pixel in a given direction is
//! at the same distance in memory, across borders too. Then a filter is a sum of shifted copies of one long vector,
//! which SIMD likes whatever the width of a row; the results between rows are thrown away.

use pulp::{Simd, WithSimd};

/// Vectors kept in registers at once.
const BLOCK: usize = 4;
/// The widest vector is 16 numbers: buffers are padded to whole blocks of it.
pub(super) const PADDING: usize = 16 * BLOCK;

/// `out[i] = sum over taps of weights[tap] * source[i + offsets[tap]]`
///
/// The length of `out` is a multiple of [`PADDING`]; the source is as long as `out` and the largest offset together.
pub(super) struct Correlate<'a> {
    pub(super) source: &'a [f32],
    pub(super) offsets: &'a [usize],
    pub(super) weights: &'a [f32],
    pub(super) out: &'a mut [f32],
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let step = BLOCK * S::F32_LANES;
        for (i, out) in self.out.chunks_exact_mut(step).enumerate() {
            let mut sums = [simd.splat_f32s(0.0); BLOCK];
            let source = &self.source[i * step..];
            for (&offset, &weight) in self.offsets.iter().zip(self.weights) {
                let weight = simd.splat_f32s(weight);
                let (values, _) = S::as_simd_f32s(&source[offset..offset + step]);
                for (sum, &value) in sums.iter_mut().zip(values) {
                    *sum = simd.mul_add_e_f32s(value, weight, *sum);
                }
            }
            S::as_mut_simd_f32s(out).0.copy_from_slice(&sums);
        }
    }
}

/// `out[tap] += sum over i of gradient[i] * source[i + offsets[tap]]`
///
/// The length of `gradient` is a multiple of [`PADDING`], with zeros where no pixel is.
pub(super) struct Dots<'a> {
    pub(super) gradient: &'a [f32],
    pub(super) source: &'a [f32],
    pub(super) offsets: &'a [usize],
    pub(super) out: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many dots at once as there are registers for: the gradient is loaded once for all of them.
        let (groups, rest) = self.offsets.as_chunks::<7>();
        let (sevens, outs) = self.out.split_at_mut(7 * groups.len());
        for (offsets, out) in groups.iter().zip(sevens.chunks_exact_mut(7)) {
            dots(simd, self.gradient, self.source, offsets, out);
        }
        let (groups, rest) = rest.as_chunks::<2>();
        let (pairs, outs) = outs.split_at_mut(2 * groups.len());
        for (offsets, out) in groups.iter().zip(pairs.chunks_exact_mut(2)) {
            dots(simd, self.gradient, self.source, offsets, out);
        }
        for (offset, out) in rest.iter().zip(outs.chunks_exact_mut(1)) {
            dots(simd, self.gradient, self.source, &[*offset], out);
        }
    }
}

#[inline(always)]
fn dots<S: Simd, const N: usize>(simd: S, gradient: &[f32], source: &[f32], offsets: &[usize; N], out: &mut [f32]) {
    let (gradient, _) = S::as_simd_f32s(gradient);
    let sources = offsets.map(|offset| {
        let (values, _) = S::as_simd_f32s(&source[offset..offset + gradient.len() * S::F32_LANES]);
        values
    });
    let mut sums = [[simd.splat_f32s(0.0); N]; 2];
    for i in (0..gradient.len()).step_by(2) {
        for (half, sums) in sums.iter_mut().enumerate() {
            let g = gradient[i + half];
            for (sum, values) in sums.iter_mut().zip(&sources) {
                *sum = simd.mul_add_e_f32s(g, values[i + half], *sum);
            }
        }
    }
    for (tap, out) in out.iter_mut().enumerate() {
        *out += simd.reduce_sum_f32s(simd.add_f32s(sums[0][tap], sums[1][tap]));
    }
}
