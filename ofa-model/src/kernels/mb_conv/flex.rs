//! Blocks on flex tensors.

use super::block::{Block, Passed, Sizes};
use super::filter::Shape;
use super::laned::Laned;
use super::norm::Norm;
use super::{FusedMbConv, Layers, MbConvBackend, MbConvKind};
use crate::kernels::activation::with_lanes;
use crate::kernels::plain::{all_f32, contiguous, numbers, sizes, tensor};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::{DType, Flex, TensorMetadata};
use burn::tensor::Bytes;
use std::sync::Arc;

impl MbConvBackend for Flex {}

/// State of a block's forward pass, kept for its backward pass.
#[derive(Clone, Debug)]
pub struct PassedBlock {
    sizes: Sizes,
    kind: MbConvKind,
    layers: Layers<FlexTensor>,
    passed: Arc<Passed>,
}

impl FusedMbConv for Flex {
    type Passed = PassedBlock;

    fn fuses(input: &FlexTensor, layers: &Layers<FlexTensor>, kind: MbConvKind) -> bool {
        let Layers { expand, depthwise, gate, project } = layers;
        let tensors: Vec<&FlexTensor> = [input]
            .into_iter()
            .chain(expand.iter().flatten())
            .chain(depthwise)
            .chain(gate.iter().flatten())
            .chain(project)
            .collect();
        let [_, _, kernel_size, _] = sizes::<4>(&depthwise[0]);
        all_f32(&tensors) && kernel_size % 2 == 1 && (1..=2).contains(&kind.stride)
    }

    fn fused(input: FlexTensor, layers: Layers<FlexTensor>, kind: MbConvKind) -> (FlexTensor, FlexTensor, PassedBlock) {
        let block_sizes = sizes_of(&input, &layers, kind);
        let (input, layers) = (contiguous(input), layers.map(|weight| contiguous(weight.clone())));
        let block = Block { sizes: block_sizes, kind, layers: layers.map(numbers) };
        let (output, passed) = with_lanes!(kind.activation, Kind => block.forward::<Kind>(numbers(&input)));
        let [batch, ..] = sizes::<4>(&input);
        let (height, width) = (block_sizes.filter.out_height(), block_sizes.filter.out_width());
        let moments = moments(&passed);
        let passed = PassedBlock { sizes: block_sizes, kind, layers, passed: Arc::new(passed) };
        (tensor(output, [batch, block_sizes.output, height, width]), moments, passed)
    }

    fn fused_backward(passed: PassedBlock, output_gradient: FlexTensor) -> (FlexTensor, Layers<FlexTensor>) {
        let PassedBlock { sizes: block_sizes, kind, layers, passed } = passed;
        let block = Block { sizes: block_sizes, kind, layers: layers.map(numbers) };
        let gradient = contiguous(output_gradient);
        let found = with_lanes!(kind.activation, Kind => block.backward::<Kind>(&passed, numbers(&gradient)));
        let Shape { height, width, .. } = block_sizes.filter;
        let input = tensor(found.input, [block_sizes.before.batch, block_sizes.input, height, width]);
        (input, in_shapes_of(found.layers, &layers))
    }
}

fn sizes_of(input: &FlexTensor, layers: &Layers<FlexTensor>, kind: MbConvKind) -> Sizes {
    let [batch, channels, height, width] = sizes(input);
    let [middle, _, kernel_size, _] = sizes(&layers.depthwise[0]);
    let [output, _, _, _] = sizes(&layers.project[0]);
    let filter = Shape { kernel_size, stride: kind.stride, height, width };
    let before = Laned { batch, pixels: height * width };
    let after = Laned { batch, pixels: filter.out_height() * filter.out_width() };
    Sizes { input: channels, middle, output, filter, before, after }
}

/// Means and biased variances, `[2, channels of all norms]`.
fn moments(passed: &Passed) -> FlexTensor {
    let norms = || [&passed.norms.expand, &passed.norms.depthwise, &passed.norms.project].into_iter().flatten();
    let mean = |norm: &Norm| norm.mean;
    let numbers: Vec<f32> = norms().map(mean).chain(norms().map(|norm| norm.variance)).collect();
    let channels = numbers.len() / 2;
    tensor(numbers, [2, channels])
}

/// Gradients as tensors with the shapes of their weights.
fn in_shapes_of(gradients: Layers<Vec<f32>>, layers: &Layers<FlexTensor>) -> Layers<FlexTensor> {
    fn shaped<const N: usize>(numbers: [Vec<f32>; N], like: &[FlexTensor; N]) -> [FlexTensor; N] {
        let mut like = like.iter();
        numbers.map(|numbers| {
            let like = like.next().expect("every gradient has a weight");
            FlexTensor::new(Bytes::from_elems(numbers), Layout::contiguous(like.shape()), DType::F32)
        })
    }
    let Layers { expand, depthwise, gate, project } = gradients;
    Layers {
        expand: expand.zip(layers.expand.as_ref()).map(|(numbers, like)| shaped(numbers, like)),
        depthwise: shaped(depthwise, &layers.depthwise),
        gate: gate.zip(layers.gate.as_ref()).map(|(numbers, like)| shaped(numbers, like)),
        project: shaped(project, &layers.project),
    }
}
