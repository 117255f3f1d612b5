//! A fixed summation order for rows of values, so the bits are the same for every vector width.
//!
//! There are sixteen lanes. Lane `l` sums the values `l`, `l + 16`, `l + 32`, ... in order; a short tail is padded with
//! zeros. Then lanes are added in pairs: `l` and `l + 8`, then of these `l` and `l + 4`, then `+ 2`, then `+ 1`. The
//! widest vector holds all sixteen lanes; several narrower ones hold them together.

use pulp::Simd;

/// Number of values summed side by side.
pub(super) const LANES: usize = 16;

/// Runs `$body` with the constant `$vectors`: how many vectors of `$simd` hold the lanes.
macro_rules! with_vectors {
    ($simd:ident, $vectors:ident => $body:expr) => {
        match $simd::F32_LANES {
            16 => {
                const $vectors: usize = 1;
                $body
            }
            8 => {
                const $vectors: usize = 2;
                $body
            }
            4 => {
                const $vectors: usize = 4;
                $body
            }
            1 => {
                const $vectors: usize = $crate::kernels::lanes::LANES;
                $body
            }
            width => unreachable!("vectors of {width} lanes"),
        }
    };
}
pub(super) use with_vectors;

/// All lanes zero.
#[inline(always)]
pub(super) fn zeros<S: Simd, const N: usize>(simd: S) -> [S::f32s; N] {
    [simd.splat_f32s(0.0); N]
}

/// Loads one value per lane.
#[inline(always)]
pub(super) fn load<S: Simd, const N: usize>(numbers: &[f32; LANES]) -> [S::f32s; N] {
    let (vectors, _) = S::as_simd_f32s(numbers);
    *vectors.first_chunk().expect("N vectors make up the lanes")
}

/// Loads fewer values than lanes and fills up with zeros.
#[inline(always)]
pub(super) fn load_rest<S: Simd, const N: usize>(simd: S, rest: &[f32]) -> [S::f32s; N] {
    std::array::from_fn(|vector| simd.partial_load_f32s(part::<S>(rest, vector)))
}

/// Loads fewer values than lanes and fills up with `others`.
#[inline(always)]
pub(super) fn load_rest_or<S: Simd, const N: usize>(simd: S, rest: &[f32], others: S::f32s) -> [S::f32s; N] {
    std::array::from_fn(|vector| {
        let part = part::<S>(rest, vector);
        let there = simd.mask_between_m32s(0, part.len() as u32).mask();
        simd.select_f32s(there, simd.partial_load_f32s(part), others)
    })
}

/// The part of the tail that falls into a vector.
#[inline(always)]
fn part<S: Simd>(rest: &[f32], vector: usize) -> &[f32] {
    let start = rest.len().min(vector * S::F32_LANES);
    &rest[start..rest.len().min(start + S::F32_LANES)]
}

/// The sum of the lanes.
#[inline(always)]
pub(super) fn sum<S: Simd, const N: usize>(simd: S, mut lanes: [S::f32s; N]) -> f32 {
    let mut vectors = N;
    while vectors > 1 {
        vectors /= 2;
        for vector in 0..vectors {
            lanes[vector] = simd.add_f32s(lanes[vector], lanes[vector + vectors]);
        }
    }
    simd.reduce_sum_f32s(lanes[0])
}

/// Helpers for kernel tests. Two vector widths can be compared only where the processor has both.
#[cfg(all(test, target_arch = "x86_64"))]
pub(super) mod testing {
    use super::LANES;
    use pulp::x86::{V3, V4};
    use pulp::{Simd, WithSimd};

    /// A vector width and its instructions.
    #[derive(Clone, Copy, Debug)]
    pub(in crate::kernels) enum Width {
        Eight(V3),
        Sixteen(V4),
    }

    impl Width {
        /// The widths that this processor supports.
        pub(in crate::kernels) fn all() -> Vec<Self> {
            V3::try_new().map(Self::Eight).into_iter().chain(V4::try_new().map(Self::Sixteen)).collect()
        }

        pub(in crate::kernels) fn run<Op: WithSimd>(self, op: Op) -> Op::Output {
            match self {
                Self::Eight(simd) => Simd::vectorize(simd, op),
                Self::Sixteen(simd) => Simd::vectorize(simd, op),
            }
        }
    }

    /// Asserts that all supported vector widths give `expected`, bit for bit. `run` returns the output of a width.
    #[track_caller]
    pub(in crate::kernels) fn assert_every_width_gives(expected: &[f32], run: impl Fn(Width) -> Vec<f32>) {
        let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        for width in Width::all() {
            let found = run(width);
            assert_eq!(bits(&found), bits(expected), "{width:?}: found {found:?}, expected {expected:?}");
        }
    }

    /// The lanes, computed one value at a time: `add(lane, value)` for every value of the rows. Each row starts at lane
    /// 0 and is padded with zeros.
    pub(in crate::kernels) fn lanes<T: Copy + Default>(
        rows: impl IntoIterator<Item = impl IntoIterator<Item = T>>,
        add: impl Fn(f32, T) -> f32,
    ) -> [f32; LANES] {
        let mut lanes = [0.0; LANES];
        for row in rows {
            let mut numbers: Vec<T> = row.into_iter().collect();
            numbers.resize(numbers.len().next_multiple_of(LANES), T::default());
            for (i, number) in numbers.into_iter().enumerate() {
                lanes[i % LANES] = add(lanes[i % LANES], number);
            }
        }
        lanes
    }

    /// The sum of the lanes, one addition at a time.
    pub(in crate::kernels) fn sum(mut lanes: [f32; LANES]) -> f32 {
        for distance in [8, 4, 2, 1] {
            for lane in 0..distance {
                lanes[lane] += lanes[lane + distance];
            }
        }
        lanes[0]
    }
}
