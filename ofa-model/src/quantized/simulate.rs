//! The forward pass of a quantised network, and that of the folded one whose ranges are observed.

use super::{Activation, Curve, Grid, IntegerLayer, Observed, QuantizedSubnet, Step, run};
use crate::elastic::{MaxPool, averaged};
use crate::folded::Layer;
use crate::kernels::{
    Levels, batch_norm_inference, dense_conv2d, depthwise_conv2d, global_average_pool, hard_sigmoid, matmul,
    pointwise_conv2d, requantize, scale_planes,
};
use burn::tensor::Tensor;

/// Runs the folded network on a batch; `observed` sees the image and every result but the last.
pub(super) fn observe(steps: &[Step], images: Tensor<4>, observed: &mut [Observed]) {
    let mut see = |value: usize, x: &Tensor<4>| {
        if let Some(observed) = observed.get_mut(value) {
            let data = x.to_data();
            match data.as_slice::<f32>() {
                Ok(values) => observed.add(values),
                Err(_) => observed.add(&data.iter::<f32>().collect::<Vec<_>>()),
            }
        }
    };
    see(0, &images);
    run(steps, images, |number, step, inputs| {
        let y = real(step, inputs, shifted);
        see(number + 1, &y);
        y
    });
}

/// A step on real numbers; `shifted` adds the bias of a layer to its sums.
pub(super) fn real(
    step: &Step,
    inputs: Vec<Tensor<4>>,
    shifted: impl FnOnce(Tensor<4>, Tensor<1>, Activation) -> Tensor<4>,
) -> Tensor<4> {
    let [x, rest] = operands(inputs);
    match step {
        Step::Conv { layer: Layer { weight, bias, stride, groups, activation }, .. }
        | Step::Linear { layer: Layer { weight, bias, stride, groups, activation }, .. } => {
            shifted(convolved(x, weight.clone(), *stride, *groups), bias.clone(), *activation)
        }
        Step::HardSwish { .. } => Activation::HardSwish.apply(x),
        Step::HardSigmoid { .. } => hard_sigmoid(x),
        Step::Add { activation, .. } => activation.apply(x + rest),
        Step::Mul { .. } => scaled(x, rest),
        Step::GlobalAveragePool { .. } => pooled(x),
        Step::AveragePool { stride, .. } => averaged(x, *stride),
        Step::MaxPool { .. } => MaxPool {}.forward(x),
        Step::Flatten { .. } => x,
    }
}

fn shifted(sums: Tensor<4>, bias: Tensor<1>, activation: Activation) -> Tensor<4> {
    let [zeros, ones] = [bias.zeros_like(), bias.ones_like()];
    batch_norm_inference(sums, ones.clone(), bias, zeros, ones, 0.0, activation)
}

/// Logits `[batch, classes]`; `change` is applied to the features before the classifier.
pub(super) fn forward(
    network: &QuantizedSubnet,
    images: Tensor<4>,
    change: impl FnOnce(Tensor<2>) -> Tensor<2>,
) -> Tensor<2> {
    let image = network.grids[0].expect("only the logits have no grid");
    let [_, channels, ..] = images.dims();
    let image = evenly(images.div_scalar(image.scale), channels, 1.0, image.levels(), None);
    let mut change = Some(change);
    let last = network.steps.len() - 1;
    let logits = run(&network.steps, image, |number, step, inputs| {
        let mut operands = operands(inputs);
        if number == last
            && let Some(change) = change.take()
        {
            operands[0] = on_features(change, operands[0].clone());
        }
        integer(network, number, step, operands)
    });
    let [batch, classes, ..] = logits.dims();
    logits.reshape([batch, classes])
}

/// A step on integers. A curve is part of the step before it.
fn integer(
    network: &QuantizedSubnet,
    number: usize,
    step: &Step<IntegerLayer>,
    [x, rest]: [Tensor<4>; 2],
) -> Tensor<4> {
    let grid = |value: usize| network.grids[value];
    let scale = |value: usize| grid(value).map_or(1.0, |grid| grid.scale);
    let curve = curve_after(network, number);
    let output = grid(number + 1);
    let rounded = |x: Tensor<4>, multiplier: f32, activation: Activation| {
        let [_, channels, ..] = x.dims();
        evenly(x, channels, multiplier, levels(output, activation), curve)
    };
    match step {
        Step::Conv { layer, .. } | Step::Linear { layer, .. } => {
            let sums = convolved(x, layer.weight.clone(), layer.stride, layer.groups);
            let (bias, multiplier) = (layer.bias.clone(), layer.multiplier.clone());
            match output {
                Some(_) => requantize(sums, bias, multiplier, levels(output, layer.activation), curve),
                None => (sums + planes(bias)) * planes(multiplier),
            }
        }
        Step::HardSwish { .. } | Step::HardSigmoid { .. } | Step::Flatten { .. } => x,
        Step::Add { inputs: [a, b], activation } => {
            let step = scale(number + 1);
            rounded(x.mul_scalar(scale(*a) / step) + rest.mul_scalar(scale(*b) / step), 1.0, *activation)
        }
        Step::Mul { inputs: [a, b] } => {
            rounded(scaled(x, rest), scale(*a) * scale(*b) / scale(number + 1), Activation::Identity)
        }
        Step::GlobalAveragePool { input } => {
            rounded(pooled(x), scale(*input) / scale(number + 1), Activation::Identity)
        }
        Step::AveragePool { input, stride } => {
            rounded(averaged(x, *stride), scale(*input) / scale(number + 1), Activation::Identity)
        }
        Step::MaxPool { .. } => MaxPool {}.forward(x),
    }
}

/// The curve that reads the result of step `number`.
fn curve_after(network: &QuantizedSubnet, number: usize) -> Option<Curve> {
    let swish = match network.steps.get(number + 1)? {
        Step::HardSwish { .. } => true,
        Step::HardSigmoid { .. } => false,
        _ => return None,
    };
    let (input, output) = (network.grids[number + 1]?, network.grids[number + 2]?);
    Some(Curve { swish, step: input.scale, output_step: output.scale, output_levels: output.levels() })
}

/// Limits of a result with the activation that is part of its step.
fn levels(grid: Option<Grid>, activation: Activation) -> Levels {
    let [low, high] = grid.map_or([f32::MIN, f32::MAX], Grid::levels);
    match activation {
        // The range ends at 6 or below.
        Activation::Relu | Activation::Relu6 => [low.max(0.0), high],
        Activation::Identity | Activation::HardSwish => [low, high],
    }
}

/// Applies `change` to features that are maps of one pixel.
pub(super) fn on_features(change: impl FnOnce(Tensor<2>) -> Tensor<2>, maps: Tensor<4>) -> Tensor<4> {
    change(maps.flatten(1, 3)).unsqueeze_dims(&[-1, -1])
}

/// The one or two inputs of a step; the second is empty where there is none.
fn operands(inputs: Vec<Tensor<4>>) -> [Tensor<4>; 2] {
    let mut inputs = inputs.into_iter();
    let first = inputs.next().expect("a step has an input");
    let second = inputs.next().unwrap_or_else(|| Tensor::zeros([1, 1, 1, 1], &first.device()));
    [first, second]
}

/// Sums of products, without bias.
fn convolved(x: Tensor<4>, weight: Tensor<4>, stride: usize, groups: usize) -> Tensor<4> {
    let ([batch, inputs, height, width], [out, _, k, _]) = (x.dims(), weight.dims());
    if (height, width, k, groups) == (1, 1, 1, 1) {
        let sums = matmul(x.reshape([batch, inputs]), weight.reshape([out, inputs]).transpose());
        return sums.reshape([batch, out, 1, 1]);
    }
    match (k, stride, groups) {
        (1, 1, 1) => pointwise_conv2d(x, weight),
        (_, _, 1) => dense_conv2d(x, weight, stride),
        _ => depthwise_conv2d(x, weight, stride),
    }
}

/// [`requantize`] with the same multiplier for all channels.
fn evenly(x: Tensor<4>, channels: usize, multiplier: f32, levels: Levels, curve: Option<Curve>) -> Tensor<4> {
    let device = x.device();
    let [shift, multiplier] = [0.0, multiplier].map(|value| Tensor::full([channels], value, &device));
    requantize(x, shift, multiplier, levels, curve)
}

fn scaled(x: Tensor<4>, factors: Tensor<4>) -> Tensor<4> {
    let [batch, channels, ..] = x.dims();
    scale_planes(x, factors.reshape([batch, channels]))
}

fn pooled(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, ..] = x.dims();
    global_average_pool(x).reshape([batch, channels, 1, 1])
}

/// `[channels]` as `[1, channels, 1, 1]`.
fn planes(vector: Tensor<1>) -> Tensor<4> {
    let channels = vector.dims()[0];
    vector.reshape([1, channels, 1, 1])
}
