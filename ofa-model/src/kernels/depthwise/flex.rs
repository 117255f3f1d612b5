//! Depthwise convolution on the CPU, plane by plane, with flat filters.

use super::flat::{Correlate, Dots, PADDING, Rounding};
use super::{DepthwiseBackend, general};
use crate::kernels::plain::{all_f32, numbers, parallel_chunks, sizes, tensor};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use pulp::Arch;
use rayon::prelude::*;

/// Number of images whose planes are laid out in the cache at once to sum a weight gradient.
const IMAGES: usize = 8;

impl DepthwiseBackend for Flex {
    fn depthwise(input: FlexTensor, weight: FlexTensor, stride: usize) -> FlexTensor {
        let Some(filter) = Filter::of(&input, &weight, stride) else {
            return general::forward::<Flex>(input, weight, stride);
        };
        let (input, weight) = (input.to_contiguous(), weight.to_contiguous());
        tensor(filter.forward(numbers(&input), numbers(&weight), |_, _| ()), filter.output_sizes())
    }

    fn depthwise_input_gradient(
        input: FlexTensor,
        weight: FlexTensor,
        output_gradient: FlexTensor,
        stride: usize,
    ) -> FlexTensor {
        let Some(filter) = Filter::of(&input, &weight, stride) else {
            return general::input_gradient::<Flex>(input, weight, output_gradient, stride);
        };
        let (weight, gradient) = (weight.to_contiguous(), output_gradient.to_contiguous());
        tensor(filter.input_gradient(numbers(&weight), numbers(&gradient)), sizes::<4>(&input))
    }

    fn depthwise_weight_gradient(
        input: FlexTensor,
        weight: FlexTensor,
        output_gradient: FlexTensor,
        stride: usize,
    ) -> FlexTensor {
        let Some(filter) = Filter::of(&input, &weight, stride) else {
            return general::weight_gradient::<Flex>(input, weight, output_gradient, stride);
        };
        let (input, gradient) = (input.to_contiguous(), output_gradient.to_contiguous());
        tensor(filter.weight_gradient(numbers(&input), numbers(&gradient)), sizes::<4>(&weight))
    }
}

/// A depthwise filter with odd kernel size and stride 1 or 2 over planes of one size.
///
/// At stride 2 the padded plane is split into four phases (even and odd rows and columns): within a phase, the pixels
/// that a tap meets are neighbours again. At stride 1 there is one phase.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Filter {
    batch: usize,
    channels: usize,
    height: usize,
    width: usize,
    kernel_size: usize,
    stride: usize,
}

impl Filter {
    /// `None` if the flat kernels do not apply.
    pub(in crate::kernels) fn of(input: &FlexTensor, weight: &FlexTensor, stride: usize) -> Option<Self> {
        let [batch, channels, height, width] = sizes(input);
        let [_, _, kernel_size, _] = sizes(weight);
        let applies = all_f32(&[input, weight]) && kernel_size % 2 == 1 && (1..=2).contains(&stride);
        applies.then_some(Self { batch, channels, height, width, kernel_size, stride })
    }

    fn padding(&self) -> usize {
        self.kernel_size / 2
    }

    fn out_height(&self) -> usize {
        self.height.div_ceil(self.stride)
    }

    fn out_width(&self) -> usize {
        self.width.div_ceil(self.stride)
    }

    /// Sizes of the output.
    pub(in crate::kernels) fn output_sizes(&self) -> [usize; 4] {
        [self.batch, self.channels, self.out_height(), self.out_width()]
    }

    /// Number of elements from one row of a flat plane to the next: the zeros after a row also pad the next one.
    fn pitch(&self) -> usize {
        self.out_width() + self.padding()
    }

    /// Length of a flat plane of outputs, in whole blocks.
    pub(in crate::kernels) fn flat(&self) -> usize {
        (self.out_height() * self.pitch()).next_multiple_of(PADDING)
    }

    /// The farthest reach of a tap within a phase, in rows and in columns.
    fn reach(&self) -> usize {
        (self.kernel_size - 1) / self.stride
    }

    /// Length of the part of a phase that holds input pixels, in whole blocks.
    fn occupied(&self) -> usize {
        let rows = (self.height - 1 + self.padding()) / self.stride + 1;
        (rows * self.pitch()).next_multiple_of(PADDING)
    }

    /// Length of one phase of a padded plane, including the reach of the taps.
    fn phase_len(&self) -> usize {
        (self.flat() + self.reach() * (self.pitch() + 1)).max(self.occupied())
    }

    /// Offset of each tap in the phases of a padded plane.
    pub(in crate::kernels) fn offsets(&self) -> Vec<usize> {
        let Self { kernel_size: k, stride, .. } = *self;
        let taps = (0..k * k).map(|tap| (tap / k, tap % k));
        taps.map(|(row, column)| {
            let phase = (row % stride) * stride + column % stride;
            phase * self.phase_len() + (row / stride) * self.pitch() + column / stride
        })
        .collect()
    }

    /// Starts of a row's even and odd columns in the phases, at stride 2.
    fn columns(&self, row: usize) -> [usize; 2] {
        let p = self.padding();
        [p, p + 1].map(|column| {
            let phase = ((row + p) % 2) * 2 + column % 2;
            phase * self.phase_len() + ((row + p) / 2) * self.pitch() + column / 2
        })
    }

    /// Length of a padded plane with all its phases.
    pub(in crate::kernels) fn padded_len(&self) -> usize {
        self.stride * self.stride * self.phase_len()
    }

    /// Lays out a plane in its phases; `padded` must already hold zeros around it.
    pub(in crate::kernels) fn fill(&self, padded: &mut [f32], plane: &[f32]) {
        let (p, rows) = (self.padding(), plane.chunks_exact(self.width));
        if self.stride == 1 {
            let start = p * self.pitch() + p;
            let targets = padded[start..].chunks_mut(self.pitch());
            return rows.zip(targets).for_each(|(row, to)| copy_row(row, &mut to[..row.len()]));
        }
        for (y, row) in rows.enumerate() {
            let (pairs, last) = row.as_chunks::<2>();
            let [even, odd] = self.columns(y);
            let runs = [even..even + pairs.len() + last.len(), odd..odd + pairs.len()];
            let [even, odd] = padded.get_disjoint_mut(runs).expect("phases do not overlap");
            for ((pair, even), odd) in pairs.iter().zip(&mut *even).zip(odd) {
                [*even, *odd] = *pair;
            }
            even[pairs.len()..].copy_from_slice(last);
        }
    }

    /// The reverse of [`fill`](Self::fill).
    fn gather(&self, padded: &[f32], plane: &mut [f32]) {
        let (p, rows) = (self.padding(), plane.chunks_exact_mut(self.width));
        if self.stride == 1 {
            let start = p * self.pitch() + p;
            let sources = padded[start..].chunks(self.pitch());
            return rows.zip(sources).for_each(|(row, from)| copy_row(&from[..row.len()], row));
        }
        for (y, row) in rows.enumerate() {
            let (pairs, last) = row.as_chunks_mut::<2>();
            let [even, odd] = self.columns(y).map(|start| &padded[start..]);
            for ((pair, even), odd) in pairs.iter_mut().zip(even).zip(odd) {
                *pair = [*even, *odd];
            }
            last.copy_from_slice(&even[pairs.len()..][..last.len()]);
        }
    }

    /// Computes the output. `after(index of the plane, plane)` changes each plane while it is in the cache; values
    /// between the rows of a plane are meaningless.
    pub(in crate::kernels) fn forward(
        &self,
        input: &[f32],
        weight: &[f32],
        after: impl Fn(usize, &mut [f32]) + Send + Sync,
    ) -> Vec<f32> {
        let (offsets, taps) = (self.offsets(), self.kernel_size * self.kernel_size);
        let (in_pixels, out_pixels) = (self.height * self.width, self.out_height() * self.out_width());
        let scratch = || (vec![0.0; self.padded_len()], vec![0.0; self.flat()]);
        parallel_chunks(self.batch * self.channels, out_pixels, scratch, |(padded, out), i, output| {
            self.fill(padded, &input[i * in_pixels..][..in_pixels]);
            let weights = &weight[(i % self.channels) * taps..][..taps];
            let (source, rounding) = (&padded[..], Rounding::Once);
            Arch::new().dispatch(Correlate { source, offsets: &offsets, weights, out: &mut *out, rounding });
            after(i, out);
            self.copy_rows(out, output);
        })
    }

    /// Copies the rows of a flat plane of outputs, without the values between them.
    pub(in crate::kernels) fn copy_rows(&self, flat: &[f32], output: &mut [f32]) {
        let rows = output.chunks_exact_mut(self.out_width()).zip(flat.chunks(self.pitch()));
        rows.for_each(|(to, from)| copy_row(&from[..to.len()], to));
    }

    /// Lays out the gradient plane at the filter's pitch, after `border` rows and columns of zeros.
    fn spread(&self, gradient: &[f32], border: usize, flat: &mut [f32]) {
        let start = border * self.pitch() + border;
        let rows = gradient.chunks_exact(self.out_width()).zip(flat[start..].chunks_mut(self.pitch()));
        rows.for_each(|(from, to)| copy_row(from, &mut to[..from.len()]));
    }

    /// The gradient of a pixel is a sum over the taps that met it: within a phase, a filter of the gradient plane.
    fn input_gradient(&self, weight: &[f32], gradient: &[f32]) -> Vec<f32> {
        let taps = self.kernel_size * self.kernel_size;
        let (in_pixels, out_pixels) = (self.height * self.width, self.out_height() * self.out_width());
        let phases: Vec<PhaseTaps> = (0..self.stride * self.stride).map(|phase| self.phase_taps(phase)).collect();
        let spread_len = self.occupied().max(self.flat()) + self.reach() * (self.pitch() + 1);
        let scratch = || (vec![0.0; spread_len], vec![0.0; self.padded_len()], Vec::with_capacity(taps));
        parallel_chunks(self.batch * self.channels, in_pixels, scratch, |(spread, padded, weights), i, output| {
            self.spread(&gradient[i * out_pixels..][..out_pixels], self.reach(), spread);
            let kernel = &weight[(i % self.channels) * taps..][..taps];
            for (phase, plane) in phases.iter().zip(padded.chunks_exact_mut(self.phase_len())) {
                weights.clear();
                weights.extend(phase.taps.iter().map(|&tap| kernel[tap]));
                let out = &mut plane[..self.occupied()];
                let (source, offsets, rounding) = (&spread[..], &phase.offsets, Rounding::Once);
                Arch::new().dispatch(Correlate { source, offsets, weights, out, rounding });
            }
            self.gather(padded, output);
        })
    }

    /// The taps that meet the pixels of a phase, and their offsets in the spread gradient.
    fn phase_taps(&self, phase: usize) -> PhaseTaps {
        let (k, stride) = (self.kernel_size, self.stride);
        let meets = |tap: &usize| ((tap / k) % stride) * stride + (tap % k) % stride == phase;
        let taps: Vec<usize> = (0..k * k).filter(meets).collect();
        let back = |at: usize| self.reach() - at / stride;
        let offsets = taps.iter().map(|tap| back(tap / k) * self.pitch() + back(tap % k)).collect();
        PhaseTaps { taps, offsets }
    }

    fn weight_gradient(&self, input: &[f32], gradient: &[f32]) -> Vec<f32> {
        let (offsets, taps) = (self.offsets(), self.kernel_size * self.kernel_size);
        let (in_pixels, out_pixels) = (self.height * self.width, self.out_height() * self.out_width());
        let (gradient_len, source_len) = (self.flat(), self.padded_len());
        let scratch = || (vec![0.0; IMAGES * source_len], vec![0.0; IMAGES * gradient_len]);
        let mut output = vec![0.0; self.channels * taps];
        output.par_chunks_mut(taps).enumerate().for_each_init(scratch, |(padded, flat), (channel, output)| {
            for first in (0..self.batch).step_by(IMAGES) {
                let images = first..self.batch.min(first + IMAGES);
                let planes = padded.chunks_exact_mut(source_len).zip(flat.chunks_exact_mut(gradient_len));
                for (image, (padded, flat)) in images.clone().zip(planes) {
                    let plane = image * self.channels + channel;
                    self.fill(padded, &input[plane * in_pixels..][..in_pixels]);
                    self.spread(&gradient[plane * out_pixels..][..out_pixels], 0, flat);
                }
                let (gradients, sources) = (&flat[..images.len() * gradient_len], &padded[..images.len() * source_len]);
                Arch::new().dispatch(Dots {
                    gradients,
                    gradient_len,
                    sources,
                    source_len,
                    offsets: &offsets,
                    out: output,
                });
            }
        });
        output
    }
}

/// Taps and their offsets in the spread gradient.
struct PhaseTaps {
    taps: Vec<usize>,
    offsets: Vec<usize>,
}

/// Copies a short row without the call that `copy_from_slice` makes for a length known only at run time.
#[inline(always)]
pub(in crate::kernels) fn copy_row(from: &[f32], to: &mut [f32]) {
    const STEP: usize = 4;
    if from.len() < STEP {
        return from.iter().zip(to).for_each(|(from, to)| *to = *from);
    }
    let (steps, _) = from.as_chunks::<STEP>();
    let (targets, _) = to.as_chunks_mut::<STEP>();
    targets.iter_mut().zip(steps).for_each(|(to, from)| *to = *from);
    // The last step may overlap the one before.
    if let (Some(from), Some(to)) = (from.last_chunk::<STEP>(), to.last_chunk_mut::<STEP>()) {
        *to = *from;
    }
}
