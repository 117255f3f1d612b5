//! The passes of batch norm over the planes of some images, as SIMD.

use crate::kernels::activation::Lanes;
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;

/// What batch norm does to a channel.
#[derive(Clone, Copy)]
pub(super) struct Channel {
    pub(super) mean: f32,
    pub(super) inverse_deviation: f32,
    pub(super) gamma: f32,
    pub(super) beta: f32,
}

impl Channel {
    /// Normalised values and pre-activations.
    #[inline(always)]
    fn normalise<S: Simd>(self, simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
        let centred = simd.sub_f32s(x, simd.splat_f32s(self.mean));
        let normalised = simd.mul_f32s(centred, simd.splat_f32s(self.inverse_deviation));
        let pre = simd.mul_add_e_f32s(normalised, simd.splat_f32s(self.gamma), simd.splat_f32s(self.beta));
        (normalised, pre)
    }
}

/// `values = activation(values * scale + shift)` in some planes; scale and shift by channel.
pub(in crate::kernels) struct Affine<'a, A> {
    pub(in crate::kernels) values: &'a mut [f32],
    pub(in crate::kernels) pixels: usize,
    /// The first plane is that of this channel, or of the same one of a later image.
    pub(in crate::kernels) first: usize,
    pub(in crate::kernels) scale: &'a [f32],
    pub(in crate::kernels) shift: &'a [f32],
    pub(in crate::kernels) activation: PhantomData<A>,
}

impl<A: Lanes> WithSimd for Affine<'_, A> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.scale.len();
        let coefficients = self.scale.iter().zip(self.shift).cycle().skip(self.first % channels);
        for (plane, (&scale, &shift)) in self.values.chunks_exact_mut(self.pixels).zip(coefficients) {
            let (scale, shift) = (simd.splat_f32s(scale), simd.splat_f32s(shift));
            let (vectors, rest) = S::as_mut_simd_f32s(plane);
            for vector in vectors {
                *vector = A::value(simd, simd.mul_add_e_f32s(*vector, scale, shift));
            }
            if !rest.is_empty() {
                let vector = simd.partial_load_f32s(rest);
                simd.partial_store_f32s(rest, A::value(simd, simd.mul_add_e_f32s(vector, scale, shift)));
            }
        }
    }
}

/// Turns the output gradient of some planes into their input gradient.
pub(super) struct InputGradient<'a, A> {
    pub(super) input: &'a [f32],
    pub(super) gradient: &'a mut [f32],
    pub(super) pixels: usize,
    /// The first plane is that of this channel, or of the same one of a later image.
    pub(super) first: usize,
    pub(super) channels: &'a [Channel],
    /// Means over the batch of the pre-activation's gradient, and of it times the normalised input, by channel.
    pub(super) means: &'a [[f32; 2]],
    pub(super) activation: PhantomData<A>,
}

impl<A: Lanes> WithSimd for InputGradient<'_, A> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let planes = self.input.chunks_exact(self.pixels).zip(self.gradient.chunks_exact_mut(self.pixels));
        let channels = self.channels.iter().zip(self.means).cycle().skip(self.first % self.channels.len());
        for ((input, gradient), (channel, means)) in planes.zip(channels) {
            let (inputs, input_rest) = S::as_simd_f32s(input);
            let (gradients, gradient_rest) = S::as_mut_simd_f32s(gradient);
            for (gradient, input) in gradients.iter_mut().zip(inputs) {
                *gradient = Self::combine(simd, *channel, *means, *input, *gradient);
            }
            if !input_rest.is_empty() {
                let (x, g) = (simd.partial_load_f32s(input_rest), simd.partial_load_f32s(gradient_rest));
                simd.partial_store_f32s(gradient_rest, Self::combine(simd, *channel, *means, x, g));
            }
        }
    }
}

impl<A: Lanes> InputGradient<'_, A> {
    #[inline(always)]
    fn combine<S: Simd>(simd: S, channel: Channel, means: [f32; 2], x: S::f32s, g: S::f32s) -> S::f32s {
        let (normalised, pre) = channel.normalise(simd, x);
        let g = simd.mul_f32s(g, A::slope(simd, pre));
        let centred = simd.sub_f32s(g, simd.splat_f32s(means[0]));
        let along = simd.mul_f32s(normalised, simd.splat_f32s(means[1]));
        let factor = simd.splat_f32s(channel.gamma * channel.inverse_deviation);
        simd.mul_f32s(factor, simd.sub_f32s(centred, along))
    }
}

/// By channel over some images: sums of the input less `origins`, and of its square.
pub(super) struct Moments<'a> {
    pub(super) input: &'a [f32],
    pub(super) origins: &'a [f32],
    pub(super) pixels: usize,
    pub(super) sums: &'a mut [[f64; 2]],
}

impl WithSimd for Moments<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let image = self.origins.len() * self.pixels;
        for (c, (&origin, sums)) in self.origins.iter().zip(self.sums).enumerate() {
            let origin = simd.splat_f32s(origin);
            let mut pair = [[simd.splat_f32s(0.0); 2]; 2];
            for input in self.input.chunks_exact(image) {
                let (vectors, rest) = S::as_simd_f32s(&input[c * self.pixels..][..self.pixels]);
                let (twos, one) = vectors.as_chunks::<2>();
                for two in twos {
                    add_powers(simd, &mut pair[0], simd.sub_f32s(two[0], origin));
                    add_powers(simd, &mut pair[1], simd.sub_f32s(two[1], origin));
                }
                for vector in one {
                    add_powers(simd, &mut pair[0], simd.sub_f32s(*vector, origin));
                }
                if !rest.is_empty() {
                    let there = simd.mask_between_m32s(0, rest.len() as u32).mask();
                    let vector = simd.select_f32s(there, simd.partial_load_f32s(rest), origin);
                    add_powers(simd, &mut pair[1], simd.sub_f32s(vector, origin));
                }
            }
            add_reduced(simd, sums, pair);
        }
    }
}

/// By channel over some images: sums of the gradient before the activation, and of it times the normalised input.
pub(super) struct GradientSums<'a, A> {
    pub(super) input: &'a [f32],
    pub(super) gradient: &'a [f32],
    pub(super) channels: &'a [Channel],
    pub(super) pixels: usize,
    pub(super) sums: &'a mut [[f64; 2]],
    pub(super) activation: PhantomData<A>,
}

impl<A: Lanes> WithSimd for GradientSums<'_, A> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let image = self.channels.len() * self.pixels;
        for (c, (channel, sums)) in self.channels.iter().zip(self.sums).enumerate() {
            let mut pair = [[simd.splat_f32s(0.0); 2]; 2];
            for (input, gradient) in self.input.chunks_exact(image).zip(self.gradient.chunks_exact(image)) {
                let (inputs, input_rest) = S::as_simd_f32s(&input[c * self.pixels..][..self.pixels]);
                let (gradients, gradient_rest) = S::as_simd_f32s(&gradient[c * self.pixels..][..self.pixels]);
                let ((input_pairs, input), (gradient_pairs, gradient)) =
                    (inputs.as_chunks::<2>(), gradients.as_chunks::<2>());
                for (x, g) in input_pairs.iter().zip(gradient_pairs) {
                    Self::add(simd, *channel, &mut pair[0], x[0], g[0]);
                    Self::add(simd, *channel, &mut pair[1], x[1], g[1]);
                }
                for (x, g) in input.iter().zip(gradient) {
                    Self::add(simd, *channel, &mut pair[0], *x, *g);
                }
                if !input_rest.is_empty() {
                    // Behind the end the gradient is zero, and so is what it adds.
                    let (x, g) = (simd.partial_load_f32s(input_rest), simd.partial_load_f32s(gradient_rest));
                    Self::add(simd, *channel, &mut pair[1], x, g);
                }
            }
            add_reduced(simd, sums, pair);
        }
    }
}

impl<A: Lanes> GradientSums<'_, A> {
    #[inline(always)]
    fn add<S: Simd>(simd: S, channel: Channel, sums: &mut [S::f32s; 2], x: S::f32s, g: S::f32s) {
        let (normalised, pre) = channel.normalise(simd, x);
        let g = simd.mul_f32s(g, A::slope(simd, pre));
        sums[0] = simd.add_f32s(sums[0], g);
        sums[1] = simd.mul_add_e_f32s(g, normalised, sums[1]);
    }
}

#[inline(always)]
fn add_powers<S: Simd>(simd: S, sums: &mut [S::f32s; 2], x: S::f32s) {
    sums[0] = simd.add_f32s(sums[0], x);
    sums[1] = simd.mul_add_e_f32s(x, x, sums[1]);
}

#[inline(always)]
fn add_reduced<S: Simd>(simd: S, sums: &mut [f64; 2], pair: [[S::f32s; 2]; 2]) {
    for (sum, (a, b)) in sums.iter_mut().zip(pair[0].into_iter().zip(pair[1])) {
        *sum += f64::from(simd.reduce_sum_f32s(simd.add_f32s(a, b)));
    }
}
