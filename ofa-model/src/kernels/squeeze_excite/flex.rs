//! Means, products and scalings of planes on the CPU.

use super::{PlaneBackend, general};
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

/// One number for each plane of `pixels` numbers, by `fill(the numbers of some planes, one number for each)`.
fn by_plane(planes: usize, pixels: usize, fill: impl Fn(Range<usize>, &mut [f32]) + Send + Sync) -> Vec<f32> {
    let mut results = vec![0.0; planes];
    let some = planes_of_a_task(pixels);
    results.par_chunks_mut(some).enumerate().for_each(|(task, results)| {
        let start = task * some * pixels;
        fill(start..start + results.len() * pixels, results);
    });
    results
}

/// Sums over each plane of one tensor, or of the product of two.
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
        let planes = self.a.chunks_exact(self.pixels).zip(self.sums).enumerate();
        for (plane, (a, sum)) in planes {
            let (vectors, rest) = S::as_simd_f32s(a);
            let mut lanes = simd.partial_load_f32s(rest);
            match self.b {
                None => vectors.iter().for_each(|vector| lanes = simd.add_f32s(lanes, *vector)),
                Some(b) => {
                    let (others, other_rest) = S::as_simd_f32s(&b[plane * self.pixels..][..self.pixels]);
                    lanes = simd.mul_f32s(lanes, simd.partial_load_f32s(other_rest));
                    for (vector, other) in vectors.iter().zip(others) {
                        lanes = simd.mul_add_e_f32s(*vector, *other, lanes);
                    }
                }
            }
            *sum = simd.reduce_sum_f32s(lanes);
        }
    }
}

/// `values = values * scale + shift`; scale and shift by plane.
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
