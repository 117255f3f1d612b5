//! Flex tensors as plain slices.

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::{DType, TensorMetadata};
use burn::tensor::{Bytes, Shape};

/// Whether the SIMD kernels can take the tensors: they know `f32` only.
pub(super) fn all_f32(tensors: &[&FlexTensor]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// The numbers of a contiguous tensor. Call [`FlexTensor::to_contiguous`] first.
pub(super) fn numbers(tensor: &FlexTensor) -> &[f32] {
    tensor.storage::<f32>()
}

/// Sizes of a tensor of rank `D`.
pub(super) fn sizes<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    let shape = tensor.shape();
    std::array::from_fn(|dim| shape[dim])
}

/// A tensor of the given sizes.
pub(super) fn tensor<const D: usize>(numbers: Vec<f32>, sizes: [usize; D]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(numbers), Layout::contiguous(Shape::from(sizes.to_vec())), DType::F32)
}
