//! Gradient of the weight of a depthwise convolution on GPUs.
//!
//! Every unit goes through some pixels of the output gradient, with a sum for each weight of its channel in registers. The
//! cube adds them up in shared memory, and a second kernel adds up its cubes where a channel is divided among several.

use super::{DepthwiseBackend, general};
use crate::kernels::cube::{Division, empty, is_ours, place};
use burn::backend::cubecl::dtype_to_elem_type;
use burn::backend::{DType, TensorMetadata};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::{self, calculate_cube_count_elemwise, ir::ElemType, prelude::*};
use burn_cubecl::ops::reshape;
use burn_cubecl::tensor::CubeTensor;

/// Numbers that fit into the shared memory of a cube on every device.
const SHARED: usize = 16 * 1024 / size_of::<f32>();

impl DepthwiseBackend for CubeBackend {
    /// burn's own kernel gives a weight, or four, to a thread that goes through all images and pixels: a few thousand
    /// threads on early layers.
    fn depthwise_weight_gradient(
        input: CubeTensor,
        weight: CubeTensor,
        output_gradient: CubeTensor,
        stride: usize,
    ) -> CubeTensor {
        let [channels, _, side, _] = weight.shape().dims();
        let most = SHARED / (side * side);
        if !is_ours(&input) || input.dtype != output_gradient.dtype || most == 0 {
            return general::weight_gradient::<Self>(input, weight, output_gradient, stride);
        }
        let division = Division::of(&output_gradient, 1 << most.ilog2());
        let client = input.client.clone();
        let sums = empty(&input, [division.parts, channels * side * side], DType::F32);
        depthwise_weight_sums::launch(
            &client,
            division.cubes(),
            division.cube(),
            input.clone().into_tensor_arg(),
            output_gradient.into_tensor_arg(),
            sums.clone().into_tensor_arg(),
            division.each as u32,
            stride as u32,
            side,
            division.lanes,
            division.units,
            dtype_to_elem_type(input.dtype),
        );
        if division.parts == 1 && weight.dtype == DType::F32 {
            return reshape(sums, weight.shape());
        }
        let gradient = empty(&weight, weight.shape(), weight.dtype);
        let cube = CubeDim::new(&client, channels * side * side);
        depthwise_weight_gradient::launch(
            &client,
            calculate_cube_count_elemwise(&client, channels * side * side, cube),
            cube,
            sums.into_tensor_arg(),
            gradient.clone().into_tensor_arg(),
            dtype_to_elem_type(weight.dtype),
        );
        gradient
    }
}

/// Gradients of the weights by parts of the pixels, `[parts, channels * side * side]`.
#[cube(launch)]
fn depthwise_weight_sums<F: Float>(
    x: &Tensor<F>,
    gradient: &Tensor<F>,
    sums: &mut Tensor<f32>,
    each: u32,
    stride: u32,
    #[comptime] side: usize,
    #[comptime] lanes: usize,
    #[comptime] units: usize,
    #[define(F)] _format: ElemType,
) {
    let taps = comptime!(side * side);
    let (lane, unit) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let channel = CUBE_POS_X as usize * lanes + lane;
    let (height, width) = (gradient.shape(2), gradient.shape(3));
    let mut own = Array::<f32>::new(taps);
    #[unroll]
    for tap in 0..taps {
        own[tap] = 0.0f32;
    }
    if channel < x.shape(1) {
        let start = CUBE_POS_Y as usize * each as usize;
        let end = (start + each as usize).min(gradient.shape(0) * height * width);
        let mut i = start + unit;
        while i < end {
            let g = f32::cast_from(gradient[place(gradient, channel, i, true)]);
            let image = i / (height * width) * x.stride(0) + channel * x.stride(1);
            // Shifted by the padding, so that they are never negative.
            let top = i / width % height * stride as usize;
            let left = i % width * stride as usize;
            #[unroll]
            for tap in 0..taps {
                let row = top + comptime!(tap / side);
                let column = left + comptime!(tap % side);
                let padding = comptime!(side / 2);
                if row >= padding && column >= padding && row < x.shape(2) + padding && column < x.shape(3) + padding {
                    let at = image + (row - padding) * x.stride(2) + (column - padding) * x.stride(3);
                    own[tap] += g * f32::cast_from(x[at]);
                }
            }
            i += units;
        }
    }
    let mut all = Shared::<[f32]>::new_slice(lanes * units * taps);
    let slot = (unit * lanes + lane) * taps;
    #[unroll]
    for tap in 0..taps {
        all[slot + tap] = own[tap];
    }
    sync_cube();
    let mut weight = unit * lanes + lane;
    let first = CUBE_POS_X as usize * lanes * taps;
    while weight < lanes * taps {
        if first + weight < x.shape(1) * taps {
            let mut sum = 0.0f32;
            for of in 0..units {
                sum += all[of * (lanes * taps) + weight];
            }
            let to = CUBE_POS_Y as usize * sums.stride(0) + first + weight;
            sums[to] = sum;
        }
        weight += lanes * units;
    }
}

/// Adds up the parts.
#[cube(launch)]
fn depthwise_weight_gradient<F: Float>(sums: &Tensor<f32>, gradient: &mut Tensor<F>, #[define(F)] _format: ElemType) {
    let weight = ABSOLUTE_POS;
    if weight >= sums.shape(1) {
        terminate!();
    }
    let mut sum = 0.0f32;
    for part in 0..sums.shape(0) {
        sum += sums[part * sums.stride(0) + weight];
    }
    gradient[weight] = F::cast_from(sum);
}
