//! What our own kernels for GPUs share: how they address the channels of images, and how work is divided.
//!
//! A unit is a thread of a GPU, a cube a group of them with shared memory.

use burn::backend::{DType, Shape, TensorMetadata};
use burn_cubecl::cubecl::{self, prelude::*, zspace::metadata::Metadata};
use burn_cubecl::ops::{numeric::empty_device_contiguous_dtype, permute_nhwc_to_nchw};
use burn_cubecl::tensor::CubeTensor;

/// Most units of a cube; every GPU has as many.
const UNITS: usize = 256;
/// Fewest numbers of a unit for which work is divided further.
const NUMBERS: usize = 16;
/// Channels side by side in a cube: as many as GPUs read from memory at once.
const LANES: usize = 8;
/// Cubes that keep the largest GPUs busy.
const CUBES: usize = 1024;
/// Most parts of a channel, whose results one unit adds up.
const PARTS: usize = 32;

/// Whether a kernel of ours computes with this format.
pub(super) fn is_ours(tensor: &CubeTensor) -> bool {
    matches!(tensor.dtype, DType::F32 | DType::F16 | DType::BF16)
}

/// An uninitialised tensor without gaps between rows, on the device of another.
pub(super) fn empty(like: &CubeTensor, shape: impl Into<Shape>, format: DType) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), format)
}

/// An uninitialised tensor of the same sizes, format, and order in memory: by channel or by pixel.
pub(super) fn empty_like(images: &CubeTensor) -> CubeTensor {
    let [batch, channels, height, width] = images.shape().dims();
    if is_by_pixel(images) {
        permute_nhwc_to_nchw(empty(images, [batch, height, width, channels], images.dtype))
    } else {
        empty(images, [batch, channels, height, width], images.dtype)
    }
}

/// Whether channels are neighbours in memory, as in the outputs of burn's convolutions.
fn is_by_pixel(images: &CubeTensor) -> bool {
    images.meta.strides()[1] == 1 && images.shape()[1] > 1
}

/// `[batch, channels, height, width]` as kernels read it: rows that follow each other without a gap become one, `[batch,
/// channels, 1, height * width]`.
pub(super) fn joined(mut images: CubeTensor) -> CubeTensor {
    let ([batch, channels, height, width], strides) = (images.shape().dims(), images.meta.strides());
    let step = if width > 1 { strides[3] } else { strides[2] };
    if height == 1 || width == 1 || strides[2] == width * step {
        let strides = [strides[0], strides[1], strides[2], step];
        *images.meta = Metadata::new([batch, channels, 1, height * width], strides);
    }
    images
}

/// Where number `i` of a channel lies in `[batch, channels, height, width]`, counted through images and their pixels.
#[cube]
pub(super) fn place<F: Float>(images: &Tensor<F>, channel: usize, i: usize, #[comptime] in_rows: bool) -> usize {
    let row = i / images.shape(3);
    let within = channel * images.stride(1) + i % images.shape(3) * images.stride(3);
    if in_rows {
        let height = images.shape(2);
        within + row % height * images.stride(2) + row / height * images.stride(0)
    } else {
        within + row * images.stride(0)
    }
}

/// How the numbers of every channel are divided among cubes, and within a cube among its units. Neighbours in memory go
/// to neighbouring units: they stand `lanes` wide on channels, and behind each other on numbers of a channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Division {
    /// Channels of a cube.
    pub(super) lanes: usize,
    /// Units of a channel in a cube; a power of two.
    pub(super) units: usize,
    /// Numbers of a channel in a cube.
    pub(super) each: usize,
    /// Cubes of a channel.
    pub(super) parts: usize,
    channels: usize,
}

impl Division {
    /// For tensors in the order of `images`, with at most `most` units in a cube, a power of two.
    pub(super) fn of(images: &CubeTensor, most: usize) -> Self {
        let [batch, channels, height, width] = images.shape().dims();
        let (numbers, most) = ((batch * height * width).max(1), most.min(UNITS));
        let lanes = if is_by_pixel(images) { channels.next_power_of_two().min(LANES).min(most) } else { 1 };
        let units = numbers.div_ceil(4).next_power_of_two().min(most / lanes);
        let wanted = (CUBES / channels.div_ceil(lanes)).clamp(1, PARTS);
        let parts = numbers.div_ceil(units * NUMBERS).min(wanted);
        let each = numbers.div_ceil(parts);
        Self { lanes, units, each, parts: numbers.div_ceil(each), channels }
    }

    /// The cubes: channels by parts of channels.
    pub(super) fn cubes(&self) -> CubeCount {
        CubeCount::Static(self.channels.div_ceil(self.lanes) as u32, self.parts as u32, 1)
    }

    /// The units of a cube.
    pub(super) fn cube(&self) -> CubeDim {
        CubeDim::new_2d(self.lanes as u32, self.units as u32)
    }
}
