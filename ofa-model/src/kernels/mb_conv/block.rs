//! Forward pass of a block on the CPU: expansion, norm, filter and second norm run channel by channel, on one thread
//! and in its cache.

use super::filter::{Filter, Plan, Shape};
use super::gate::{Gate, GateLayers};
use super::laned::{LANES, Laned, Product};
use super::norm::Norm;
use super::rows::{Tasks, gathered, mixed, packed, scattered, tasks};
use super::{Layers, MbConvKind};
use crate::kernels::activation::{Lanes, lanes::Identity};
use pulp::Arch;
use rayon::prelude::*;
use std::ops::Range;

/// Sizes of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) input: usize,
    pub(super) middle: usize,
    pub(super) output: usize,
    pub(super) filter: Shape,
    /// Planes before the filter.
    pub(super) before: Laned,
    /// Planes after the filter.
    pub(super) after: Laned,
}

/// Batch norms of a block, one per channel.
#[derive(Debug)]
pub(super) struct Norms {
    /// Empty without an expansion.
    pub(super) expand: Vec<Norm>,
    pub(super) depthwise: Vec<Norm>,
    pub(super) project: Vec<Norm>,
}

/// Everything besides the weights that the backward pass of a block needs.
#[derive(Debug)]
pub(super) struct Passed {
    /// Input, laid out as rows.
    pub(super) input: Vec<f32>,
    /// Output of the expansion, before its norm; empty without an expansion.
    pub(super) expanded: Tasks,
    /// Output of the filter, before its norm.
    pub(super) filtered: Tasks,
    pub(super) gate: Option<Gate>,
    /// Output of the projection, before its norm.
    pub(super) projected: Vec<f32>,
    pub(super) norms: Norms,
}

/// Results for some channels, up to the gate.
struct Channels {
    expanded: Vec<f32>,
    filtered: Vec<f32>,
    expand: Vec<Norm>,
    depthwise: Vec<Norm>,
    /// Means over the pixels, `[channels, images]`; empty without a gate.
    means: Vec<f32>,
}

/// A block with its weights as plain slices.
pub(super) struct Block<'a> {
    pub(super) sizes: Sizes,
    pub(super) kind: MbConvKind,
    pub(super) layers: Layers<&'a [f32]>,
}

impl<'a> Block<'a> {
    /// Output `[batch, out, height, width]`, and the state for the backward pass.
    pub(super) fn forward<A: Lanes>(&self, images: &[f32]) -> (Vec<f32>, Passed) {
        let Sizes { input, middle, output, before, after, .. } = self.sizes;
        let rows = gathered(images, input, before);
        let plan = self.sizes.filter.forward();
        let channels: Vec<Channels> = tasks(middle).map(|some| self.channels::<A>(&rows, &plan, some)).collect();

        let (mut expanded, mut filtered) = (Vec::new(), Vec::new());
        let mut norms = Norms { expand: Vec::new(), depthwise: Vec::new(), project: Vec::new() };
        let mut means = Vec::new();
        for channels in channels {
            expanded.push(channels.expanded);
            filtered.push(channels.filtered);
            norms.expand.extend(channels.expand);
            norms.depthwise.extend(channels.depthwise);
            means.extend(channels.means);
        }
        let (expanded, filtered) =
            (Tasks { stride: before.stride(), rows: expanded }, Tasks { stride: after.stride(), rows: filtered });
        let gate = self.gate_layers().map(|layers| Gate::of(means, layers));

        let [weight, gamma, beta] = self.layers.project;
        let lay = |channel: usize, group: usize, range: Range<usize>, to: &mut [f32]| {
            let gate = gate.as_ref().map(|gate| self.lanes(&gate.value, channel, group));
            let numbers = &filtered.row(channel)[after.group(group)][range];
            norms.depthwise[channel].apply::<A>(numbers, gate, to);
        };
        let projected = mixed(output, middle, |row, k| weight[row * middle + k], after, lay);
        let row = |channel: usize| after.row(&projected, channel);
        norms.project = (0..output)
            .into_par_iter()
            .map(|o| Norm::of(row(o), after, [gamma[o], beta[o]], self.kind.epsilon))
            .collect();
        let out = scattered(output, after, row, |image, channel, numbers, plane| {
            let Norm { scale, shift, .. } = norms.project[channel];
            for (to, from) in plane.iter_mut().zip(numbers.iter().step_by(LANES)) {
                *to = from * scale + shift;
            }
            if self.kind.residual {
                let kept = &images[(image * input + channel) * before.pixels..][..before.pixels];
                plane.iter_mut().zip(kept).for_each(|(to, kept)| *to += kept);
            }
        });
        (out, Passed { input: rows, expanded, filtered, gate, projected, norms })
    }

    fn channels<A: Lanes>(&self, rows: &[f32], plan: &Plan, some: Range<usize>) -> Channels {
        let Sizes { filter, before, after, .. } = self.sizes;
        let expanded = self.expanded(rows, some.clone());
        let mut filtered = vec![0.0; some.len() * after.stride()];
        let mut padded = vec![0.0; filter.padded_input()];
        let (mut expand, mut depthwise, mut means) = (Vec::new(), Vec::new(), Vec::new());
        for (i, channel) in some.enumerate() {
            let source = match expanded.is_empty() {
                true => before.row(rows, channel),
                false => before.row(&expanded, i),
            };
            let norm = self
                .layers
                .expand
                .map(|[_, gamma, beta]| Norm::of(source, before, [gamma[channel], beta[channel]], self.kind.epsilon));
            let filtered = &mut filtered[i * after.stride()..][..after.len()];
            for group in 0..before.groups() {
                self.pad::<A>(&source[before.group(group)], norm.as_ref(), &mut padded);
                let (source, out) = (&padded[..], &mut filtered[after.group(group)]);
                Arch::new().dispatch(Filter { plan, source, weights: self.kernel(channel), out });
            }
            let [_, gamma, beta] = self.layers.depthwise;
            let filtered_norm = Norm::of(filtered, after, [gamma[channel], beta[channel]], self.kind.epsilon);
            if self.layers.gate.is_some() {
                means.extend(means_of::<A>(&filtered_norm, filtered, after));
            }
            expand.extend(norm);
            depthwise.push(filtered_norm);
        }
        Channels { expanded, filtered, expand, depthwise, means }
    }

    fn expanded(&self, rows: &[f32], some: Range<usize>) -> Vec<f32> {
        let Sizes { input, before, .. } = self.sizes;
        let Some([weight, _, _]) = self.layers.expand else { return Vec::new() };
        let mut out = vec![0.0; some.len() * before.stride()];
        let weights = packed(some.clone(), input, |row, k| weight[row * input + k]);
        let (stride, columns) = (before.stride(), before.len());
        Arch::new().dispatch(Product {
            weights: &weights,
            rows: some.len(),
            input: rows,
            input_stride: stride,
            columns,
            out: &mut out,
            out_stride: stride,
        });
        out
    }

    /// Normalises and lays out a group of images; `padded` must already hold the columns of zeros beside it.
    pub(super) fn pad<A: Lanes>(&self, numbers: &[f32], norm: Option<&Norm>, padded: &mut [f32]) {
        let filter = self.sizes.filter;
        let (border, row) = (filter.border() * LANES, filter.width * LANES);
        match norm {
            Some(norm) => norm.apply_by_rows::<A>(numbers, row, &mut padded[border..], row + 2 * border),
            None => spread(numbers, filter.width, filter.border(), padded),
        }
    }

    /// The depthwise kernel of a channel.
    pub(super) fn kernel(&self, channel: usize) -> &'a [f32] {
        let taps = self.sizes.filter.kernel_size.pow(2);
        &self.layers.depthwise[0][channel * taps..][..taps]
    }

    pub(super) fn gate_layers(&self) -> Option<GateLayers<'a>> {
        let [reduce, reduce_bias, expand, expand_bias] = self.layers.gate?;
        Some(GateLayers { reduce, reduce_bias, expand, expand_bias })
    }

    /// The lanes of a group, from one value per image, `[channels, images]`.
    pub(super) fn lanes<'b>(&self, numbers: &'b [f32], channel: usize, group: usize) -> &'b [f32; LANES] {
        &numbers.as_chunks::<LANES>().0[channel * self.sizes.after.groups() + group]
    }
}

/// Lays out rows of `width` pixels; `padded` must already hold `border` pixels of zeros on either side.
pub(super) fn spread(plane: &[f32], width: usize, border: usize, padded: &mut [f32]) {
    let (row, pitch) = (width * LANES, (width + 2 * border) * LANES);
    let targets = padded[border * LANES..].chunks_mut(pitch);
    plane.chunks_exact(row).zip(targets).for_each(|(plane, to)| to[..row].copy_from_slice(plane));
}

/// Means over the pixels of the activated planes, one per image.
fn means_of<A: Lanes>(norm: &Norm, numbers: &[f32], laned: Laned) -> Vec<f32> {
    let mut means = vec![0.0; laned.groups() * LANES];
    for (group, lanes) in means.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        norm.add::<A>(&numbers[laned.group(group)], None, lanes);
    }
    means.iter_mut().for_each(|mean| *mean /= laned.pixels as f32);
    means
}

/// Marks norms without an activation.
pub(super) type Plain = Identity;
