//! One pass over the planes on the CPU, in place.

use super::{Curve, Levels, RequantizeBackend, SLOPE, general};
use crate::kernels::plain::{all_f32, changed_planes, numbers, sizes};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};

impl RequantizeBackend for Flex {
    fn requantized(
        sums: FlexTensor,
        shift: FlexTensor,
        multiplier: FlexTensor,
        levels: Levels,
        curve: Option<Curve>,
    ) -> FlexTensor {
        if !all_f32(&[&sums, &shift, &multiplier]) {
            return general::<Flex>(sums, shift, multiplier, levels, curve);
        }
        let [_, _, height, width] = sizes(&sums);
        let (shift, multiplier, pixels) = (shift.to_contiguous(), multiplier.to_contiguous(), height * width);
        let (shift, multiplier) = (numbers(&shift), numbers(&multiplier));
        changed_planes(sums, pixels, |first, values| match curve {
            None => Arch::new().dispatch(Planes { values, pixels, first, shift, multiplier, levels, curve: Straight }),
            Some(curve) if curve.swish => {
                Arch::new().dispatch(Planes { values, pixels, first, shift, multiplier, levels, curve: Swish(curve) })
            }
            Some(curve) => {
                Arch::new().dispatch(Planes { values, pixels, first, shift, multiplier, levels, curve: Sigmoid(curve) })
            }
        })
    }
}

/// What comes after the first rounding, so that the choice is made outside the loops.
trait Then: Copy {
    fn apply<S: Simd>(self, simd: S, integers: S::f32s) -> S::f32s;
}

#[derive(Clone, Copy)]
struct Straight;
#[derive(Clone, Copy)]
struct Swish(Curve);
#[derive(Clone, Copy)]
struct Sigmoid(Curve);

impl Then for Straight {
    #[inline(always)]
    fn apply<S: Simd>(self, _: S, integers: S::f32s) -> S::f32s {
        integers
    }
}

impl Then for Swish {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, integers: S::f32s) -> S::f32s {
        let x = simd.mul_f32s(integers, simd.splat_f32s(self.0.step));
        let y = simd.mul_f32s(x, gate(simd, x));
        rounded(simd, simd.div_f32s(y, simd.splat_f32s(self.0.output_step)), self.0.output_levels)
    }
}

impl Then for Sigmoid {
    #[inline(always)]
    fn apply<S: Simd>(self, simd: S, integers: S::f32s) -> S::f32s {
        let y = gate(simd, simd.mul_f32s(integers, simd.splat_f32s(self.0.step)));
        rounded(simd, simd.div_f32s(y, simd.splat_f32s(self.0.output_step)), self.0.output_levels)
    }
}

/// Hard sigmoid.
#[inline(always)]
fn gate<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let scaled = simd.add_f32s(simd.mul_f32s(x, simd.splat_f32s(SLOPE)), simd.splat_f32s(0.5));
    simd.max_f32s(simd.splat_f32s(0.0), simd.min_f32s(simd.splat_f32s(1.0), scaled))
}

/// Limits, then rounds: the limits are integers, so the order does not matter. Adding a number whose last bit is worth
/// 1 rounds half to even.
#[inline(always)]
fn rounded<S: Simd>(simd: S, x: S::f32s, [low, high]: Levels) -> S::f32s {
    const ONES: f32 = 1.5 * (1 << 23) as f32;
    let limited = simd.max_f32s(simd.splat_f32s(low), simd.min_f32s(simd.splat_f32s(high), x));
    simd.sub_f32s(simd.add_f32s(limited, simd.splat_f32s(ONES)), simd.splat_f32s(ONES))
}

struct Planes<'a, T> {
    values: &'a mut [f32],
    pixels: usize,
    /// Index of the first plane, counted over all images; its channel is `first` modulo the number of channels.
    first: usize,
    shift: &'a [f32],
    multiplier: &'a [f32],
    levels: Levels,
    curve: T,
}

impl<T: Then> WithSimd for Planes<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.shift.len();
        let of_channels = self.shift.iter().zip(self.multiplier).cycle().skip(self.first % channels);
        for (plane, (&shift, &multiplier)) in self.values.chunks_exact_mut(self.pixels).zip(of_channels) {
            let (shift, multiplier) = (simd.splat_f32s(shift), simd.splat_f32s(multiplier));
            let (vectors, rest) = S::as_mut_simd_f32s(plane);
            for vector in vectors {
                let scaled = simd.mul_f32s(simd.add_f32s(*vector, shift), multiplier);
                *vector = self.curve.apply(simd, rounded(simd, scaled, self.levels));
            }
            if !rest.is_empty() {
                let scaled = simd.mul_f32s(simd.add_f32s(simd.partial_load_f32s(rest), shift), multiplier);
                simd.partial_store_f32s(rest, self.curve.apply(simd, rounded(simd, scaled, self.levels)));
            }
        }
    }
}
