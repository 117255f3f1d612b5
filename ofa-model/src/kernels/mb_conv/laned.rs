//! Planes of sixteen images side by side: pixel by pixel, one image per lane.
//!
//! [`LANES`] images form a group. In this layout no vector is ever partial, a filter's neighbours are whole vectors,
//! and means over the pixels of an image are sums of vectors. The layout, and so the order of every sum, is the same
//! for every vector width.

pub(super) use crate::kernels::lanes::LANES;
use crate::kernels::lanes::with_vectors;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Sizes of the planes of one channel: groups of [`LANES`] images (the last one padded) with their pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Laned {
    pub(super) batch: usize,
    pub(super) pixels: usize,
}

impl Laned {
    pub(super) fn groups(self) -> usize {
        self.batch.div_ceil(LANES)
    }

    /// Number of elements in a group.
    pub(super) fn group_len(self) -> usize {
        self.pixels * LANES
    }

    /// Number of elements in a channel.
    pub(super) fn len(self) -> usize {
        self.groups() * self.group_len()
    }

    /// Distance from one channel to the next. At multiples of 4 KiB, channels would evict each other from the cache.
    pub(super) fn stride(self) -> usize {
        self.len() + LANES
    }

    /// One channel from rows that are a [stride](Self::stride) apart.
    pub(super) fn row(self, rows: &[f32], channel: usize) -> &[f32] {
        &rows[channel * self.stride()..][..self.len()]
    }

    /// Range of a group within a channel.
    pub(super) fn group(self, group: usize) -> Range<usize> {
        group * self.group_len()..(group + 1) * self.group_len()
    }

    /// Number of values that a channel's statistics are taken over.
    pub(super) fn count(self) -> f64 {
        (self.batch * self.pixels) as f64
    }

    /// 1 in the lanes of images, 0 in the padding lanes.
    pub(super) fn mask(self, group: usize) -> [f32; LANES] {
        std::array::from_fn(|lane| if group * LANES + lane < self.batch { 1.0 } else { 0.0 })
    }

    /// Lays out one channel of `[batch, channels, pixels]`; padding lanes of the last group are not written.
    pub(super) fn gather(self, images: &[f32], channels: usize, channel: usize, to: &mut [f32]) {
        for group in 0..self.groups() {
            let to = &mut to[self.group(group)];
            for lane in 0..LANES.min(self.batch - group * LANES) {
                let plane = (group * LANES + lane) * channels + channel;
                let plane = &images[plane * self.pixels..][..self.pixels];
                to[lane..].iter_mut().step_by(LANES).zip(plane).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

/// Views the sixteen values of each pixel as vectors.
#[inline(always)]
pub(super) fn pixels<S: Simd, const H: usize>(numbers: &[f32]) -> &[[S::f32s; H]] {
    S::as_simd_f32s(numbers).0.as_chunks::<H>().0
}

/// Mutable version of [`pixels`].
#[inline(always)]
pub(super) fn pixels_mut<S: Simd, const H: usize>(numbers: &mut [f32]) -> &mut [[S::f32s; H]] {
    S::as_mut_simd_f32s(numbers).0.as_chunks_mut::<H>().0
}

/// Views one pixel as vectors.
#[inline(always)]
pub(super) fn pixel<S: Simd, const H: usize>(numbers: &[f32; LANES]) -> [S::f32s; H] {
    pixels::<S, H>(numbers)[0]
}

/// The sum of sixteen lanes, added in the order of [`crate::kernels::lanes`].
pub(super) fn sum(lanes: &[f32; LANES]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|i| lanes[i] + lanes[i + 8]);
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// One sum per sixteen lanes.
pub(super) fn sums(lanes: &[f32]) -> Vec<f32> {
    lanes.as_chunks::<LANES>().0.iter().map(sum).collect()
}

/// `out[row][column] = sum over k of weights[k][row] * input[k][column]`, each sum in the order of `k`.
pub(super) struct Product<'a> {
    /// `[k, rows]`, at most [`ROWS`] rows.
    pub(super) weights: &'a [f32],
    pub(super) rows: usize,
    pub(super) input: &'a [f32],
    /// Distance from one `k` to the next.
    pub(super) input_stride: usize,
    /// Number of columns, a multiple of [`LANES`].
    pub(super) columns: usize,
    pub(super) out: &'a mut [f32],
    /// Distance from one row to the next.
    pub(super) out_stride: usize,
}

/// Maximum rows of a product: four rows of four vectors keep the multipliers of AVX-512 busy, four rows of two those of
/// AVX2.
pub(super) const ROWS: usize = 4;

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match (self.rows, S::F32_LANES) {
            (4, 16) => self.all::<S, 4, 4>(simd),
            (3, 16) => self.all::<S, 3, 4>(simd),
            (2, 16) => self.all::<S, 2, 4>(simd),
            (1, 16) => self.all::<S, 1, 4>(simd),
            (4, _) => self.all::<S, 4, 2>(simd),
            (3, _) => self.all::<S, 3, 2>(simd),
            (2, _) => self.all::<S, 2, 2>(simd),
            (1, _) => self.all::<S, 1, 2>(simd),
            (rows, _) => unreachable!("{rows} rows"),
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn all<S: Simd, const R: usize, const V: usize>(&mut self, simd: S) {
        let vectors = self.columns / S::F32_LANES;
        let blocks = vectors / V;
        for block in 0..blocks {
            self.block::<S, R, V>(simd, block * V * S::F32_LANES);
        }
        for vector in blocks * V..vectors {
            self.block::<S, R, 1>(simd, vector * S::F32_LANES);
        }
    }

    #[inline(always)]
    fn block<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, at: usize) {
        let length = V * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        let (weights, _) = self.weights.as_chunks::<R>();
        for (weights, input) in weights.iter().zip(self.input.chunks(self.input_stride)) {
            let Some(values) = S::as_simd_f32s(&input[at..at + length]).0.first_chunk::<V>() else { return };
            for (sums, weight) in sums.iter_mut().zip(weights) {
                let weight = simd.splat_f32s(*weight);
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum = simd.mul_add_e_f32s(weight, *value, *sum);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let out = &mut self.out[row * self.out_stride + at..][..length];
            S::as_mut_simd_f32s(out).0.copy_from_slice(sums);
        }
    }
}

/// `sums[a][b][lane] += sum over pixels of left[a][pixel][lane] * right[b][pixel][lane]`
pub(super) struct Dots<'a> {
    pub(super) left: &'a [f32],
    /// Distance from one row of `left` to the next.
    pub(super) left_stride: usize,
    pub(super) left_rows: usize,
    pub(super) right: &'a [f32],
    /// Distance from one row of `right` to the next.
    pub(super) right_stride: usize,
    pub(super) right_rows: usize,
    /// Number of elements in a row.
    pub(super) length: usize,
    pub(super) sums: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        with_vectors!(S, H => self.run::<S, H>(simd));
    }
}

impl Dots<'_> {
    #[inline(always)]
    fn run<S: Simd, const H: usize>(&mut self, simd: S) {
        for left in (0..self.left_rows).step_by(4) {
            for right in (0..self.right_rows).step_by(4) {
                match (self.left_rows - left, self.right_rows - right) {
                    (4.., 4..) if H == 1 => self.block::<S, H, 4, 4>(simd, left, right),
                    (4.., _) => {
                        for right in (right..self.right_rows.min(right + 4)).step_by(2) {
                            match self.right_rows - right {
                                2.. => self.block::<S, H, 4, 2>(simd, left, right),
                                _ => self.block::<S, H, 4, 1>(simd, left, right),
                            }
                        }
                    }
                    (rows, _) => {
                        for right in right..self.right_rows.min(right + 4) {
                            for left in left..left + rows {
                                self.block::<S, H, 1, 1>(simd, left, right);
                            }
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn block<S: Simd, const H: usize, const A: usize, const B: usize>(&mut self, simd: S, left: usize, right: usize) {
        let count = self.length / LANES;
        let lefts: [_; A] = std::array::from_fn(|a| {
            &pixels::<S, H>(&self.left[(left + a) * self.left_stride..][..self.length])[..count]
        });
        let rights: [_; B] = std::array::from_fn(|b| {
            &pixels::<S, H>(&self.right[(right + b) * self.right_stride..][..self.length])[..count]
        });
        let place = |a: usize, b: usize| ((left + a) * self.right_rows + right + b) * LANES;
        for half in 0..H {
            let mut sums: [[S::f32s; B]; A] = std::array::from_fn(|a| {
                std::array::from_fn(|b| pixels::<S, H>(&self.sums[place(a, b)..][..LANES])[0][half])
            });
            for i in 0..count {
                let values: [S::f32s; B] = std::array::from_fn(|b| rights[b][i][half]);
                for (sums, left) in sums.iter_mut().zip(&lefts) {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = simd.mul_add_e_f32s(left[i][half], value, *sum);
                    }
                }
            }
            for (a, sums) in sums.iter().enumerate() {
                for (b, sum) in sums.iter().enumerate() {
                    pixels_mut::<S, H>(&mut self.sums[place(a, b)..][..LANES])[0][half] = *sum;
                }
            }
        }
    }
}
