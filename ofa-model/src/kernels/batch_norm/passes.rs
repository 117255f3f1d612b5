//! Batch norm in few passes over memory, for devices whose backend fuses elementwise ops with each other and into the
//! reductions that read them.
//!
//! burn's own transposes the input before every sum over a channel, and keeps what it computes between. Here sums go
//! image by image, without a transpose, and whatever follows from the input elementwise is computed again where it is
//! read, so that nothing of its size but the result is written: 3 reads and 1 write forward, 6 and 1 backward.

use super::{Activation, Backend, FloatTensor, TensorMetadata, Triple};
use crate::kernels::composed::{activate, activation_gradient, in_format, sizes, widened};
use burn::tensor::Shape;

/// A tensor `[batch, channels, pixels]` or, per channel, `[1, channels, 1]`.
struct Flat<B: Backend>(FloatTensor<B>);

impl<B: Backend> Flat<B> {
    /// From `[batch, channels, height, width]`, as `f32`.
    fn of(tensor: FloatTensor<B>) -> Self {
        let [batch, channels, height, width] = sizes::<B>(&tensor);
        Self(B::float_reshape(widened::<B>(tensor), Shape::from([batch, channels, height * width])))
    }

    /// From `[channels]`, as `f32`.
    fn by_channel(vector: FloatTensor<B>) -> Self {
        let channels = vector.shape()[0];
        Self(B::float_reshape(widened::<B>(vector), Shape::from([1, channels, 1])))
    }

    fn again(&self) -> FloatTensor<B> {
        self.0.clone()
    }

    /// As `[channels]`.
    fn vector(self) -> FloatTensor<B> {
        let channels = self.0.shape()[1];
        B::float_reshape(self.0, Shape::from([channels]))
    }
}

/// Means over images and pixels, `[1, channels, 1]`.
fn means<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mean_dim(B::float_mean_dim(tensor, 2), 0)
}

/// `1 / sqrt(variance + epsilon)`
fn inverse_deviation<B: Backend>(variance: FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
    B::float_recip(B::float_sqrt(B::float_add_scalar(variance, epsilon.into())))
}

pub(super) fn norm_train<B: Backend>(
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    epsilon: f64,
    activation: Activation,
) -> Triple<B> {
    let (shape, format) = (input.shape(), input.dtype());
    let x = Flat::<B>::of(input);
    let [gamma, beta] = [gamma, beta].map(Flat::<B>::by_channel);
    let mean = means::<B>(x.again());
    let centred = || B::float_sub(x.again(), mean.clone());
    let variance = means::<B>(B::float_mul(centred(), centred()));
    let scale = B::float_mul(gamma.0, inverse_deviation::<B>(variance.clone(), epsilon));
    let output = B::float_add(B::float_mul(centred(), scale), beta.0);
    let output = in_format::<B>(activate::<B>(output, activation), format);
    (B::float_reshape(output, shape), Flat::<B>(mean).vector(), Flat::<B>(variance).vector())
}

pub(super) fn norm_train_backward<B: Backend>(
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    mean: FloatTensor<B>,
    variance: FloatTensor<B>,
    output_gradient: FloatTensor<B>,
    epsilon: f64,
    activation: Activation,
) -> Triple<B> {
    let (shape, formats) = (input.shape(), [&input, &gamma, &beta].map(|tensor| tensor.dtype()));
    let (x, output_gradient) = (Flat::<B>::of(input), Flat::<B>::of(output_gradient));
    let [gamma, beta, mean, variance] = [gamma, beta, mean, variance].map(Flat::<B>::by_channel);
    let inverse = inverse_deviation::<B>(variance.0, epsilon);
    let normalised = || B::float_mul(B::float_sub(x.again(), mean.again()), inverse.clone());
    let gradient = || {
        let pre = B::float_add(B::float_mul(normalised(), gamma.again()), beta.again());
        activation_gradient::<B>(pre, output_gradient.again(), activation)
    };
    let of_beta = means::<B>(gradient());
    let of_gamma = means::<B>(B::float_mul(gradient(), normalised()));
    // gamma / deviation * (gradient - its mean - normalised * mean of their product)
    let centred = B::float_sub(gradient(), of_beta.clone());
    let rest = B::float_sub(centred, B::float_mul(normalised(), of_gamma.clone()));
    let of_input = B::float_mul(rest, B::float_mul(gamma.again(), inverse.clone()));
    let count = shape.num_elements() as f64 / shape[1] as f64;
    let sums = |means| Flat::<B>(B::float_mul_scalar(means, count.into())).vector();
    let [of_x, of_g, of_b] = formats;
    (
        B::float_reshape(in_format::<B>(of_input, of_x), shape),
        in_format::<B>(sums(of_gamma), of_g),
        in_format::<B>(sums(of_beta), of_b),
    )
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::super::general;
    use super::*;
    use crate::kernels::plain::{contiguous, numbers, tensor};
    use crate::testing::Draw;
    use burn::backend::Flex;

    fn farthest(found: &[f32], expected: &[f32]) -> f32 {
        assert_eq!(found.len(), expected.len());
        let scale = expected.iter().fold(1e-6f32, |most, x| most.max(x.abs()));
        found.iter().zip(expected).fold(0.0f32, |most, (a, b)| most.max((a - b).abs())) / scale
    }

    #[test]
    fn both_passes_are_those_of_the_general_form() {
        let mut draw = Draw::new(5);
        for sizes in [[2, 1, 1, 1], [1, 3, 2, 3], [5, 4, 7, 7], [3, 2, 14, 13]] {
            let (all, channels) = (sizes.iter().product(), sizes[1]);
            let [x, g] = [(); 2].map(|()| tensor(draw.numbers(all), sizes));
            let [gamma, beta] = [(); 2].map(|()| tensor(draw.numbers(channels), [channels]));
            for activation in [Activation::Identity, Activation::Relu, Activation::Relu6, Activation::HardSwish] {
                let input = || (x.clone(), gamma.clone(), beta.clone());
                let (a, b, c) = input();
                let found = norm_train::<Flex>(a, b, c, 1e-5, activation);
                let (a, b, c) = input();
                let expected = general::norm_train::<Flex>(a, b, c, 1e-5, activation);
                let (mean, variance) = (expected.1.clone(), expected.2.clone());
                let backward = |of: fn(_, _, _, _, _, _, _, _) -> _| {
                    let (a, b, c) = input();
                    of(a, b, c, mean.clone(), variance.clone(), g.clone(), 1e-5, activation)
                };
                let pairs = [
                    (found, expected),
                    (backward(norm_train_backward::<Flex>), backward(general::norm_train_backward::<Flex>)),
                ];
                for (i, (found, expected)) in pairs.into_iter().enumerate() {
                    let both = [found.0, found.1, found.2].into_iter().zip([expected.0, expected.1, expected.2]);
                    for (j, (found, expected)) in both.enumerate() {
                        assert_eq!(found.shape(), expected.shape());
                        let distance = farthest(numbers(&contiguous(found)), numbers(&contiguous(expected)));
                        assert!(distance < 1e-5, "{sizes:?}, {activation:?}, {i} {j}: {distance:e}");
                    }
                }
            }
        }
    }
}
