//! Means, dot products and scaling of planes on the CPU.

use super::{PlaneBackend, general};
use crate::kernels::lanes::{LANES, load, load_rest, sum, with_vectors, zeros};
use crate::kernels::plain::{all_f32, changed_planes, numbers, planes_of_a_task, sizes, tensor};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

impl PlaneBackend for Flex {
    fn plane_means(input: FlexTensor) -> FlexTensor {
        if !all_f32(&[&input]) {
            return general::means::<Flex>(input);
        }
        let [batch, channels, height, width] = sizes(&input);
        let (input, pixels) = (input.to_contiguous(), height * width);
        let planes = numbers(&input);
        let means = by_plane(batch * channels, pixels, |of, means| {
            Arch::new().dispatch(Sums { a: &planes[of], b: None, pixels, sums: &mut *means });
            means.iter_mut().for_each(|mean| *mean /= pixels as f32);
        });
        tensor(means, [batch, channels])
    }

    fn plane_dots(a: FlexTensor, b: FlexTensor) -> FlexTensor {
        if !all_f32(&[&a, &b]) {
            return general::dots::<Flex>(a, b);
        }
        let [batch, channels, height, width] = sizes(&a);
        let (a, b, pixels) = (a.to_contiguous(), b.to_contiguous(), height * width);
        let (a, b) = (numbers(&a), numbers(&b));
        let sums = by_plane(batch * channels, pixels, |of, sums| {
            Arch::new().dispatch(Sums { a: &a[of.clone()], b: Some(&b[of]), pixels, sums });
        });
        tensor(sums, [batch, channels])
    }

    fn plane_scale(input: FlexTensor, scale: FlexTensor) -> FlexTensor {
        if !all_f32(&[&input, &scale]) {
            return general::scale::<Flex>(input, scale);
        }
        let [_, _, height, width] = sizes(&input);
        let (scale, pixels) = (scale.to_contiguous(), height * width);
        let scale = numbers(&scale);
        changed_planes(input, pixels, |first, values| {
            let scale = &scale[first..];
            Arch::new().dispatch(Affine { values, pixels, scale, shift: None });
        })
    }

    fn plane_affine(input: FlexTensor, scale: FlexTensor, shift: FlexTensor) -> FlexTensor {
        if !all_f32(&[&input, &scale, &shift]) {
            return general::affine::<Flex>(input, scale, shift);
        }
        let [_, _, height, width] = sizes(&input);
        let (scale, shift, pixels) = (scale.to_contiguous(), shift.to_contiguous(), height * width);
        let (scale, shift) = (numbers(&scale), numbers(&shift));
        changed_planes(input, pixels, |first, values| {
            let (scale, shift) = (&scale[first..], Some(&shift[first..]));
            Arch::new().dispatch(Affine { values, pixels, scale, shift });
        })
    }
}

/// One value per plane of `pixels` values, computed by `fill(range of some planes, one value per plane)`.
fn by_plane(planes: usize, pixels: usize, fill: impl Fn(Range<usize>, &mut [f32]) + Send + Sync) -> Vec<f32> {
    let mut results = vec![0.0; planes];
    let some = planes_of_a_task(pixels);
    results.par_chunks_mut(some).enumerate().for_each(|(task, results)| {
        let start = task * some * pixels;
        fill(start..start + results.len() * pixels, results);
    });
    results
}

/// Sums over each plane of one tensor, or of the product of two, in the order of `lanes`.
struct Sums<'a> {
    a: &'a [f32],
    b: Option<&'a [f32]>,
    pixels: usize,
    sums: &'a mut [f32],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        with_vectors!(S, N => self.of_planes::<S, N>(simd));
    }
}

impl Sums<'_> {
    #[inline(always)]
    fn of_planes<S: Simd, const N: usize>(self, simd: S) {
        for (plane, (a, out)) in self.a.chunks_exact(self.pixels).zip(self.sums).enumerate() {
            *out = match self.b {
                None => plane_sum::<S, N>(simd, a),
                Some(b) => plane_dot::<S, N>(simd, a, &b[plane * self.pixels..][..self.pixels]),
            };
        }
    }
}

#[inline(always)]
fn plane_sum<S: Simd, const N: usize>(simd: S, a: &[f32]) -> f32 {
    let (blocks, rest) = a.as_chunks::<LANES>();
    let mut lanes = zeros::<S, N>(simd);
    let mut add = |block: [S::f32s; N]| {
        for (lane, number) in lanes.iter_mut().zip(block) {
            *lane = simd.add_f32s(*lane, number);
        }
    };
    blocks.iter().for_each(|block| add(load::<S, N>(block)));
    if !rest.is_empty() {
        add(load_rest::<S, N>(simd, rest));
    }
    sum(simd, lanes)
}

#[inline(always)]
fn plane_dot<S: Simd, const N: usize>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((blocks, rest), (others, other_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = zeros::<S, N>(simd);
    let mut add = |block: [S::f32s; N], other: [S::f32s; N]| {
        for (lane, (number, other)) in lanes.iter_mut().zip(block.into_iter().zip(other)) {
            *lane = simd.mul_add_e_f32s(number, other, *lane);
        }
    };
    blocks.iter().zip(others).for_each(|(block, other)| add(load::<S, N>(block), load::<S, N>(other)));
    if !rest.is_empty() {
        add(load_rest::<S, N>(simd, rest), load_rest::<S, N>(simd, other_rest));
    }
    sum(simd, lanes)
}

/// `values = values * scale + shift`, with scale and shift per plane.
struct Affine<'a> {
    values: &'a mut [f32],
    pixels: usize,
    scale: &'a [f32],
    shift: Option<&'a [f32]>,
}

impl WithSimd for Affine<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (plane, values) in self.values.chunks_exact_mut(self.pixels).enumerate() {
            let scale = simd.splat_f32s(self.scale[plane]);
            let shift = simd.splat_f32s(self.shift.map_or(0.0, |shift| shift[plane]));
            let (vectors, rest) = S::as_mut_simd_f32s(values);
            for vector in vectors {
                *vector = simd.mul_add_e_f32s(*vector, scale, shift);
            }
            if !rest.is_empty() {
                let vector = simd.mul_add_e_f32s(simd.partial_load_f32s(rest), scale, shift);
                simd.partial_store_f32s(rest, vector);
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
        for (planes, pixels) in [(3, 49), (1, 1), (2, 16), (2, 100), (5, 9)] {
            let (a, b) = (draw.numbers(planes * pixels), draw.numbers(planes * pixels));
            let pairs = || a.chunks_exact(pixels).zip(b.chunks_exact(pixels));
            let sum_of = |(a, _): (&[f32], &[f32])| testing::sum(testing::lanes([a.iter().copied()], |sum, a| sum + a));
            let dot_of = |(a, b): (&[f32], &[f32])| {
                let pairs = a.iter().copied().zip(b.iter().copied());
                testing::sum(testing::lanes([pairs], |sum, (a, b): (f32, f32)| a.mul_add(b, sum)))
            };
            let run = |width: testing::Width, b: Option<&[f32]>| {
                let mut sums = vec![0.0; planes];
                width.run(Sums { a: &a, b, pixels, sums: &mut sums });
                sums
            };
            testing::assert_every_width_gives(&pairs().map(sum_of).collect::<Vec<_>>(), |width| run(width, None));
            testing::assert_every_width_gives(&pairs().map(dot_of).collect::<Vec<_>>(), |width| run(width, Some(&b)));
        }
    }
}
