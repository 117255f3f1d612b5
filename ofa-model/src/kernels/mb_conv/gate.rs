//! The squeeze-and-excitation gate in the layout `[channels, images]`, with images padded to whole groups.

use super::laned::{self, Dots, LANES, sum};
use super::rows::multiplied;
use pulp::Arch;

/// The two layers of a gate.
#[derive(Clone, Copy)]
pub(super) struct GateLayers<'a> {
    /// `[squeezed, channels]`.
    pub(super) reduce: &'a [f32],
    /// `[squeezed]`.
    pub(super) reduce_bias: &'a [f32],
    /// `[channels, squeezed]`.
    pub(super) expand: &'a [f32],
    /// `[channels]`.
    pub(super) expand_bias: &'a [f32],
}

/// The gates of a batch, and what their gradient needs.
#[derive(Debug)]
pub(super) struct Gate {
    /// Means over the pixels, `[channels, images]`.
    means: Vec<f32>,
    /// `[squeezed, images]`, after the ReLU.
    squeezed: Vec<f32>,
    /// `[channels, images]`, before the hard sigmoid.
    pre: Vec<f32>,
    /// `[channels, images]`.
    pub(super) value: Vec<f32>,
}

/// Gradients of the layers, in their shapes, and of the gated planes.
pub(super) struct GateGradient {
    pub(super) reduce: Vec<f32>,
    pub(super) reduce_bias: Vec<f32>,
    pub(super) expand: Vec<f32>,
    pub(super) expand_bias: Vec<f32>,
    /// Gradient that every pixel of a plane receives through its mean, `[channels, images]`.
    pub(super) shift: Vec<f32>,
}

impl Gate {
    pub(super) fn of(means: Vec<f32>, layers: GateLayers) -> Self {
        let (channels, squeezed) = (layers.expand_bias.len(), layers.reduce_bias.len());
        let reduced = multiplied(squeezed, channels, |row, k| layers.reduce[row * channels + k], &means);
        let squeezed_rows = biased(reduced, layers.reduce_bias, |x| x.max(0.0));
        let expanded = multiplied(channels, squeezed, |row, k| layers.expand[row * squeezed + k], &squeezed_rows);
        let pre = biased(expanded, layers.expand_bias, |x| x);
        let value = pre.iter().map(|pre| ((pre + 3.0) * (1.0 / 6.0)).clamp(0.0, 1.0)).collect();
        Self { means, squeezed: squeezed_rows, pre, value }
    }

    /// Computes the gradient from those of the gates, `[channels, images]`, which are 0 where there is no image.
    pub(super) fn gradient(&self, of_gates: &[f32], layers: GateLayers, pixels: usize) -> GateGradient {
        let (channels, squeezed) = (layers.expand_bias.len(), layers.reduce_bias.len());
        let inside = |pre: f32| -3.0 < pre && pre < 3.0;
        let pre: Vec<f32> =
            of_gates.iter().zip(&self.pre).map(|(g, pre)| if inside(*pre) { g * (1.0 / 6.0) } else { 0.0 }).collect();
        let back = multiplied(squeezed, channels, |row, k| layers.expand[k * squeezed + row], &pre);
        let back: Vec<f32> =
            back.iter().zip(&self.squeezed).map(|(g, squeezed)| if *squeezed > 0.0 { *g } else { 0.0 }).collect();
        let mut shift = multiplied(channels, squeezed, |row, k| layers.reduce[k * channels + row], &back);
        shift.iter_mut().for_each(|shift| *shift /= pixels as f32);
        GateGradient {
            reduce: products(&back, squeezed, &self.means, channels),
            reduce_bias: sums(&back, squeezed),
            expand: products(&pre, channels, &self.squeezed, squeezed),
            expand_bias: sums(&pre, channels),
            shift,
        }
    }
}

/// `f(row + bias of the row)`
fn biased(mut rows: Vec<f32>, bias: &[f32], f: impl Fn(f32) -> f32) -> Vec<f32> {
    let columns = rows.len() / bias.len();
    for (row, bias) in rows.chunks_exact_mut(columns).zip(bias) {
        row.iter_mut().for_each(|x| *x = f(*x + bias));
    }
    rows
}

/// Sums of products over the images, `[left, right]`.
fn products(left: &[f32], left_rows: usize, right: &[f32], right_rows: usize) -> Vec<f32> {
    let length = left.len() / left_rows;
    let mut sums = vec![0.0; left_rows * right_rows * LANES];
    let (left_stride, right_stride) = (length, length);
    let dots = Dots { left, left_stride, left_rows, right, right_stride, right_rows, length, sums: &mut sums };
    Arch::new().dispatch(dots);
    laned::sums(&sums)
}

/// Sums over the images.
fn sums(rows: &[f32], count: usize) -> Vec<f32> {
    let row_sum = |row: &[f32]| {
        let mut lanes = [0.0; LANES];
        for images in row.as_chunks::<LANES>().0 {
            lanes.iter_mut().zip(images).for_each(|(lane, image)| *lane += image);
        }
        sum(&lanes)
    };
    rows.chunks_exact(rows.len() / count).map(row_sum).collect()
}
