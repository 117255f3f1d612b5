//! SIMD passes of batch norm over the planes of some images.

use crate::kernels::activation::Lanes;
use crate::kernels::lanes::{LANES, load, load_rest, load_rest_or, sum, with_vectors};
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;

/// Statistics and parameters of batch norm for one channel.
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

/// `values = activation(values * scale + shift)` in some planes, with scale and shift per channel.
pub(in crate::kernels) struct Affine<'a, A> {
    pub(in crate::kernels) values: &'a mut [f32],
    pub(in crate::kernels) pixels: usize,
    /// Index of the first plane, counted over all images; its channel is `first` modulo the number of channels.
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
    /// Index of the first plane, counted over all images; its channel is `first` modulo the number of channels.
    pub(super) first: usize,
    pub(super) channels: &'a [Channel],
    /// Per channel, batch means of the pre-activation's gradient and of its product with the normalised input.
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

/// Per channel over some images, sums of `input - origin` and of its square, in the order of `lanes`; every image
/// starts at lane 0.
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
        with_vectors!(S, N => self.of_channels::<S, N>(simd));
    }
}

impl Moments<'_> {
    #[inline(always)]
    fn of_channels<S: Simd, const N: usize>(self, simd: S) {
        let image = self.origins.len() * self.pixels;
        for (c, (&origin, sums)) in self.origins.iter().zip(self.sums).enumerate() {
            let origin = simd.splat_f32s(origin);
            let mut powers = [[simd.splat_f32s(0.0); 2]; N];
            for input in self.input.chunks_exact(image) {
                let (blocks, rest) = input[c * self.pixels..][..self.pixels].as_chunks::<LANES>();
                for block in blocks {
                    for (powers, x) in powers.iter_mut().zip(load::<S, N>(block)) {
                        add_powers(simd, powers, simd.sub_f32s(x, origin));
                    }
                }
                if !rest.is_empty() {
                    // Past the end the value is the origin, so nothing is added.
                    for (powers, x) in powers.iter_mut().zip(load_rest_or::<S, N>(simd, rest, origin)) {
                        add_powers(simd, powers, simd.sub_f32s(x, origin));
                    }
                }
            }
            add_sums(simd, sums, powers);
        }
    }
}

/// Per channel over some images, sums of the pre-activation's gradient and of its product with the normalised input, in
/// the order of `lanes`; every image starts at lane 0.
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
        with_vectors!(S, N => self.of_channels::<S, N>(simd));
    }
}

impl<A: Lanes> GradientSums<'_, A> {
    #[inline(always)]
    fn of_channels<S: Simd, const N: usize>(self, simd: S) {
        let image = self.channels.len() * self.pixels;
        for (c, (channel, sums)) in self.channels.iter().zip(self.sums).enumerate() {
            let mut pairs = [[simd.splat_f32s(0.0); 2]; N];
            for (input, gradient) in self.input.chunks_exact(image).zip(self.gradient.chunks_exact(image)) {
                let (inputs, input_rest) = input[c * self.pixels..][..self.pixels].as_chunks::<LANES>();
                let (gradients, gradient_rest) = gradient[c * self.pixels..][..self.pixels].as_chunks::<LANES>();
                for (x, g) in inputs.iter().zip(gradients) {
                    Self::add(simd, *channel, &mut pairs, load::<S, N>(x), load::<S, N>(g));
                }
                if !input_rest.is_empty() {
                    // Past the end the gradient is zero, so nothing is added.
                    let (x, g) = (load_rest::<S, N>(simd, input_rest), load_rest::<S, N>(simd, gradient_rest));
                    Self::add(simd, *channel, &mut pairs, x, g);
                }
            }
            add_sums(simd, sums, pairs);
        }
    }

    #[inline(always)]
    fn add<S: Simd, const N: usize>(
        simd: S,
        channel: Channel,
        pairs: &mut [[S::f32s; 2]; N],
        x: [S::f32s; N],
        g: [S::f32s; N],
    ) {
        for (sums, (x, g)) in pairs.iter_mut().zip(x.into_iter().zip(g)) {
            let (normalised, pre) = channel.normalise(simd, x);
            let g = simd.mul_f32s(g, A::slope(simd, pre));
            sums[0] = simd.add_f32s(sums[0], g);
            sums[1] = simd.mul_add_e_f32s(g, normalised, sums[1]);
        }
    }
}

#[inline(always)]
fn add_powers<S: Simd>(simd: S, sums: &mut [S::f32s; 2], x: S::f32s) {
    sums[0] = simd.add_f32s(sums[0], x);
    sums[1] = simd.mul_add_e_f32s(x, x, sums[1]);
}

/// Adds the lane sums of both values.
#[inline(always)]
fn add_sums<S: Simd, const N: usize>(simd: S, sums: &mut [f64; 2], pairs: [[S::f32s; 2]; N]) {
    for (i, total) in sums.iter_mut().enumerate() {
        *total += f64::from(sum(simd, pairs.map(|pair| pair[i])));
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::kernels::activation::lanes::HardSwish;
    use crate::kernels::lanes::testing;
    use crate::testing::Draw;

    /// (images, channels, pixels)
    const SIZES: [(usize, usize, usize); 5] = [(3, 2, 49), (8, 3, 16), (2, 1, 100), (1, 4, 1), (2, 2, 9)];

    /// The planes of a channel.
    fn planes<T: Copy>(tensor: &[T], channels: usize, pixels: usize, channel: usize) -> Vec<Vec<T>> {
        tensor.chunks_exact(channels * pixels).map(|image| image[channel * pixels..][..pixels].to_vec()).collect()
    }

    /// Sums as `f32`: the precision in which a kernel adds to the `f64`.
    fn flat(sums: Vec<[f64; 2]>) -> Vec<f32> {
        sums.into_iter().flatten().map(|sum| sum as f32).collect()
    }

    #[test]
    fn every_width_of_vectors_sums_moments_in_the_order_of_the_lanes() {
        let mut draw = Draw::new(1);
        for (images, channels, pixels) in SIZES {
            let (input, origins) = (draw.numbers(images * channels * pixels), draw.numbers(channels));
            let of = |c: usize| {
                let mut centred = planes(&input, channels, pixels, c);
                centred.iter_mut().flatten().for_each(|x| *x -= origins[c]);
                let sums = testing::lanes(centred.clone(), |sum, x: f32| sum + x);
                [sums, testing::lanes(centred, |sum, x: f32| x.mul_add(x, sum))].map(testing::sum)
            };
            let expected: Vec<f32> = (0..channels).flat_map(of).collect();
            testing::assert_every_width_gives(&expected, |width| {
                let mut sums = vec![[0.0; 2]; channels];
                width.run(Moments { input: &input, origins: &origins, pixels, sums: &mut sums });
                flat(sums)
            });
        }
    }

    /// Slopes exist only as vector code, so the widths can only be compared with each other.
    #[test]
    fn every_width_of_vectors_sums_gradients_to_the_same_bits() {
        let mut draw = Draw::new(1);
        for (images, channels, pixels) in SIZES {
            let (input, gradient) =
                (draw.numbers(images * channels * pixels), draw.numbers(images * channels * pixels));
            let parameters: Vec<Channel> = (0..channels)
                .map(|_| draw.numbers(4))
                .map(|n| Channel { mean: n[0], inverse_deviation: n[1], gamma: n[2], beta: n[3] })
                .collect();
            let of = |width: testing::Width| {
                let mut sums = vec![[0.0; 2]; channels];
                let (input, gradient, channels) = (&input[..], &gradient[..], &parameters[..]);
                let activation = PhantomData::<HardSwish>;
                width.run(GradientSums { input, gradient, channels, pixels, sums: &mut sums, activation });
                flat(sums)
            };
            let Some(&first) = testing::Width::all().first() else { return };
            testing::assert_every_width_gives(&of(first), of);
        }
    }
}
