//! Backward pass of a block on the CPU. As in the forward pass, a channel stays on one thread from the projection back
//! to the expansion.

use super::Layers;
use super::block::{Block, Passed, Plain, Sizes, spread};
use super::filter::{Filter, Plan, TapSums};
use super::gate::GateGradient;
use super::laned::{self, Dots, LANES, Laned, Product};
use super::norm::Gates;
use super::rows::{Tasks, gathered, mixed, packed, scattered, tasks};
use crate::kernels::activation::Lanes;
use pulp::Arch;
use rayon::prelude::*;
use std::ops::Range;

/// Gradients of a block.
pub(super) struct Gradients {
    /// `[batch, in, height, width]`.
    pub(super) input: Vec<f32>,
    pub(super) layers: Layers<Vec<f32>>,
}

/// Gradients for some channels, from the projection to the gate.
struct Behind {
    /// Gradients of the activated and gated planes.
    planes: Vec<f32>,
    /// Weight gradient of the projection, `[out, channels]`.
    project: Vec<f32>,
    /// Gradients of the gates, `[channels, images]`; empty without gates.
    gates: Vec<f32>,
}

/// Gradients for the same channels, from the gate to the input.
struct Before {
    /// Gradients of the expansion's output, or of the input without an expansion.
    planes: Vec<f32>,
    /// Weight gradient of the expansion, `[channels, in]`; empty without one.
    expand: Vec<f32>,
    /// Gradients of scale and shift of the expansion's norm.
    expand_norm: Vec<[f32; 2]>,
    /// Weight gradient of the filter.
    depthwise: Vec<f32>,
    /// Gradients of scale and shift of the filter's norm.
    depthwise_norm: Vec<[f32; 2]>,
}

/// Plans of the filter's forward and backward pass.
struct Plans {
    forward: Plan,
    backward: Plan,
}

impl Block<'_> {
    /// Computes all gradients from that of the output, `[batch, out, height, width]`.
    pub(super) fn backward<A: Lanes>(&self, passed: &Passed, output: &[f32]) -> Gradients {
        let Sizes { input, middle, before, .. } = self.sizes;
        let (projected, project_norm) = self.before_projection_norm(passed, output);
        let plans = Plans { forward: self.sizes.filter.forward(), backward: self.sizes.filter.backward() };
        let behind = |some: Range<usize>| self.behind::<A>(passed, &projected, some);
        let before_gate = |some: Range<usize>, planes: Vec<f32>, gates: Option<Gates>| {
            self.before::<A>(passed, &plans, some, planes, gates)
        };
        let (project, gate, channels) = match (&passed.gate, self.gate_layers()) {
            (Some(gate), Some(layers)) => {
                let mut behind: Vec<Behind> = tasks(middle).map(behind).collect();
                let of_gates: Vec<f32> = behind.iter().flat_map(|channels| channels.gates.iter().copied()).collect();
                let gradient = gate.gradient(&of_gates, layers, self.sizes.after.pixels);
                let gates = Gates { value: &gate.value, shift: &gradient.shift };
                let planes: Vec<Vec<f32>> =
                    behind.iter_mut().map(|channels| std::mem::take(&mut channels.planes)).collect();
                let channels = tasks(middle).zip(planes).map(|(some, planes)| before_gate(some, planes, Some(gates)));
                let channels: Vec<Before> = channels.collect();
                (behind.into_iter().map(|behind| behind.project).collect::<Vec<_>>(), Some(gradient), channels)
            }
            _ => {
                let both = tasks(middle).map(|some| {
                    let behind = behind(some.clone());
                    (behind.project, before_gate(some, behind.planes, None))
                });
                let (project, channels) = both.unzip();
                (project, None, channels)
            }
        };
        let mut planes = Tasks { stride: before.stride(), rows: Vec::with_capacity(channels.len()) };
        let (mut expand, mut expand_norm) = (Vec::new(), Vec::new());
        let (mut depthwise, mut depthwise_norm) = (Vec::new(), Vec::new());
        for channels in channels {
            planes.rows.push(channels.planes);
            expand.extend(channels.expand);
            expand_norm.extend(channels.expand_norm);
            depthwise.extend(channels.depthwise);
            depthwise_norm.extend(channels.depthwise_norm);
        }
        let layers = Layers {
            expand: self.layers.expand.map(|_| with_norm(expand, &expand_norm)),
            depthwise: with_norm(depthwise, &depthwise_norm),
            gate: gate.map(|GateGradient { reduce, reduce_bias, expand, expand_bias, .. }| {
                [reduce, reduce_bias, expand, expand_bias]
            }),
            project: with_norm(beside_each_other(&project, self.sizes.output), &project_norm),
        };
        Gradients { input: self.input_gradient(&planes, output, input), layers }
    }

    /// The gradient before the norm of the projection, and the gradients of the norm's scale and shift.
    fn before_projection_norm(&self, passed: &Passed, output: &[f32]) -> (Vec<f32>, Vec<[f32; 2]>) {
        let Sizes { output: channels, after, .. } = self.sizes;
        let mut rows = gathered(output, channels, after);
        let norms = rows.par_chunks_mut(after.stride()).enumerate().map(|(channel, gradient)| {
            let numbers = after.row(&passed.projected, channel);
            scale_and_shift(passed.norms.project[channel].backward::<Plain>(numbers, gradient, after))
        });
        let norms = norms.collect();
        (rows, norms)
    }

    fn behind<A: Lanes>(&self, passed: &Passed, projected: &[f32], some: Range<usize>) -> Behind {
        let Sizes { middle, output, after, .. } = self.sizes;
        let (stride, rows) = (after.stride(), some.len());
        let [weight, _, _] = self.layers.project;
        let mut planes = vec![0.0; rows * stride];
        let weights = packed(some.clone(), output, |row, k| weight[k * middle + row]);
        Arch::new().dispatch(Product {
            weights: &weights,
            rows,
            input: projected,
            input_stride: stride,
            columns: after.len(),
            out: &mut planes,
            out_stride: stride,
        });
        let mut sums = vec![0.0; output * rows * LANES];
        let mut gates = vec![0.0; if passed.gate.is_some() { rows * after.groups() * LANES } else { 0 }];
        let mut activated = vec![0.0; rows * after.group_len()];
        for group in 0..after.groups() {
            let at = after.group(group);
            for (i, (channel, activated)) in some.clone().zip(activated.chunks_exact_mut(after.group_len())).enumerate()
            {
                let (norm, numbers) = (&passed.norms.depthwise[channel], &passed.filtered.row(channel)[at.clone()]);
                let gate = passed.gate.as_ref().map(|gate| self.lanes(&gate.value, channel, group));
                norm.apply::<A>(numbers, gate, activated);
                if gate.is_some() {
                    let gradient = &planes[i * stride..][at.clone()];
                    let lanes = &mut gates.as_chunks_mut::<LANES>().0[i * after.groups() + group];
                    norm.add::<A>(numbers, Some(gradient), lanes);
                }
            }
            Arch::new().dispatch(Dots {
                left: &projected[at.start..],
                left_stride: stride,
                left_rows: output,
                right: &activated,
                right_stride: after.group_len(),
                right_rows: rows,
                length: after.group_len(),
                sums: &mut sums,
            });
        }
        Behind { planes, project: laned::sums(&sums), gates }
    }

    fn before<A: Lanes>(
        &self,
        passed: &Passed,
        plans: &Plans,
        some: Range<usize>,
        mut behind: Vec<f32>,
        gates: Option<Gates>,
    ) -> Before {
        let Sizes { input, filter, before, after, .. } = self.sizes;
        let taps = filter.kernel_size.pow(2);
        let mut padded = vec![0.0; filter.padded_input()];
        let mut padded_gradient = vec![0.0; filter.padded_output()];
        let mut planes = vec![0.0; some.len() * before.stride()];
        let (mut expand_norm, mut depthwise_norm, mut depthwise) = (Vec::new(), Vec::new(), Vec::new());
        for (i, channel) in some.clone().enumerate() {
            let gradient = &mut behind[i * after.stride()..][..after.len()];
            let (norm, numbers) = (&passed.norms.depthwise[channel], passed.filtered.row(channel));
            let gates = gates.map(|gates| gates.of_channel(channel, after.groups()));
            let sums = norm.slopes::<A>(numbers, gradient, after, gates);
            depthwise_norm.push(scale_and_shift(sums));

            let source = match self.layers.expand {
                None => before.row(&passed.input, channel),
                Some(_) => &passed.expanded.row(channel)[..before.len()],
            };
            let expand = passed.norms.expand.get(channel);
            let mut lanes = vec![0.0; taps * LANES];
            let plane = &mut planes[i * before.stride()..][..before.len()];
            for group in 0..after.groups() {
                let at = after.group(group);
                norm.input_gradient(&numbers[at.clone()], &mut gradient[at.clone()], after, group, sums);
                spread(&gradient[at], filter.out_width(), filter.border(), &mut padded_gradient);
                self.pad::<A>(&source[before.group(group)], expand, &mut padded);
                let (source, gradient) = (&padded[..], &padded_gradient[..]);
                Arch::new().dispatch(TapSums {
                    plan: &plans.forward,
                    source,
                    gradient,
                    shape: filter,
                    sums: &mut lanes,
                });
                let out = &mut plane[before.group(group)];
                Arch::new().dispatch(Filter {
                    plan: &plans.backward,
                    source: gradient,
                    weights: self.kernel(channel),
                    out,
                });
            }
            depthwise.extend(laned::sums(&lanes));
            if let Some(norm) = expand {
                expand_norm.push(scale_and_shift(norm.backward::<A>(source, plane, before)));
            }
        }
        let expand = match expand_norm.is_empty() {
            true => Vec::new(),
            false => expand_weight(&planes, &passed.input, some.len(), input, before),
        };
        Before { planes, expand, expand_norm, depthwise, depthwise_norm }
    }

    /// Gradient of the input, `[batch, in, height, width]`, from the gradients of the expansion's output.
    fn input_gradient(&self, planes: &Tasks, output: &[f32], input: usize) -> Vec<f32> {
        let Sizes { middle, before, .. } = self.sizes;
        let mixed = self.layers.expand.map(|[weight, _, _]| {
            let lay = |channel: usize, group: usize, range: Range<usize>, to: &mut [f32]| {
                to.copy_from_slice(&planes.row(channel)[before.group(group)][range]);
            };
            mixed(input, middle, |row, k| weight[k * input + row], before, lay)
        });
        let row = |channel: usize| match &mixed {
            Some(mixed) => before.row(mixed, channel),
            None => planes.row(channel),
        };
        scattered(input, before, row, |image, channel, numbers, plane| {
            plane.iter_mut().zip(numbers.iter().step_by(LANES)).for_each(|(to, from)| *to = *from);
            if self.kind.residual {
                let kept = &output[(image * input + channel) * before.pixels..][..before.pixels];
                plane.iter_mut().zip(kept).for_each(|(to, kept)| *to += kept);
            }
        })
    }
}

/// Weight gradient of the expansion, `[channels, in]`.
fn expand_weight(planes: &[f32], input_rows: &[f32], rows: usize, input: usize, laned: Laned) -> Vec<f32> {
    let mut sums = vec![0.0; rows * input * LANES];
    for group in 0..laned.groups() {
        let at = laned.group(group).start;
        Arch::new().dispatch(Dots {
            left: &planes[at..],
            left_stride: laned.stride(),
            left_rows: rows,
            right: &input_rows[at..],
            right_stride: laned.stride(),
            right_rows: input,
            length: laned.group_len(),
            sums: &mut sums,
        });
    }
    laned::sums(&sums)
}

/// Gradients of a norm's scale and shift from the sums over its channel.
fn scale_and_shift([shift, scale]: [f64; 2]) -> [f32; 2] {
    [scale as f32, shift as f32]
}

fn with_norm(weight: Vec<f32>, norm: &[[f32; 2]]) -> [Vec<f32>; 3] {
    let column = |i: usize| norm.iter().map(|both| both[i]).collect();
    [weight, column(0), column(1)]
}

/// Concatenates the columns of matrices with `rows` rows each.
fn beside_each_other(matrices: &[Vec<f32>], rows: usize) -> Vec<f32> {
    let row = |row: usize| {
        matrices.iter().flat_map(move |matrix| {
            let columns = matrix.len() / rows;
            &matrix[row * columns..(row + 1) * columns]
        })
    };
    (0..rows).flat_map(row).copied().collect()
}
