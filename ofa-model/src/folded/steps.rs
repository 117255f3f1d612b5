//! A folded subnet as a list of steps: what quantisation works on.

use super::FoldedSubnet;
use super::block::{FoldedBlock, FoldedGate};
use super::conv::FoldedConv;
use super::head::FoldedHead;
use crate::Activation;
use burn::tensor::Tensor;

/// One operation of a network. Its inputs are values by index: 0 is the image, `i + 1` the result of step `i`.
#[derive(Clone, Debug)]
pub(crate) enum Step<L = Layer> {
    /// A convolution, padded by half its kernel size, with the activation after it.
    Conv {
        layer: L,
        input: usize,
    },
    /// A product of features with a matrix, with the activation after it.
    Linear {
        layer: L,
        input: usize,
    },
    HardSwish {
        input: usize,
    },
    HardSigmoid {
        input: usize,
    },
    /// A sum, with the activation after it.
    Add {
        inputs: [usize; 2],
        activation: Activation,
    },
    /// Each channel of the first input, times that of the second, whose maps have one pixel.
    Mul {
        inputs: [usize; 2],
    },
    GlobalAveragePool {
        input: usize,
    },
    /// Windows of `stride` pixels; see [`averaged`](crate::elastic::averaged).
    AveragePool {
        input: usize,
        stride: usize,
    },
    /// 3x3 pixels, stride 2.
    MaxPool {
        input: usize,
    },
    /// Maps of one pixel become features.
    Flatten {
        input: usize,
    },
}

/// A convolution with bias. Its activation is the identity, ReLU or ReLU6: what else follows is a step of its own.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// `[out, in / groups, k, k]`.
    pub(crate) weight: Tensor<4>,
    /// `[out]`.
    pub(crate) bias: Tensor<1>,
    pub(crate) stride: usize,
    pub(crate) groups: usize,
    pub(crate) activation: Activation,
}

impl<L> Step<L> {
    /// The values that the step reads.
    pub(crate) fn inputs(&self) -> Vec<usize> {
        match self {
            Self::Conv { input, .. }
            | Self::Linear { input, .. }
            | Self::HardSwish { input }
            | Self::HardSigmoid { input }
            | Self::GlobalAveragePool { input }
            | Self::AveragePool { input, .. }
            | Self::MaxPool { input }
            | Self::Flatten { input } => vec![*input],
            Self::Add { inputs, .. } | Self::Mul { inputs } => inputs.to_vec(),
        }
    }

    /// The input whose numbers the step passes on, if it computes no new ones.
    pub(crate) fn passes_on(&self) -> Option<usize> {
        match self {
            Self::MaxPool { input } | Self::Flatten { input } => Some(*input),
            _ => None,
        }
    }
}

impl Step {
    /// The same step with another form of its layer, made from the layer and the index of its input.
    pub(crate) fn map_layer<L>(&self, change: impl FnOnce(&Layer, usize) -> L) -> Step<L> {
        match *self {
            Self::Conv { ref layer, input } => Step::Conv { layer: change(layer, input), input },
            Self::Linear { ref layer, input } => Step::Linear { layer: change(layer, input), input },
            Self::HardSwish { input } => Step::HardSwish { input },
            Self::HardSigmoid { input } => Step::HardSigmoid { input },
            Self::Add { inputs, activation } => Step::Add { inputs, activation },
            Self::Mul { inputs } => Step::Mul { inputs },
            Self::GlobalAveragePool { input } => Step::GlobalAveragePool { input },
            Self::AveragePool { input, stride } => Step::AveragePool { input, stride },
            Self::MaxPool { input } => Step::MaxPool { input },
            Self::Flatten { input } => Step::Flatten { input },
        }
    }
}

/// Computes the last value. `compute` gets the number of a step, the step and its inputs; values are dropped when
/// nothing reads them any more, so that what is read last can be changed in place.
pub(crate) fn run<L>(
    steps: &[Step<L>],
    image: Tensor<4>,
    mut compute: impl FnMut(usize, &Step<L>, Vec<Tensor<4>>) -> Tensor<4>,
) -> Tensor<4> {
    let mut reads = vec![0; steps.len() + 1];
    steps.iter().flat_map(Step::inputs).for_each(|value| reads[value] += 1);
    let mut values: Vec<Option<Tensor<4>>> = vec![None; steps.len() + 1];
    values[0] = Some(image);
    for (number, step) in steps.iter().enumerate() {
        let inputs = step.inputs().into_iter().map(|value| {
            reads[value] -= 1;
            let read = if reads[value] == 0 { values[value].take() } else { values[value].clone() };
            read.expect("a step reads earlier values")
        });
        let inputs = inputs.collect();
        values[number + 1] = Some(compute(number, step, inputs));
    }
    values.pop().flatten().expect("the last value is read by nothing")
}

impl FoldedSubnet {
    /// The network as steps; the last one gives the logits.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let last = self.blocks.iter().fold(0, |input, block| block.add_to(&mut steps, input));
        self.head.add_to(&mut steps, last);
        steps
    }
}

/// Adds a step and returns the index of its value.
fn push(steps: &mut Vec<Step>, step: Step) -> usize {
    steps.push(step);
    steps.len()
}

/// Adds a layer and what follows it.
fn push_layer(steps: &mut Vec<Step>, activation: Activation, step: impl FnOnce(Activation) -> Step) -> usize {
    match activation {
        Activation::HardSwish => {
            let input = push(steps, step(Activation::Identity));
            push(steps, Step::HardSwish { input })
        }
        Activation::Identity | Activation::Relu | Activation::Relu6 => push(steps, step(activation)),
    }
}

impl FoldedConv {
    fn add_to(&self, steps: &mut Vec<Step>, input: usize) -> usize {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        let (stride, groups) = (self.stride, self.groups);
        let layer = |activation| Layer { weight, bias, stride, groups, activation };
        push_layer(steps, self.activation, |activation| Step::Conv { layer: layer(activation), input })
    }
}

impl FoldedBlock {
    fn add_to(&self, steps: &mut Vec<Step>, input: usize) -> usize {
        if self.pool.is_some() {
            return push(steps, Step::MaxPool { input });
        }
        let mut x = input;
        for (i, layer) in self.layers.iter().enumerate() {
            if let Some(gate) = self.gate.as_ref().filter(|_| i + 1 == self.layers.len()) {
                x = gate.add_to(steps, x);
            }
            x = layer.add_to(steps, x);
        }
        if !self.residual {
            return x;
        }
        let shortcut = match &self.downsample {
            Some(downsample) => {
                let stride = self.downsample_stride;
                let averaged = if stride == 1 { input } else { push(steps, Step::AveragePool { input, stride }) };
                downsample.add_to(steps, averaged)
            }
            None => input,
        };
        let inputs = [x, shortcut];
        push_layer(steps, self.activation_after_sum, |activation| Step::Add { inputs, activation })
    }
}

impl FoldedGate {
    fn add_to(&self, steps: &mut Vec<Step>, input: usize) -> usize {
        let means = push(steps, Step::GlobalAveragePool { input });
        let squeezed = self.reduce.add_to(steps, means);
        let expanded = self.expand.add_to(steps, squeezed);
        let gate = push(steps, Step::HardSigmoid { input: expanded });
        push(steps, Step::Mul { inputs: [input, gate] })
    }
}

impl FoldedHead {
    fn add_to(&self, steps: &mut Vec<Step>, input: usize) -> usize {
        let expanded = self.expand.as_ref().map_or(input, |expand| expand.add_to(steps, input));
        let means = push(steps, Step::GlobalAveragePool { input: expanded });
        let mut input = push(steps, Step::Flatten { input: means });
        // `[in, out]` as a 1x1 convolution.
        let layer = |weight: Tensor<2>, bias: Tensor<1>, activation| Layer {
            weight: weight.transpose().unsqueeze_dims(&[-1, -1]),
            bias,
            stride: 1,
            groups: 1,
            activation,
        };
        if let Some(mix) = &self.mix {
            let weight = mix.val();
            let bias = Tensor::zeros([weight.dims()[1]], &weight.device());
            input = push_layer(steps, self.activation, |activation| Step::Linear {
                layer: layer(weight, bias, activation),
                input,
            });
        }
        let layer = layer(self.classifier.val(), self.bias.val(), Activation::Identity);
        push(steps, Step::Linear { layer, input })
    }
}
