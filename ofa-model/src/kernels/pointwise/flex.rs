//! 1x1 convolution on the CPU, image by image: the pixels of a channel are a contiguous row.

use super::correlations::Correlations;
use super::product::{After, Product, ROWS};
use super::{PointwiseBackend, general};
use crate::kernels::activation::Lanes;
use crate::kernels::activation::lanes::Identity;
use crate::kernels::plain::{all_f32, numbers, parallel_parts, planes_of_an_image, sizes, tensor};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

/// Images whose weight gradients are summed in one go; fixed, so that sums do not depend on the number of threads.
const IMAGES: usize = 8;

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
        let pixels = height * width;
        let images = |channels: usize| IMAGES * channels * pixels;
        let parts: Vec<Vec<f32>> = numbers(&input)
            .par_chunks(images(columns))
            .zip(numbers(&gradient).par_chunks(images(rows)))
            .map(|(input, gradient)| {
                let mut out = vec![0.0; rows * columns];
                Arch::new().dispatch(Correlations { gradient, input, rows, columns, pixels, out: &mut out });
                out
            })
            .collect();
        let sum = parts.into_iter().reduce(|mut sum, part| {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            sum
        });
        tensor(sum.unwrap_or_else(|| vec![0.0; rows * columns]), [rows, columns, 1, 1])
    }
}

/// Every image times the matrix `[out, in]`, and what comes after.
pub(in crate::kernels) fn mix<A: Lanes>(
    input: FlexTensor,
    matrix: &[f32],
    out: usize,
    after: After<'_, A>,
) -> FlexTensor {
    let [batch, channels, height, width] = sizes(&input);
    let input = input.to_contiguous();
    let pixels = height * width;
    let numbers = numbers(&input);
    let rows = planes_of_an_image(batch, out, channels * pixels, ROWS);
    let panel = || vec![0.0; Product::<A>::panel_len(channels)];
    let output = parallel_parts(batch, out * pixels, rows * pixels, panel, |panel, image, offset, out| {
        let rows = offset / pixels..(offset + out.len()) / pixels;
        let input = &numbers[image * channels * pixels..][..channels * pixels];
        let matrix = &matrix[rows.start * channels..rows.end * channels];
        Arch::new().dispatch(Product { matrix, input, channels, pixels, panel, out, after: after.of(rows) });
    });
    tensor(output, [batch, out, height, width])
}
