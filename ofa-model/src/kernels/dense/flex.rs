//! Dense convolution on the CPU. With few input channels it uses a flat filter per output channel, otherwise matrix
//! products.

use super::products::Convolution;
use super::windows::Windows;
use super::{DenseBackend, general};
use crate::kernels::depthwise::flat::{Correlate, Rounding};
use crate::kernels::depthwise::flex::Filter;
use crate::kernels::plain::{all_f32, numbers, parallel_parts, planes_of_an_image, sizes, tensor};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use pulp::Arch;

/// Maximum number of input channels for flat filters; with more, a matrix product is faster.
const MOST_CHANNELS: usize = 4;

impl DenseBackend for Flex {
    fn dense(input: FlexTensor, weight: FlexTensor, stride: usize) -> FlexTensor {
        if let Some(convolution) = ImageConvolution::of(&input, &weight, stride) {
            return convolution.forward(input, weight, |_, _| ());
        }
        let Some(convolution) = Convolution::of(&input, &weight, stride) else {
            return general::forward::<Flex>(input, weight, stride);
        };
        let (input, weight) = (input.to_contiguous(), weight.to_contiguous());
        tensor(convolution.forward(numbers(&input), numbers(&weight)), convolution.output_sizes())
    }

    fn dense_input_gradient(
        input: FlexTensor,
        weight: FlexTensor,
        output_gradient: FlexTensor,
        stride: usize,
    ) -> FlexTensor {
        let convolution = Convolution::of(&input, &weight, stride).filter(|_| all_f32(&[&output_gradient]));
        let Some(convolution) = convolution else {
            return general::input_gradient::<Flex>(input, weight, output_gradient, stride);
        };
        let (weight, gradient) = (weight.to_contiguous(), output_gradient.to_contiguous());
        tensor(convolution.input_gradient(numbers(&weight), numbers(&gradient)), sizes::<4>(&input))
    }

    fn dense_weight_gradient(
        input: FlexTensor,
        weight: FlexTensor,
        output_gradient: FlexTensor,
        stride: usize,
    ) -> FlexTensor {
        let convolution = Convolution::of(&input, &weight, stride).filter(|_| all_f32(&[&output_gradient]));
        let Some(convolution) = convolution else {
            return general::weight_gradient::<Flex>(input, weight, output_gradient, stride);
        };
        let (input, gradient) = (input.to_contiguous(), output_gradient.to_contiguous());
        tensor(convolution.weight_gradient(numbers(&input), numbers(&gradient)), sizes::<4>(&weight))
    }
}

impl Convolution {
    /// `None` if the matrix kernels do not apply; then burn computes it.
    fn of(input: &FlexTensor, weight: &FlexTensor, stride: usize) -> Option<Self> {
        let ([batch, _, _, _], [out, _, _, _]) = (sizes(input), sizes(weight));
        Windows::of(input, weight, stride).map(|windows| Self { windows, batch, out })
    }

    fn output_sizes(&self) -> [usize; 4] {
        [self.batch, self.out, self.windows.out_height(), self.windows.out_width()]
    }
}

/// A convolution with few input channels, as in the first layer on images.
pub(in crate::kernels) struct ImageConvolution {
    filter: Filter,
    out: usize,
}

impl ImageConvolution {
    /// `None` if there are too many input channels or the flat kernels do not apply.
    pub(in crate::kernels) fn of(input: &FlexTensor, weight: &FlexTensor, stride: usize) -> Option<Self> {
        let [out, channels, _, _] = sizes(weight);
        let filter = Filter::of(input, weight, stride).filter(|_| channels <= MOST_CHANNELS)?;
        Some(Self { filter, out })
    }

    /// Computes the output. `after(channel, plane)` changes each of its planes while it is in the cache; values between
    /// the rows of a plane are meaningless. The sums equal burn's to the last bit where burn also sums image by image.
    pub(in crate::kernels) fn forward(
        &self,
        input: FlexTensor,
        weight: FlexTensor,
        after: impl Fn(usize, &mut [f32]) + Send + Sync,
    ) -> FlexTensor {
        let (input, weight) = (input.to_contiguous(), weight.to_contiguous());
        let (pixels, weights) = (numbers(&input), numbers(&weight));
        let filter = &self.filter;
        let [batch, channels, height, width] = sizes(&input);
        let (plane, window) = (height * width, weights.len() / self.out);
        let [_, _, out_height, out_width] = filter.output_sizes();
        let out_plane = out_height * out_width;

        let (taps, padded_len) = (filter.offsets(), filter.padded_len());
        let offsets: Vec<usize> =
            (0..channels).flat_map(|channel| taps.iter().map(move |tap| channel * padded_len + tap)).collect();
        let part = planes_of_an_image(batch, self.out, out_plane * window, 1) * out_plane;
        let output = parallel_parts(batch * self.out * out_plane, self.out * out_plane, part, |image, offset, out| {
            let image = &pixels[image * channels * plane..][..channels * plane];
            // Padding relies on the buffer starting as zeros.
            let (mut padded, mut flat) = (vec![0.0; channels * padded_len], vec![0.0; filter.flat()]);
            for (padded, plane) in padded.chunks_exact_mut(padded_len).zip(image.chunks_exact(plane)) {
                filter.fill(padded, plane);
            }
            for (channel, out) in (offset / out_plane..).zip(out.chunks_exact_mut(out_plane)) {
                let weights = &weights[channel * window..][..window];
                let (source, rounding) = (&padded[..], Rounding::Twice);
                Arch::new().dispatch(Correlate { source, offsets: &offsets, weights, out: &mut flat, rounding });
                after(channel, &mut flat);
                filter.copy_rows(&flat, out);
            }
        });
        tensor(output, [batch, self.out, out_height, out_width])
    }
}
