//! Two-dimensional filters as one-dimensional ones.
//!
//! Lay out a plane row by row with enough zeros between rows, and a pixel's neighbour in a given direction is always at
//! the same distance in memory, even across borders. A filter is then a sum of shifted copies of one long vector, which
//! suits SIMD for any row width. The results between rows are discarded.

use crate::kernels::lanes::{LANES, load, sum, with_vectors, zeros};
use pulp::{Simd, WithSimd};

/// Length of the widest vector; flat planes are padded to a multiple of it.
pub(super) const PADDING: usize = 16;

/// Sums kept in registers at once. Eight hide the latency of a multiply-add. With more than ten, plus a weight and a
/// value, the sixteen registers of AVX2 run out.
const MOST_SUMS: usize = 10;

/// `out[i] = sum over taps of weights[tap] * source[i + offsets[tap]]`
///
/// The length of `out` is a multiple of [`PADDING`]; the source is as long as `out` plus the largest offset.
pub(in crate::kernels) struct Correlate<'a> {
    pub(in crate::kernels) source: &'a [f32],
    pub(in crate::kernels) offsets: &'a [usize],
    pub(in crate::kernels) weights: &'a [f32],
    pub(in crate::kernels) out: &'a mut [f32],
    pub(in crate::kernels) rounding: Rounding,
}

/// How a product is rounded before it enters a sum.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::kernels) enum Rounding {
    /// Only the sum is rounded (fused multiply-add).
    Once,
    /// The product is rounded too, as burn does in convolutions of few channels.
    Twice,
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let vectors = self.out.len() / S::F32_LANES;
        let groups = vectors.div_ceil(MOST_SUMS);
        for group in 0..groups {
            // Even groups: a short last group would stall on its own sums.
            let (from, to) = (vectors * group / groups, vectors * (group + 1) / groups);
            match to - from {
                1 => self.group::<S, 1>(simd, from),
                2 => self.group::<S, 2>(simd, from),
                3 => self.group::<S, 3>(simd, from),
                4 => self.group::<S, 4>(simd, from),
                5 => self.group::<S, 5>(simd, from),
                6 => self.group::<S, 6>(simd, from),
                7 => self.group::<S, 7>(simd, from),
                8 => self.group::<S, 8>(simd, from),
                9 => self.group::<S, 9>(simd, from),
                _ => self.group::<S, MOST_SUMS>(simd, from),
            }
        }
    }
}

impl Correlate<'_> {
    /// Computes `N` vectors of the output, starting at `vector`.
    #[inline(always)]
    fn group<S: Simd, const N: usize>(&mut self, simd: S, vector: usize) {
        let (start, length) = (vector * S::F32_LANES, N * S::F32_LANES);
        let source = &self.source[start..];
        let mut sums = [simd.splat_f32s(0.0); N];
        for (&offset, &weight) in self.offsets.iter().zip(self.weights) {
            let weight = simd.splat_f32s(weight);
            let (values, _) = S::as_simd_f32s(&source[offset..offset + length]);
            match self.rounding {
                Rounding::Once => {
                    for (sum, &value) in sums.iter_mut().zip(values) {
                        *sum = simd.mul_add_e_f32s(value, weight, *sum);
                    }
                }
                Rounding::Twice => {
                    for (sum, &value) in sums.iter_mut().zip(values) {
                        *sum = simd.add_f32s(simd.mul_f32s(value, weight), *sum);
                    }
                }
            }
        }
        S::as_mut_simd_f32s(&mut self.out[start..start + length]).0.copy_from_slice(&sums);
    }
}

/// `out[tap] += sum over planes and i of gradient[i] * source[i + offsets[tap]]`, in the order of `lanes`.
///
/// The length of a gradient plane is a multiple of [`PADDING`], with zeros where there is no pixel.
pub(super) struct Dots<'a> {
    pub(super) gradients: &'a [f32],
    pub(super) gradient_len: usize,
    pub(super) sources: &'a [f32],
    pub(super) source_len: usize,
    pub(super) offsets: &'a [usize],
    pub(super) out: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        with_vectors!(S, N => self.all_taps::<S, N>(simd));
    }
}

impl Dots<'_> {
    /// Computes as many dots at once as registers allow, so the gradient is loaded once for all of them.
    #[inline(always)]
    fn all_taps<S: Simd, const N: usize>(mut self, simd: S) {
        let mut tap = 0;
        while self.offsets.len() - tap >= 7 {
            self.taps::<S, N, 7>(simd, tap);
            tap += 7;
        }
        while self.offsets.len() - tap >= 2 {
            self.taps::<S, N, 2>(simd, tap);
            tap += 2;
        }
        if tap < self.offsets.len() {
            self.taps::<S, N, 1>(simd, tap);
        }
    }

    /// Computes `T` taps, starting at `tap`.
    #[inline(always)]
    fn taps<S: Simd, const N: usize, const T: usize>(&mut self, simd: S, tap: usize) {
        let offsets: [usize; T] = std::array::from_fn(|t| self.offsets[tap + t]);
        let mut sums = [zeros::<S, N>(simd); T];
        let planes = self.gradients.chunks_exact(self.gradient_len).zip(self.sources.chunks_exact(self.source_len));
        for (gradient, source) in planes {
            let (gradient, _) = gradient.as_chunks::<LANES>();
            let values: [&[[f32; LANES]]; T] =
                std::array::from_fn(|t| source[offsets[t]..offsets[t] + self.gradient_len].as_chunks().0);
            for (i, gradient) in gradient.iter().enumerate() {
                let gradient = load::<S, N>(gradient);
                for (vector, gradient) in gradient.iter().enumerate() {
                    for (sums, values) in sums.iter_mut().zip(&values) {
                        let values = load::<S, N>(&values[i]);
                        sums[vector] = simd.mul_add_e_f32s(*gradient, values[vector], sums[vector]);
                    }
                }
            }
        }
        for (lanes, out) in sums.into_iter().zip(&mut self.out[tap..]) {
            *out += sum(simd, lanes);
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
        for (gradient_len, planes, taps) in [(16, 1, 1), (48, 3, 9), (80, 2, 25), (64, 8, 49)] {
            let source_len = gradient_len + 3 * taps;
            let (gradients, sources) = (draw.numbers(planes * gradient_len), draw.numbers(planes * source_len));
            let offsets: Vec<usize> = (0..taps).map(|tap| 3 * tap).collect();
            let of = |&offset: &usize| {
                let planes = gradients.chunks_exact(gradient_len).zip(sources.chunks_exact(source_len));
                let pairs = planes.map(|(gradient, source)| {
                    gradient.iter().zip(&source[offset..]).map(|(gradient, value)| (*gradient, *value))
                });
                0.5 + testing::sum(testing::lanes(pairs, |sum, (a, b): (f32, f32)| a.mul_add(b, sum)))
            };
            let expected: Vec<f32> = offsets.iter().map(of).collect();
            testing::assert_every_width_gives(&expected, |width| {
                let mut out = vec![0.5; taps];
                let (gradients, sources, offsets) = (&gradients[..], &sources[..], &offsets[..]);
                width.run(Dots { gradients, gradient_len, sources, source_len, offsets, out: &mut out });
                out
            });
        }
    }
}
