//! Flex tensors as plain slices.

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::{DType, TensorMetadata};
use burn::tensor::{Bytes, Shape};
use rayon::prelude::*;
use std::cell::RefCell;
use std::mem::MaybeUninit;

/// Minimum number of values per task: threads have a cost too.
const LEAST_NUMBERS: usize = 4096;
/// Number of multiply-adds that justify a separate task.
const LEAST_WORK: usize = 1 << 16;

/// Whether the SIMD kernels support the tensors: they handle only `f32`.
pub(super) fn all_f32(tensors: &[&FlexTensor]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// The values of a contiguous tensor. Call [`FlexTensor::to_contiguous`] first.
pub(super) fn numbers(tensor: &FlexTensor) -> &[f32] {
    tensor.storage::<f32>()
}

/// Makes the tensor contiguous. It takes the tensor by value: a second handle would make it shared, and nothing could
/// be changed in place.
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

/// A buffer of `chunks` chunks of `length` values, each computed from zeros by `fill(scratch, index, chunk)`.
///
/// The thread that fills a chunk also zeroes it, so the chunk is in its cache and all threads share the work of mapping
/// fresh memory. Zeroing the whole buffer first took a fifth of a training step.
pub(super) fn parallel_chunks<T>(
    chunks: usize,
    length: usize,
    scratch: impl Fn() -> T + Send + Sync,
    fill: impl Fn(&mut T, usize, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    let fill = |scratch: &mut T, index: usize, _: usize, chunk: &mut [f32]| fill(scratch, index, chunk);
    written_parts(chunks * length, [length; 2], None, scratch, fill)
}

/// A buffer of `total` values in chunks of at most `length`, split further into parts of at most `part`. Each part is
/// computed from zeros by `fill(index of the chunk, offset in it, part)`. Use it where there are too few chunks to keep
/// all threads busy.
pub(super) fn parallel_parts(
    total: usize,
    length: usize,
    part: usize,
    fill: impl Fn(usize, usize, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    let fill = |(): &mut (), index: usize, offset: usize, part: &mut [f32]| fill(index, offset, part);
    written_parts(total, [length, part], None, || (), fill)
}

/// Calls `work` with a buffer of `length` arbitrary values, which the thread keeps between calls.
pub(super) fn with_scratch<R>(length: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < length {
            scratch.resize(length, 0.0);
        }
        work(&mut scratch[..length])
    })
}

/// Changes the tensor's planes of `pixels` values by `change(index of the first, planes)`, several planes at a time.
/// Works in place if the tensor is not shared.
pub(super) fn changed_planes(
    tensor: FlexTensor,
    pixels: usize,
    change: impl Fn(usize, &mut [f32]) + Send + Sync,
) -> FlexTensor {
    let planes = planes_of_a_task(pixels);
    let length = planes * pixels;
    let mut tensor = contiguous(tensor);
    if let Some(numbers) = tensor.try_storage_mut::<f32>() {
        let tasks = numbers.par_chunks_mut(length).enumerate();
        tasks.for_each(|(index, chunk)| change(index * planes, chunk));
        return tensor;
    }
    let source = numbers(&tensor);
    let fill = |(): &mut (), index: usize, _: usize, chunk: &mut [f32]| change(index * planes, chunk);
    let changed = written_parts(source.len(), [length; 2], Some(source), || (), fill);
    FlexTensor::new(Bytes::from_elems(changed), Layout::contiguous(tensor.shape()), DType::F32)
}

/// Number of planes of `pixels` values that make a worthwhile task.
pub(super) fn planes_of_a_task(pixels: usize) -> usize {
    LEAST_NUMBERS.div_ceil(pixels)
}

/// Number of an image's output planes per task, a multiple of `step`: all of them, unless that leaves threads idle.
/// `work` is the number of multiply-adds per plane. Results must not depend on the returned number.
pub(super) fn planes_of_an_image(batch: usize, planes: usize, work: usize, step: usize) -> usize {
    let threads = rayon::current_num_threads();
    let worth = (planes * work / LEAST_WORK).clamp(1, threads);
    let even = |parts: &usize| (batch * parts).is_multiple_of(threads) || batch * parts >= 4 * threads;
    let parts = (1..=worth).find(even).unwrap_or(worth);
    planes.div_ceil(parts).next_multiple_of(step)
}

/// Fills `total` values in chunks and parts of the given lengths (the last ones may be shorter). A part starts as zeros
/// or as a copy of `source`; the same thread initialises it and works on it.
#[allow(unsafe_code, reason = "several threads can fill a vector only this way, unless one thread zeroes it first")]
fn written_parts<T>(
    total: usize,
    [length, part]: [usize; 2],
    source: Option<&[f32]>,
    scratch: impl Fn() -> T + Send + Sync,
    fill: impl Fn(&mut T, usize, usize, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    let mut buffer: Vec<f32> = Vec::with_capacity(total);
    let spare = &mut buffer.spare_capacity_mut()[..total];
    let chunks = spare.par_chunks_mut(length).enumerate().with_min_len(LEAST_NUMBERS.div_ceil(length));
    let parts = chunks.flat_map(|(index, chunk)| {
        chunk.par_chunks_mut(part).enumerate().map(move |(i, numbers)| (index, i * part, numbers))
    });
    parts.for_each_init(scratch, |scratch, (index, offset, numbers)| {
        match source {
            Some(source) => _ = numbers.write_copy_of_slice(&source[index * length + offset..][..numbers.len()]),
            None => numbers.fill(MaybeUninit::new(0.0)),
        }
        // SAFETY: both arms have written every value of the part.
        fill(scratch, index, offset, unsafe { numbers.assume_init_mut() });
    });
    // SAFETY: the chunks cover all `total` values, which fit the capacity; their parts cover the chunks, and all have
    // been written.
    unsafe { buffer.set_len(total) };
    buffer
}
