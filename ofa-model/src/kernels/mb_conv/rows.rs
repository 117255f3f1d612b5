//! Multithreaded products of matrices with channels of [`Laned`] planes.

use super::laned::{LANES, Laned, Product, ROWS};
use crate::kernels::plain::{parallel_chunks, with_scratch};
use pulp::Arch;
use rayon::prelude::*;
use std::ops::Range;

/// Target number of elements of a panel: all its channels fit the cache while all rows are computed.
const PANEL: usize = 1 << 15;
/// Panels hold a multiple of this many pixels.
const PIXELS: usize = 4;

/// Rows in blocks of [`ROWS`], one block per task.
#[derive(Debug)]
pub(super) struct Tasks {
    pub(super) stride: usize,
    pub(super) rows: Vec<Vec<f32>>,
}

impl Tasks {
    pub(super) fn row(&self, channel: usize) -> &[f32] {
        &self.rows[channel / ROWS][channel % ROWS * self.stride..][..self.stride]
    }
}

/// The channels of each task.
pub(super) fn tasks(channels: usize) -> impl IndexedParallelIterator<Item = Range<usize>> {
    (0..channels.div_ceil(ROWS)).into_par_iter().map(move |task| task * ROWS..channels.min((task + 1) * ROWS))
}

/// Packs some rows of a weight matrix as `[k, rows]` for [`Product`]; `weight(row, k)` may read it transposed.
pub(super) fn packed(rows: Range<usize>, depth: usize, weight: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    (0..depth).flat_map(|k| rows.clone().map(move |row| (row, k))).map(|(row, k)| weight(row, k)).collect()
}

/// The channels of `[batch, channels, pixels]`, one row each.
pub(super) fn gathered(images: &[f32], channels: usize, laned: Laned) -> Vec<f32> {
    parallel_chunks(channels, laned.stride(), || (), |(), channel, row| laned.gather(images, channels, channel, row))
}

/// Builds `[batch, channels, pixels]` by `write(image, channel, numbers, plane)`. The pixels of the plane are every
/// sixteenth value of `numbers`, starting with the first.
pub(super) fn scattered<'a>(
    channels: usize,
    laned: Laned,
    row: impl Fn(usize) -> &'a [f32] + Send + Sync,
    write: impl Fn(usize, usize, &[f32], &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    parallel_chunks(
        laned.batch * channels,
        laned.pixels,
        || (),
        |(), plane, out| {
            let (image, channel) = (plane / channels, plane % channels);
            let group = &row(channel)[laned.group(image / LANES)];
            write(image, channel, &group[image % LANES..], out);
        },
    )
}

/// A matrix `[rows, depth]` times a few columns `[depth, columns]`, on this thread.
pub(super) fn multiplied(rows: usize, depth: usize, weight: impl Fn(usize, usize) -> f32, input: &[f32]) -> Vec<f32> {
    let columns = input.len() / depth;
    let mut out = vec![0.0; rows * columns];
    for first in (0..rows).step_by(ROWS) {
        let some = first..rows.min(first + ROWS);
        let weights = packed(some.clone(), depth, &weight);
        let out = &mut out[first * columns..];
        let (rows, input_stride, out_stride) = (some.len(), columns, columns);
        Arch::new().dispatch(Product { weights: &weights, rows, input, input_stride, columns, out, out_stride });
    }
    out
}

/// A matrix `[rows, depth]` times planes; the rows of the result are `laned.stride()` apart.
/// `lay(k, group, range of the channel, to)` lays out some pixels of channel `k`.
pub(super) fn mixed(
    rows: usize,
    depth: usize,
    weight: impl Fn(usize, usize) -> f32,
    laned: Laned,
    lay: impl Fn(usize, usize, Range<usize>, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    let blocks: Vec<Vec<f32>> =
        (0..rows).step_by(ROWS).map(|first| packed(first..rows.min(first + ROWS), depth, &weight)).collect();
    let mut out = vec![0.0; rows * laned.stride()];
    split(&mut out, laned).into_par_iter().for_each(|part| part.fill(depth, &blocks, &lay));
    out
}

/// Some pixels of a group, in every row.
struct Part<'a> {
    group: usize,
    /// Offset of the first pixel in the group.
    start: usize,
    rows: Vec<&'a mut [f32]>,
}

/// Splits the output into parts large enough for a task, and into enough of them for all threads.
fn split(out: &mut [f32], laned: Laned) -> Vec<Part<'_>> {
    let tasks = (4 * rayon::current_num_threads()).div_ceil(laned.groups());
    let length = laned.pixels.div_ceil(tasks).next_multiple_of(PIXELS) * LANES;
    let starts =
        (0..laned.groups()).flat_map(|group| (0..laned.group_len()).step_by(length).map(move |at| (group, at)));
    let mut parts: Vec<Part> = starts.map(|(group, start)| Part { group, start, rows: Vec::new() }).collect();
    for row in out.chunks_mut(laned.stride()) {
        let groups = row[..laned.len()].chunks_mut(laned.group_len());
        let pieces = groups.flat_map(|group| group.chunks_mut(length));
        parts.iter_mut().zip(pieces).for_each(|(part, piece)| part.rows.push(piece));
    }
    parts
}

impl Part<'_> {
    fn fill(mut self, depth: usize, blocks: &[Vec<f32>], lay: impl Fn(usize, usize, Range<usize>, &mut [f32])) {
        let pixels = (PANEL / (depth * LANES)).max(1).next_multiple_of(PIXELS);
        let (most, length) = (pixels * LANES, self.rows[0].len());
        with_scratch((depth + ROWS) * most, |scratch| {
            let (panel, mixed) = scratch.split_at_mut(depth * most);
            for at in (0..length).step_by(most) {
                let columns = most.min(length - at);
                let range = self.start + at..self.start + at + columns;
                for (k, to) in panel.chunks_exact_mut(most).enumerate() {
                    lay(k, self.group, range.clone(), &mut to[..columns]);
                }
                for (rows, weights) in self.rows.chunks_mut(ROWS).zip(blocks) {
                    let (input, input_stride, out_stride) = (&*panel, most, most);
                    let out = &mut *mixed;
                    let rows_here = rows.len();
                    Arch::new().dispatch(Product {
                        weights,
                        rows: rows_here,
                        input,
                        input_stride,
                        columns,
                        out,
                        out_stride,
                    });
                    for (row, mixed) in rows.iter_mut().zip(mixed.chunks_exact(most)) {
                        row[at..at + columns].copy_from_slice(&mixed[..columns]);
                    }
                }
            }
        });
    }
}
