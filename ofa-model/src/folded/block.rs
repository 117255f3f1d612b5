//! A block of any kind, as convolutions with bias.

use super::FoldedConv;
use super::activation::{hard_sigmoid, plain};
use crate::Activation;
use crate::elastic::{Block, MaxPool, SqueezeExcite, averaged};
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::module::adaptive_avg_pool2d;

/// Pooling, or a chain of convolutions with an optional gate before the last and an optional residual sum.
#[derive(Module, Debug)]
pub(super) struct FoldedBlock {
    pub(super) pool: Option<MaxPool>,
    pub(super) layers: Vec<FoldedConv>,
    pub(super) gate: Option<FoldedGate>,
    /// Whether the input, or its downsampled form, is added to the output.
    pub(super) residual: bool,
    /// Maps the input to the output's shape where the two differ.
    pub(super) downsample: Option<FoldedConv>,
    /// Window and stride of the average pooling before `downsample`.
    pub(super) downsample_stride: usize,
    #[module(skip)]
    pub(super) activation_after_sum: Activation,
}

impl FoldedBlock {
    pub(super) fn new(block: &Block) -> Self {
        let mut folded = Self {
            pool: None,
            layers: vec![],
            gate: None,
            residual: false,
            downsample: None,
            downsample_stride: 1,
            activation_after_sum: Activation::Identity,
        };
        match block {
            Block::MaxPool(pool) => folded.pool = Some(pool.clone()),
            Block::Conv(block) => {
                folded.layers.push(FoldedConv::new(&block.conv));
                folded.residual = block.has_residual();
            }
            Block::MbConv(block) => {
                let layers = block.expand.iter().chain([&block.depthwise, &block.project]);
                folded.layers.extend(layers.map(FoldedConv::new));
                folded.gate = block.squeeze_excite.as_ref().map(FoldedGate::new);
                folded.residual = block.has_residual();
            }
            Block::Bottleneck(block) => {
                folded.layers.extend([&block.reduce, &block.filter, &block.expand].map(FoldedConv::new));
                folded.residual = true;
                folded.downsample = block.downsample.as_ref().map(FoldedConv::new);
                folded.downsample_stride = block.stride();
                folded.activation_after_sum = block.activation();
            }
        }
        folded
    }

    /// Maps `[batch, in, height, width]` to `[batch, out, height / stride, width / stride]`, rounded up.
    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        if let Some(pool) = &self.pool {
            return pool.forward(input);
        }
        let mut x = input.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            if let Some(gate) = self.gate.as_ref().filter(|_| i + 1 == self.layers.len()) {
                x = gate.forward(x);
            }
            x = layer.forward(x);
        }
        if !self.residual {
            return x;
        }
        let shortcut = match &self.downsample {
            Some(downsample) => downsample.forward(averaged(input, self.downsample_stride)),
            None => input,
        };
        plain(self.activation_after_sum, x + shortcut)
    }
}

/// Squeeze-and-excitation as 1x1 convolutions.
#[derive(Module, Debug)]
pub(super) struct FoldedGate {
    pub(super) reduce: FoldedConv,
    pub(super) expand: FoldedConv,
}

impl FoldedGate {
    fn new(gate: &SqueezeExcite) -> Self {
        let (reduce, expand) = (gate.reduce_weight.val(), gate.expand_weight.val());
        Self {
            reduce: FoldedConv::from_matrix(reduce, gate.reduce_bias.val(), Activation::Relu),
            expand: FoldedConv::from_matrix(expand, gate.expand_bias.val(), Activation::Identity),
        }
    }

    /// Scales each channel of `[batch, channels, height, width]`.
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let means = adaptive_avg_pool2d(input.clone(), [1, 1]);
        input * hard_sigmoid(self.expand.forward(self.reduce.forward(means)))
    }
}
