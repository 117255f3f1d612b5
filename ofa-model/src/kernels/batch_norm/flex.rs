//! Batch norm on the CPU: one pass for the statistics and one for the output.

use super::planes::{Affine, Channel, GradientSums, InputGradient, Moments};
use super::{Activation, NormBackend, general};
use crate::kernels::activation::with_lanes;
use crate::kernels::plain::{all_f32, changed_planes, contiguous, numbers, sizes, tensor};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Images per partial sum; fixed, so sums do not depend on the number of threads.
const IMAGES: usize = 8;

impl NormBackend for Flex {
    fn norm_train(
        input: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        epsilon: f64,
        activation: Activation,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        if !all_f32(&[&input, &gamma, &beta]) {
            return general::norm_train::<Flex>(input, gamma, beta, epsilon, activation);
        }
        let planes = Planes::of(&input);
        let (input, gamma, beta) = (contiguous(input), contiguous(gamma), contiguous(beta));
        let (mean, variance) = planes.moments(numbers(&input));
        let scale: Vec<f32> = (numbers(&gamma).iter().zip(&variance))
            .map(|(gamma, variance)| (f64::from(*gamma) / (f64::from(*variance) + epsilon).sqrt()) as f32)
            .collect();
        let shifts = numbers(&beta).iter().zip(mean.iter().zip(&scale));
        let shift: Vec<f32> = shifts.map(|(beta, (mean, scale))| beta - mean * scale).collect();
        let output = planes.affine(input, &scale, &shift, activation);
        (output, tensor(mean, [planes.channels]), tensor(variance, [planes.channels]))
    }

    fn norm_train_backward(
        input: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        output_gradient: FlexTensor,
        epsilon: f64,
        activation: Activation,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        if !all_f32(&[&input, &gamma, &beta, &output_gradient]) {
            let (g, e, a) = (output_gradient, epsilon, activation);
            return general::norm_train_backward::<Flex>(input, gamma, beta, mean, variance, g, e, a);
        }
        let planes = Planes::of(&input);
        let (input, gradient) = (contiguous(input), contiguous(output_gradient));
        let vectors = [gamma, beta, mean, variance].map(|vector| vector.to_contiguous());
        let [gamma, beta, mean, variance] = vectors.each_ref().map(numbers);
        let channels: Vec<Channel> = (0..planes.channels)
            .map(|c| Channel {
                mean: mean[c],
                inverse_deviation: (1.0 / (f64::from(variance[c]) + epsilon).sqrt()) as f32,
                gamma: gamma[c],
                beta: beta[c],
            })
            .collect();
        let x = numbers(&input);
        let sums = planes.gradient_sums(x, numbers(&gradient), &channels, activation);
        let means: Vec<[f32; 2]> = sums.iter().map(|sums| sums.map(|sum| (sum / planes.count()) as f32)).collect();
        let input_gradient = planes.input_gradient(x, gradient, &channels, &means, activation);
        let column = |i: usize| tensor(sums.iter().map(|sums| sums[i] as f32).collect(), [planes.channels]);
        (input_gradient, column(1), column(0))
    }

    fn affine(input: FlexTensor, scale: FlexTensor, shift: FlexTensor, activation: Activation) -> FlexTensor {
        if !all_f32(&[&input, &scale, &shift]) {
            return general::affine::<Flex>(input, scale, shift, activation);
        }
        let planes = Planes::of(&input);
        let (scale, shift) = (scale.to_contiguous(), shift.to_contiguous());
        planes.affine(input, numbers(&scale), numbers(&shift), activation)
    }
}

/// Sizes of `[batch, channels, pixels]`.
#[derive(Clone, Copy)]
struct Planes {
    batch: usize,
    channels: usize,
    pixels: usize,
}

impl Planes {
    fn of(tensor: &FlexTensor) -> Self {
        let [batch, channels, height, width] = sizes(tensor);
        Self { batch, channels, pixels: height * width }
    }

    /// Number of values that a channel's statistics are taken over.
    fn count(&self) -> f64 {
        (self.batch * self.pixels) as f64
    }

    /// Number of values in an image. A plane can be as small as one pixel, so a task takes the planes of one or more
    /// images.
    fn image(&self) -> usize {
        self.channels * self.pixels
    }

    /// Mean and biased variance of every channel.
    fn moments(&self, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        // Values are shifted by one of them, so sums of squares do not cancel.
        let origins: Vec<f32> = x[..self.image()].iter().step_by(self.pixels).copied().collect();
        let sums = self.channel_sums(|images, sums| {
            Arch::new().dispatch(Moments { input: &x[images], origins: &origins, pixels: self.pixels, sums });
        });
        let moments = sums.iter().zip(origins).map(|([sum, squares], origin)| {
            let mean = sum / self.count();
            let variance = (squares / self.count() - mean * mean).max(0.0);
            ((mean + f64::from(origin)) as f32, variance as f32)
        });
        moments.unzip()
    }

    /// Per channel, sums of the pre-activation's gradient and of its product with the normalised input.
    fn gradient_sums(&self, x: &[f32], g: &[f32], channels: &[Channel], activation: Activation) -> Vec<[f64; 2]> {
        with_lanes!(activation, Kind => self.channel_sums(|images, sums| {
            let (input, gradient) = (&x[images.clone()], &g[images]);
            let activation = PhantomData::<Kind>;
            Arch::new().dispatch(GradientSums { input, gradient, channels, pixels: self.pixels, sums, activation });
        }))
    }

    /// Adds up the results of `add(range of some images in the buffer, sums per channel)` over all images.
    fn channel_sums(&self, add: impl Fn(Range<usize>, &mut [[f64; 2]]) + Sync) -> Vec<[f64; 2]> {
        let parts: Vec<Vec<[f64; 2]>> = (0..self.batch.div_ceil(IMAGES))
            .into_par_iter()
            .map(|part| {
                let mut sums = vec![[0.0; 2]; self.channels];
                let end = self.batch.min((part + 1) * IMAGES);
                add(part * IMAGES * self.image()..end * self.image(), &mut sums);
                sums
            })
            .collect();
        parts.into_iter().fold(vec![[0.0; 2]; self.channels], |mut total, part| {
            for (total, part) in total.iter_mut().flatten().zip(part.iter().flatten()) {
                *total += part;
            }
            total
        })
    }

    fn affine(&self, input: FlexTensor, scale: &[f32], shift: &[f32], activation: Activation) -> FlexTensor {
        with_lanes!(activation, Kind => changed_planes(input, self.pixels, |first, values| {
            let activation = PhantomData::<Kind>;
            Arch::new().dispatch(Affine { values, pixels: self.pixels, first, scale, shift, activation });
        }))
    }

    fn input_gradient(
        &self,
        x: &[f32],
        gradient: FlexTensor,
        channels: &[Channel],
        means: &[[f32; 2]],
        activation: Activation,
    ) -> FlexTensor {
        with_lanes!(activation, Kind => changed_planes(gradient, self.pixels, |first, gradient| {
            let input = &x[first * self.pixels..][..gradient.len()];
            let activation = PhantomData::<Kind>;
            let pixels = self.pixels;
            Arch::new().dispatch(InputGradient { input, gradient, pixels, first, channels, means, activation });
        }))
    }
}
