//! 1x1 convolution on the CPU.

use super::gradient::Gradient;
use super::images::Images;
use super::product::After;
use super::{PointwiseBackend, general};
use crate::kernels::activation::Lanes;
use crate::kernels::activation::lanes::Identity;
use crate::kernels::plain::{all_f32, numbers, sizes, tensor};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;

impl PointwiseBackend for Flex {
    fn pointwise(input: FlexTensor, weight: FlexTensor) -> FlexTensor {
        if !all_f32(&[&input, &weight]) {
            return general::forward::<Flex>(input, weight);
        }
        let [out, _, _, _] = sizes(&weight);
        let weight = weight.to_contiguous();
        mix(input, numbers(&weight), out, After::<Identity>::NOTHING)
    }

    fn pointwise_input_gradient(weight: FlexTensor, output_gradient: FlexTensor) -> FlexTensor {
        if !all_f32(&[&weight, &output_gradient]) {
            return general::input_gradient::<Flex>(weight, output_gradient);
        }
        let [out, input, _, _] = sizes(&weight);
        let weight = weight.to_contiguous();
        let weight = numbers(&weight);
        let transposed: Vec<f32> = (0..input * out).map(|i| weight[(i % out) * input + i / out]).collect();
        mix(output_gradient, &transposed, input, After::<Identity>::NOTHING)
    }

    fn pointwise_weight_gradient(input: FlexTensor, output_gradient: FlexTensor) -> FlexTensor {
        if !all_f32(&[&input, &output_gradient]) {
            return general::weight_gradient::<Flex>(input, output_gradient);
        }
        let [_, columns, height, width] = sizes(&input);
        let [_, rows, _, _] = sizes(&output_gradient);
        let (input, gradient) = (input.to_contiguous(), output_gradient.to_contiguous());
        let shape = Gradient { rows, columns, pixels: height * width };
        tensor(shape.of(numbers(&input), numbers(&gradient)), [rows, columns, 1, 1])
    }
}

/// Multiplies every image by the matrix `[out, in]`, then applies `after`.
pub(in crate::kernels) fn mix<A: Lanes>(
    input: FlexTensor,
    matrix: &[f32],
    out: usize,
    after: After<'_, A>,
) -> FlexTensor {
    let [batch, channels, height, width] = sizes(&input);
    let input = input.to_contiguous();
    let images = Images { batch, channels, pixels: height * width };
    tensor(images.mixed(numbers(&input), matrix, out, after), [batch, out, height, width])
}
