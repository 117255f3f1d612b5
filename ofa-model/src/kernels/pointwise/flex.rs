//! 1x1 convolution on the CPU, image by image, without packing: the pixels of a channel are a contiguous row.

use super::{PointwiseBackend, general};
use crate::kernels::plain::{all_f32, numbers, parallel_chunks, sizes, tensor};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use pulp::{Arch, Simd, WithSimd};
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
        mix(input, numbers(&weight), out)
    }

    fn pointwise_input_gradient(weight: FlexTensor, output_gradient: FlexTensor) -> FlexTensor {
        if !all_f32(&[&weight, &output_gradient]) {
            return general::input_gradient::<Flex>(weight, output_gradient);
        }
        let [out, input, _, _] = sizes(&weight);
        let weight = weight.to_contiguous();
        let weight = numbers(&weight);
        let transposed: Vec<f32> = (0..input * out).map(|i| weight[(i % out) * input + i / out]).collect();
        mix(output_gradient, &transposed, input)
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

/// Every image times the matrix `[out, in]`.
fn mix(input: FlexTensor, matrix: &[f32], out: usize) -> FlexTensor {
    let [batch, channels, height, width] = sizes(&input);
    let input = input.to_contiguous();
    let pixels = height * width;
    let numbers = numbers(&input);
    let output = parallel_chunks(
        batch,
        out * pixels,
        || (),
        |(), image, out| {
            let input = &numbers[image * channels * pixels..][..channels * pixels];
            Arch::new().dispatch(Product { matrix, input, channels, pixels, out });
        },
    );
    tensor(output, [batch, out, height, width])
}

/// `out[o][p] = sum over i of matrix[o][i] * input[i][p]`
struct Product<'a> {
    matrix: &'a [f32],
    input: &'a [f32],
    channels: usize,
    pixels: usize,
    out: &'a mut [f32],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = S::F32_LANES;
        let mut at = 0;
        while at < self.pixels {
            let length = self.pixels - at;
            // Three vectors at once, but never a single one last: it would wait for its own sums.
            let vectors = match length.div_ceil(lanes) {
                1 => 1,
                2 | 4 => 2,
                _ => 3,
            };
            let length = length.min(vectors * lanes);
            match vectors {
                1 => self.pixel_block::<S, 1>(simd, at, length),
                2 => self.pixel_block::<S, 2>(simd, at, length),
                _ => self.pixel_block::<S, 3>(simd, at, length),
            }
            at += length;
        }
    }
}

impl Product<'_> {
    /// All outputs of `length` pixels, `V` vectors of which the last may be cut short.
    #[inline(always)]
    fn pixel_block<S: Simd, const V: usize>(&mut self, simd: S, at: usize, length: usize) {
        let rows = self.matrix.len() / self.channels;
        let mut row = 0;
        while rows - row >= 4 {
            self.block::<S, 4, V>(simd, row, at, length);
            row += 4;
        }
        while row < rows {
            self.block::<S, 1, V>(simd, row, at, length);
            row += 1;
        }
    }

    #[inline(always)]
    fn block<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, row: usize, at: usize, length: usize) {
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        let weights: [&[f32]; R] = std::array::from_fn(|r| &self.matrix[(row + r) * self.channels..][..self.channels]);
        for channel in 0..self.channels {
            let values = load::<S, V>(simd, &self.input[channel * self.pixels + at..][..length]);
            for (sums, weights) in sums.iter_mut().zip(weights) {
                let weight = simd.splat_f32s(weights[channel]);
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum = simd.mul_add_e_f32s(weight, value, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let out = &mut self.out[(row + r) * self.pixels + at..][..length];
            for (out, sum) in out.chunks_mut(S::F32_LANES).zip(sums) {
                simd.partial_store_f32s(out, *sum);
            }
        }
    }
}

/// `V` vectors, the last filled up with zeros.
#[inline(always)]
fn load<S: Simd, const V: usize>(simd: S, numbers: &[f32]) -> [S::f32s; V] {
    let (whole, rest) = S::as_simd_f32s(numbers);
    std::array::from_fn(|v| if v < whole.len() { whole[v] } else { simd.partial_load_f32s(rest) })
}

/// `out[o][i] = sum over images and pixels of gradient[image][o][p] * input[image][i][p]`
struct Correlations<'a> {
    gradient: &'a [f32],
    input: &'a [f32],
    rows: usize,
    columns: usize,
    pixels: usize,
    out: &'a mut [f32],
}

impl WithSimd for Correlations<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut row = 0;
        while self.rows - row >= 4 {
            self.row_block::<S, 4>(simd, row);
            row += 4;
        }
        while row < self.rows {
            self.row_block::<S, 1>(simd, row);
            row += 1;
        }
    }
}

impl Correlations<'_> {
    #[inline(always)]
    fn row_block<S: Simd, const R: usize>(&mut self, simd: S, row: usize) {
        let mut column = 0;
        while self.columns - column >= 2 {
            self.block::<S, R, 2>(simd, row, column);
            column += 2;
        }
        if column < self.columns {
            self.block::<S, R, 1>(simd, row, column);
        }
    }

    #[inline(always)]
    fn block<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, row: usize, column: usize) {
        let pixels = self.pixels;
        let mut sums = [[simd.splat_f32s(0.0); C]; R];
        let images = self.gradient.chunks_exact(self.rows * pixels).zip(self.input.chunks_exact(self.columns * pixels));
        for (gradient, input) in images {
            let gradients: [_; R] = std::array::from_fn(|r| S::as_simd_f32s(&gradient[(row + r) * pixels..][..pixels]));
            let inputs: [_; C] = std::array::from_fn(|c| S::as_simd_f32s(&input[(column + c) * pixels..][..pixels]));
            for v in 0..pixels / S::F32_LANES {
                let inputs: [S::f32s; C] = std::array::from_fn(|c| inputs[c].0[v]);
                add_products(simd, &mut sums, std::array::from_fn(|r| gradients[r].0[v]), inputs);
            }
            if !pixels.is_multiple_of(S::F32_LANES) {
                let inputs: [S::f32s; C] = std::array::from_fn(|c| simd.partial_load_f32s(inputs[c].1));
                add_products(simd, &mut sums, std::array::from_fn(|r| simd.partial_load_f32s(gradients[r].1)), inputs);
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (c, sum) in sums.iter().enumerate() {
                self.out[(row + r) * self.columns + column + c] = simd.reduce_sum_f32s(*sum);
            }
        }
    }
}

#[inline(always)]
fn add_products<S: Simd, const R: usize, const C: usize>(
    simd: S,
    sums: &mut [[S::f32s; C]; R],
    gradients: [S::f32s; R],
    inputs: [S::f32s; C],
) {
    for (sums, gradient) in sums.iter_mut().zip(gradients) {
        for (sum, input) in sums.iter_mut().zip(inputs) {
            *sum = simd.mul_add_e_f32s(gradient, input, *sum);
        }
    }
}
