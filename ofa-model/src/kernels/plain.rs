//! Flex tensors as plain slices.

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::{DType, TensorMetadata};
use burn::tensor::{Bytes, Shape};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Numbers that a task should at least compute: threads cost time too.
const LEAST_NUMBERS: usize = 4096;

/// Whether the SIMD kernels can take the tensors: they know `f32` only.
pub(super) fn all_f32(tensors: &[&FlexTensor]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// The numbers of a contiguous tensor. Call [`FlexTensor::to_contiguous`] first.
pub(super) fn numbers(tensor: &FlexTensor) -> &[f32] {
    tensor.storage::<f32>()
}

/// The tensor with its numbers in order. It is taken by value: a handle kept beside it would make it shared, and nothing
/// could be changed in place.
pub(super) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
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

/// A buffer of `chunks` chunks of `length` numbers, each computed by `fill(scratch, index, chunk)` from zeros.
///
/// The thread that fills a chunk also zeroes it: it is in the cache then, and fresh memory is mapped by all threads.
/// Zeroing the whole buffer beforehand took a fifth of a training step.
pub(super) fn parallel_chunks<T>(
    chunks: usize,
    length: usize,
    scratch: impl Fn() -> T + Send + Sync,
    fill: impl Fn(&mut T, usize, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    written_chunks(chunks, length, None, scratch, fill)
}

/// The tensor with every chunk of `length` numbers changed by `change(index, chunk)`: in place if nobody else holds it.
pub(super) fn changed_chunks(
    tensor: FlexTensor,
    length: usize,
    change: impl Fn(usize, &mut [f32]) + Send + Sync,
) -> FlexTensor {
    let mut tensor = contiguous(tensor);
    if let Some(numbers) = tensor.try_storage_mut::<f32>() {
        let tasks = numbers.par_chunks_exact_mut(length).enumerate().with_min_len(LEAST_NUMBERS.div_ceil(length));
        tasks.for_each(|(index, chunk)| change(index, chunk));
        return tensor;
    }
    let source = numbers(&tensor);
    let changed =
        written_chunks(source.len() / length, length, Some(source), || (), |(), index, chunk| change(index, chunk));
    FlexTensor::new(Bytes::from_elems(changed), Layout::contiguous(tensor.shape()), DType::F32)
}

/// Chunks that begin as zeros or as those of `source`, written and then worked on by the same thread.
#[allow(unsafe_code, reason = "a vector cannot be filled by several threads otherwise, unless it is zeroed by one")]
fn written_chunks<T>(
    chunks: usize,
    length: usize,
    source: Option<&[f32]>,
    scratch: impl Fn() -> T + Send + Sync,
    fill: impl Fn(&mut T, usize, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    let mut buffer: Vec<f32> = Vec::with_capacity(chunks * length);
    let spare = &mut buffer.spare_capacity_mut()[..chunks * length];
    let tasks = spare.par_chunks_exact_mut(length).enumerate().with_min_len(LEAST_NUMBERS.div_ceil(length));
    tasks.for_each_init(scratch, |scratch, (index, chunk)| {
        match source {
            Some(source) => _ = chunk.write_copy_of_slice(&source[index * length..][..length]),
            None => chunk.fill(MaybeUninit::new(0.0)),
        }
        // SAFETY: either arm has written every number of the chunk.
        fill(scratch, index, unsafe { chunk.assume_init_mut() });
    });
    // SAFETY: the exact chunks cover all `chunks * length` numbers, which fit the capacity, and all have been written.
    unsafe { buffer.set_len(chunks * length) };
    buffer
}
