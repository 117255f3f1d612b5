//! Batch norm on the CPU: one pass for the statistics, one for the output.

use super::{Activation, NormBackend};
use crate::kernels::activation::{Scalar, with_scalar};
use crate::kernels::plain::{numbers, parallel_chunks, sizes, tensor};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

/// Numbers summed side by side, so that sums vectorise.
const LANES: usize = 16;

impl NormBackend for Flex {
    fn norm_train(
        input: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        epsilon: f64,
        activation: Activation,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [batch, channels, height, width] = sizes(&input);
        let planes = Planes { batch, channels, pixels: height * width };
        let (input, gamma, beta) = (input.to_contiguous(), gamma.to_contiguous(), beta.to_contiguous());
        let x = numbers(&input);
        let moments: Vec<(f32, f32)> = (0..channels).into_par_iter().map(|c| planes.moments(x, c)).collect();
        let scale: Vec<f32> = (0..channels)
            .map(|c| (f64::from(numbers(&gamma)[c]) / (f64::from(moments[c].1) + epsilon).sqrt()) as f32)
            .collect();
        let shift: Vec<f32> = (0..channels).map(|c| numbers(&beta)[c] - moments[c].0 * scale[c]).collect();
        let output = planes.affine(x, &scale, &shift, activation);
        let (mean, variance) = moments.into_iter().unzip();
        (tensor(output, [batch, channels, height, width]), tensor(mean, [channels]), tensor(variance, [channels]))
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
        let [batch, channels, height, width] = sizes(&input);
        let planes = Planes { batch, channels, pixels: height * width };
        let (input, gradient) = (input.to_contiguous(), output_gradient.to_contiguous());
        let vectors = [gamma, beta, mean, variance].map(|vector| vector.to_contiguous());
        let [gamma, beta, mean, variance] = vectors.each_ref().map(numbers);
        let channel = |c: usize| Channel {
            mean: mean[c],
            inverse_deviation: (1.0 / (f64::from(variance[c]) + epsilon).sqrt()) as f32,
            gamma: gamma[c],
            beta: beta[c],
        };
        let (x, g) = (numbers(&input), numbers(&gradient));
        let sums: Vec<(f32, f32)> = with_scalar!(activation, Kind => {
            (0..channels).into_par_iter().map(|c| planes.gradient_sums::<Kind>(x, g, c, channel(c))).collect()
        });
        let input_gradient = with_scalar!(activation, Kind => planes.input_gradient::<Kind>(x, g, &sums, channel));
        let (beta_gradient, gamma_gradient) = sums.into_iter().unzip();
        (
            tensor(input_gradient, [batch, channels, height, width]),
            tensor(gamma_gradient, [channels]),
            tensor(beta_gradient, [channels]),
        )
    }

    fn affine(input: FlexTensor, scale: FlexTensor, shift: FlexTensor, activation: Activation) -> FlexTensor {
        let [batch, channels, height, width] = sizes(&input);
        let planes = Planes { batch, channels, pixels: height * width };
        let (input, scale, shift) = (input.to_contiguous(), scale.to_contiguous(), shift.to_contiguous());
        let output = planes.affine(numbers(&input), numbers(&scale), numbers(&shift), activation);
        tensor(output, [batch, channels, height, width])
    }
}

/// `[batch, channels, pixels]`
#[derive(Clone, Copy)]
struct Planes {
    batch: usize,
    channels: usize,
    pixels: usize,
}

#[derive(Clone, Copy)]
struct Channel {
    mean: f32,
    inverse_deviation: f32,
    gamma: f32,
    beta: f32,
}

impl Channel {
    /// Normalised value and pre-activation.
    #[inline(always)]
    fn normalise(self, x: f32) -> (f32, f32) {
        let normalised = (x - self.mean) * self.inverse_deviation;
        (normalised, normalised * self.gamma + self.beta)
    }
}

impl Planes {
    fn plane<'a>(&self, x: &'a [f32], image: usize, channel: usize) -> &'a [f32] {
        &x[(image * self.channels + channel) * self.pixels..][..self.pixels]
    }

    fn count(&self) -> f64 {
        (self.batch * self.pixels) as f64
    }

    /// Mean and biased variance of a channel.
    fn moments(&self, x: &[f32], channel: usize) -> (f32, f32) {
        // Shifted by one of the values, sums of squares do not cancel.
        let origin = x[channel * self.pixels];
        let (mut sum, mut squares) = (0.0, 0.0);
        for image in 0..self.batch {
            let plane = self.plane(x, image, channel);
            let (s, q) = Arch::new().dispatch(|| {
                two_sums(plane, plane, |x, _| {
                    let d = x - origin;
                    (d, d * d)
                })
            });
            sum += s;
            squares += q;
        }
        let mean = sum / self.count();
        let variance = (squares / self.count() - mean * mean).max(0.0);
        ((mean + f64::from(origin)) as f32, variance as f32)
    }

    fn affine(&self, x: &[f32], scale: &[f32], shift: &[f32], activation: Activation) -> Vec<f32> {
        with_scalar!(activation, Kind => self.map(x, x, |c| {
            let (scale, shift) = (scale[c], shift[c]);
            move |x: f32, _: f32| Kind::value(x * scale + shift)
        }))
    }

    /// Sums over a channel of the gradient before the activation, and of it times the normalised input.
    fn gradient_sums<S: Scalar>(&self, x: &[f32], g: &[f32], channel: usize, values: Channel) -> (f32, f32) {
        let (mut sum, mut product) = (0.0, 0.0);
        for image in 0..self.batch {
            let (x, g) = (self.plane(x, image, channel), self.plane(g, image, channel));
            let (s, p) = Arch::new().dispatch(|| {
                two_sums(x, g, |x, g| {
                    let (normalised, pre) = values.normalise(x);
                    let d = g * S::slope(pre);
                    (d, d * normalised)
                })
            });
            sum += s;
            product += p;
        }
        (sum as f32, product as f32)
    }

    fn input_gradient<S: Scalar>(
        &self,
        x: &[f32],
        g: &[f32],
        sums: &[(f32, f32)],
        channel: impl Fn(usize) -> Channel + Sync,
    ) -> Vec<f32> {
        let count = self.count();
        self.map(x, g, |c| {
            let values = channel(c);
            let (mean, product) = ((f64::from(sums[c].0) / count) as f32, (f64::from(sums[c].1) / count) as f32);
            let factor = values.gamma * values.inverse_deviation;
            move |x: f32, g: f32| {
                let (normalised, pre) = values.normalise(x);
                factor * (g * S::slope(pre) - mean - normalised * product)
            }
        })
    }

    /// Combines two tensors element by element, by a function of the channel.
    fn map<F: Fn(f32, f32) -> f32>(&self, a: &[f32], b: &[f32], by_channel: impl Fn(usize) -> F + Sync) -> Vec<f32> {
        // Planes can be as small as a pixel: a task takes the planes of one image.
        let image = self.channels * self.pixels;
        parallel_chunks(self.batch, image, || (), |(), i, output| {
            let (a, b) = (&a[i * image..][..image], &b[i * image..][..image]);
            Arch::new().dispatch(|| {
                let planes = output.chunks_exact_mut(self.pixels);
                let inputs = a.chunks_exact(self.pixels).zip(b.chunks_exact(self.pixels));
                for (c, (output, (a, b))) in planes.zip(inputs).enumerate() {
                    let combine = by_channel(c);
                    for ((output, a), b) in output.iter_mut().zip(a).zip(b) {
                        *output = combine(*a, *b);
                    }
                }
            });
        })
    }
}

/// Sums of two functions of pairs, in an order that depends on the length alone.
#[inline(always)]
fn two_sums(a: &[f32], b: &[f32], terms: impl Fn(f32, f32) -> (f32, f32)) -> (f64, f64) {
    let (mut first, mut second) = ([0.0f32; LANES], [0.0f32; LANES]);
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..LANES {
            let (f, s) = terms(a[lane], b[lane]);
            first[lane] += f;
            second[lane] += s;
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| terms(*a, *b));
    let (first, second) = (first.map(f64::from).iter().sum::<f64>(), second.map(f64::from).iter().sum::<f64>());
    rest.fold((first, second), |(first, second), (f, s)| (first + f64::from(f), second + f64::from(s)))
}
