//! On the CPU, rows and planes are scaled, shifted and activated while they are in registers or in the nearest cache.

use super::ConvAffineBackend;
use crate::kernels::activation::{Lanes, with_lanes};
use crate::kernels::batch_norm::planes::Affine;
use crate::kernels::dense::flex::ImageConvolution;
use crate::kernels::depthwise::flex::Filter;
use crate::kernels::plain::{all_f32, numbers, sizes, tensor};
use crate::kernels::pointwise::{flex::mix, product::After};
use crate::kernels::{Activation, DenseBackend, DepthwiseBackend, NormBackend, PointwiseBackend};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use pulp::Arch;
use std::marker::PhantomData;

impl ConvAffineBackend for Flex {
    fn pointwise_affine(
        input: FlexTensor,
        weight: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        if !all_f32(&[&input, &weight, &scale, &shift]) {
            return Self::affine(Self::pointwise(input, weight), scale, shift, activation);
        }
        let [out, _, _, _] = sizes(&weight);
        let [weight, scale, shift] = [weight, scale, shift].map(|tensor| tensor.to_contiguous());
        let (scale, shift) = (numbers(&scale), numbers(&shift));
        with_lanes!(activation, Kind => mix(input, numbers(&weight), out, After::<Kind>::affine(scale, shift)))
    }

    fn depthwise_affine(
        input: FlexTensor,
        weight: FlexTensor,
        stride: usize,
        scale: FlexTensor,
        shift: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        let filter = Filter::of(&input, &weight, stride).filter(|_| all_f32(&[&scale, &shift]));
        let Some(filter) = filter else {
            return Self::affine(Self::depthwise(input, weight, stride), scale, shift, activation);
        };
        let [input, weight, scale, shift] = [input, weight, scale, shift].map(|tensor| tensor.to_contiguous());
        let (scale, shift) = (numbers(&scale), numbers(&shift));
        let output = with_lanes!(activation, Kind => {
            filter.forward(numbers(&input), numbers(&weight), on_planes::<Kind>(scale, shift))
        });
        tensor(output, filter.output_sizes())
    }

    fn dense_affine(
        input: FlexTensor,
        weight: FlexTensor,
        stride: usize,
        scale: FlexTensor,
        shift: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        let convolution = ImageConvolution::of(&input, &weight, stride).filter(|_| all_f32(&[&scale, &shift]));
        let Some(convolution) = convolution else {
            return Self::affine(Self::dense(input, weight, stride), scale, shift, activation);
        };
        let [scale, shift] = [scale, shift].map(|tensor| tensor.to_contiguous());
        let (scale, shift) = (numbers(&scale), numbers(&shift));
        with_lanes!(activation, Kind => convolution.forward(input, weight, on_planes::<Kind>(scale, shift)))
    }
}

/// Returns a function that changes one plane, given its index; the plane's channel is the index modulo the number of
/// channels.
fn on_planes<A: Lanes>(scale: &[f32], shift: &[f32]) -> impl Fn(usize, &mut [f32]) + Send + Sync {
    |first, values| {
        let (activation, pixels) = (PhantomData::<A>, values.len());
        Arch::new().dispatch(Affine { values, pixels, first, scale, shift, activation });
    }
}
