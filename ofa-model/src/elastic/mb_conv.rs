//! The inverted-bottleneck block, in ordinary and elastic form.

use super::{ConvNorm, ElasticDepthwise, Moments, SqueezeExcite, Statistics};
use crate::kernels::{MbConvKind, MbConvTrain, MbConvWeights, mb_conv_train};
use crate::{Activation, MbConvShape, init::Initializer};
use burn::module::Module;
use burn::tensor::{Int, Tensor};

/// An inverted-bottleneck block: expand, filter each channel, gate, project, and add the input where shapes allow.
///
/// Source: MobileNetV2 (arXiv:1801.04381, section 3) with the gate of MobileNetV3 (arXiv:1905.02244, section 5).
#[derive(Module, Debug)]
pub struct MbConv {
    /// 1x1 expansion.
    pub expand: Option<ConvNorm>,
    /// Depthwise convolution.
    pub depthwise: ConvNorm,
    /// Squeeze-and-excitation, after the depthwise activation.
    pub squeeze_excite: Option<SqueezeExcite>,
    /// 1x1 projection, without activation.
    pub project: ConvNorm,
    residual: bool,
}

impl MbConv {
    /// Builds a block of the given shape.
    pub(crate) fn init(shape: &MbConvShape, epsilon: f64, init: &mut Initializer) -> Self {
        let MbConvShape { mid_channels, kernel_size, stride, activation, .. } = *shape;
        Self {
            expand: expansion(shape, epsilon, init),
            depthwise: ConvNorm::depthwise(mid_channels, kernel_size, stride, activation, epsilon, init),
            squeeze_excite: squeeze_excite(shape, init),
            project: projection(shape, epsilon, init),
            residual: shape.residual,
        }
    }

    /// Maps `[batch, in, height, width]` to `[batch, out, height / stride, width / stride]`, rounded up.
    pub fn forward(&self, input: Tensor<4>, statistics: &mut Statistics) -> Tensor<4> {
        if let Statistics::Running = statistics {
            return self.infer(input);
        }
        let MbConvTrain { output, moments } = mb_conv_train(input, self.weights(), self.kind());
        if let Statistics::Record(list) = statistics {
            let mut first = 0;
            for conv in self.convolutions() {
                let [channels, ..] = conv.weight.dims();
                let row =
                    |row: usize| moments.clone().slice([row..row + 1, first..first + channels]).reshape([channels]);
                list.push(Moments { mean: row(0), variance: row(1) });
                first += channels;
            }
        }
        output
    }

    /// Forward pass with the running statistics.
    fn infer(&self, input: Tensor<4>) -> Tensor<4> {
        let kept = self.residual.then(|| input.clone());
        let running = &mut Statistics::Running;
        let mut x = match &self.expand {
            Some(expand) => expand.forward(input, running),
            None => input,
        };
        x = self.depthwise.forward(x, running);
        if let Some(gate) = &self.squeeze_excite {
            x = gate.forward(x);
        }
        x = self.project.forward(x, running);
        match kept {
            Some(kept) => x + kept,
            None => x,
        }
    }

    fn kind(&self) -> MbConvKind {
        MbConvKind {
            stride: self.depthwise.stride(),
            activation: self.depthwise.activation(),
            epsilon: self.depthwise.norm.epsilon(),
            residual: self.residual,
        }
    }

    fn weights(&self) -> MbConvWeights {
        MbConvWeights {
            expand: self.expand.as_ref().map(ConvNorm::weights),
            depthwise: self.depthwise.weights(),
            gate: self.squeeze_excite.as_ref().map(SqueezeExcite::weights),
            project: self.project.weights(),
        }
    }

    /// Whether the input is added to the output.
    pub(crate) fn has_residual(&self) -> bool {
        self.residual
    }

    fn convolutions(&self) -> impl Iterator<Item = &ConvNorm> {
        self.expand.iter().chain([&self.depthwise, &self.project])
    }

    /// The convolutions in forward-pass order.
    pub(crate) fn convolutions_mut(&mut self) -> impl Iterator<Item = &mut ConvNorm> {
        self.expand.iter_mut().chain([&mut self.depthwise, &mut self.project])
    }
}

/// The weights of one block for every kernel size and expand ratio (paper, section 3.3).
#[derive(Module, Debug)]
pub struct ElasticMbConv {
    /// 1x1 expansion at the largest ratio.
    pub expand: Option<ConvNorm>,
    /// Depthwise convolution at the largest ratio, with its kernel transforms.
    pub depthwise: ElasticDepthwise,
    /// Squeeze-and-excitation at the largest ratio.
    pub squeeze_excite: Option<SqueezeExcite>,
    /// 1x1 projection at the largest ratio.
    pub project: ConvNorm,
}

impl ElasticMbConv {
    /// Builds a block whose largest form is `shape`.
    pub(crate) fn init(shape: &MbConvShape, kernel_sizes: &[usize], epsilon: f64, init: &mut Initializer) -> Self {
        Self {
            expand: expansion(shape, epsilon, init),
            depthwise: ElasticDepthwise::init(shape, kernel_sizes, epsilon, init),
            squeeze_excite: squeeze_excite(shape, init),
            project: projection(shape, epsilon, init),
        }
    }

    /// The block sliced to the given shape.
    pub fn at(&self, shape: &MbConvShape) -> MbConv {
        let mid = shape.mid_channels;
        MbConv {
            expand: self.expand.as_ref().map(|expand| expand.leading(mid, shape.in_channels)),
            depthwise: self.depthwise.at(mid, shape.kernel_size),
            squeeze_excite: self.squeeze_excite.as_ref().map(|gate| gate.leading(mid, shape.squeeze_channels())),
            project: self.project.leading(shape.out_channels, mid),
            residual: shape.residual,
        }
    }

    /// Reorders the middle channels; the largest form still computes the same function.
    pub(crate) fn reordered_middle(self, order: &Tensor<1, Int>) -> Self {
        Self {
            expand: self.expand.map(|expand| expand.reordered_outputs(order)),
            depthwise: self.depthwise.reordered(order),
            squeeze_excite: self.squeeze_excite.map(|gate| gate.reordered_channels(order)),
            project: self.project.reordered_inputs(order),
        }
    }

    /// Reorders the bottleneck channels of squeeze-and-excitation.
    pub(crate) fn reordered_squeeze(self, order: &Tensor<1, Int>) -> Self {
        Self { squeeze_excite: self.squeeze_excite.map(|gate| gate.reordered_bottleneck(order)), ..self }
    }
}

fn expansion(shape: &MbConvShape, epsilon: f64, init: &mut Initializer) -> Option<ConvNorm> {
    shape.expansion.then(|| ConvNorm::pointwise(shape.in_channels, shape.mid_channels, shape.activation, epsilon, init))
}

fn squeeze_excite(shape: &MbConvShape, init: &mut Initializer) -> Option<SqueezeExcite> {
    shape.squeeze_excite.then(|| SqueezeExcite::init(shape.mid_channels, shape.squeeze_channels(), init))
}

fn projection(shape: &MbConvShape, epsilon: f64, init: &mut Initializer) -> ConvNorm {
    ConvNorm::pointwise(shape.mid_channels, shape.out_channels, Activation::Identity, epsilon, init)
}
