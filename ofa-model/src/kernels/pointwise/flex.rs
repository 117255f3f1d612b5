//! 1x1 convolution on the CPU, image by image: the pixels of a channel are a contiguous row.

use super::gradient::Gradient;
use super::product::{After, Product, ROWS};
use super::{PointwiseBackend, general};
use crate::kernels::activation::Lanes;
use crate::kernels::activation::lanes::Identity;
use crate::kernels::plain::{all_f32, numbers, parallel_parts, planes_of_an_image, sizes, tensor, with_scratch};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use pulp::Arch;

/// Images of fewer pixels are put side by side.
const FEW_PIXELS: usize = 16;
/// The most images of a group: whatever their size, that many fill whole vectors.
const MOST_IMAGES: usize = 16;

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

/// Every image times the matrix `[out, in]`, and what comes after.
pub(in crate::kernels) fn mix<A: Lanes>(
    input: FlexTensor,
    matrix: &[f32],
    out: usize,
    after: After<'_, A>,
) -> FlexTensor {
    let [batch, channels, height, width] = sizes(&input);
    let input = input.to_contiguous();
    let shape = Mix { batch, channels, pixels: height * width, out };
    let output = if shape.pixels < FEW_PIXELS && batch > 1 {
        shape.by_groups(numbers(&input), matrix, after)
    } else {
        shape.by_images(numbers(&input), matrix, after)
    };
    tensor(output, [batch, out, height, width])
}

/// Sizes of a product of a matrix and every image.
#[derive(Clone, Copy)]
struct Mix {
    batch: usize,
    channels: usize,
    pixels: usize,
    out: usize,
}

impl Mix {
    fn by_images<A: Lanes>(self, input: &[f32], matrix: &[f32], after: After<'_, A>) -> Vec<f32> {
        let Self { batch, channels, pixels, out } = self;
        let rows = planes_of_an_image(batch, out, channels * pixels, ROWS);
        parallel_parts(batch * out * pixels, out * pixels, rows * pixels, |image, offset, out| {
            let rows = offset / pixels..(offset + out.len()) / pixels;
            let input = &input[image * channels * pixels..][..channels * pixels];
            let matrix = &matrix[rows.start * channels..rows.end * channels];
            with_scratch(Product::<A>::panel_len(channels), |panel| {
                Arch::new().dispatch(Product { matrix, input, channels, pixels, panel, out, after: after.of(rows) });
            });
        })
    }

    /// Some images side by side as one: few pixels alone leave most of a vector empty.
    fn by_groups<A: Lanes>(self, input: &[f32], matrix: &[f32], after: After<'_, A>) -> Vec<f32> {
        let Self { batch, channels, pixels, out } = self;
        let images = (1..=MOST_IMAGES).find(|images| (images * pixels).is_multiple_of(MOST_IMAGES));
        let images = images.unwrap_or(MOST_IMAGES).min(batch.div_ceil(rayon::current_num_threads()));
        let length = images * out * pixels;
        parallel_parts(batch * out * pixels, length, length, |group, _, output| {
            let input = &input[group * images * channels * pixels..][..output.len() / out * channels];
            let pixels_of_all = output.len() / out;
            let (wide, panel_len) = (channels * pixels_of_all, Product::<A>::panel_len(channels));
            with_scratch(wide + output.len() + panel_len, |scratch| {
                let (wide, scratch) = scratch.split_at_mut(wide);
                let (mixed, panel) = scratch.split_at_mut(output.len());
                for (image, planes) in input.chunks_exact(channels * pixels).enumerate() {
                    for (wide, plane) in wide.chunks_exact_mut(pixels_of_all).zip(planes.chunks_exact(pixels)) {
                        wide[image * pixels..].iter_mut().zip(plane).for_each(|(to, from)| *to = *from);
                    }
                }
                let (input, after) = (&*wide, after.of(0..out));
                let out = &mut *mixed;
                Arch::new().dispatch(Product { matrix, input, channels, pixels: pixels_of_all, panel, out, after });
                for (image, planes) in output.chunks_exact_mut(self.out * pixels).enumerate() {
                    for (plane, wide) in planes.chunks_exact_mut(pixels).zip(mixed.chunks_exact(pixels_of_all)) {
                        plane.iter_mut().zip(&wide[image * pixels..]).for_each(|(to, from)| *to = *from);
                    }
                }
            });
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Draw;

    #[test]
    fn groups_of_images_have_the_bits_of_single_ones() {
        let mut draw = Draw::new(3);
        let mut draw = |length: usize| -> Vec<f32> { draw.normal([length], 0.0, 1.0).into_data().to_vec().unwrap() };
        for (batch, pixels) in [(2, 1), (33, 1), (5, 4), (17, 9), (3, 15), (40, 2)] {
            let shape = Mix { batch, channels: 7, pixels, out: 11 };
            let (input, matrix) = (draw(batch * 7 * pixels), draw(11 * 7));
            let (scale, shift) = (draw(11), draw(11));
            let after = || After::<Identity>::affine(&scale, &shift);
            let [groups, images] =
                [shape.by_groups(&input, &matrix, after()), shape.by_images(&input, &matrix, after())];
            assert_eq!(groups, images, "{batch} images of {pixels} pixels");
        }
    }
}
