//! A block of any kind, in ordinary and elastic form.

use super::{Bottleneck, ConvBlock, ConvNorm, ElasticMbConv, MaxPool, MbConv, Statistics};
use crate::{UnitLayers, init::Initializer};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// The layers of one unit that maps feature maps to feature maps.
#[derive(Module, Debug)]
pub enum Block {
    /// A dense convolution.
    Conv(ConvBlock),
    /// 3x3 max pooling with stride 2.
    MaxPool(MaxPool),
    /// An inverted-bottleneck block.
    MbConv(MbConv),
    /// A ResNet bottleneck block.
    Bottleneck(Bottleneck),
}

impl Block {
    /// Builds the layers for a shape; `None` for a head.
    pub(crate) fn init(layers: &UnitLayers, epsilon: f64, init: &mut Initializer) -> Option<Self> {
        Some(match layers {
            UnitLayers::Conv(shape) => Self::Conv(ConvBlock::init(shape, epsilon, init)),
            UnitLayers::MaxPool { .. } => Self::MaxPool(MaxPool::default()),
            UnitLayers::MbConv(shape) => Self::MbConv(MbConv::init(shape, epsilon, init)),
            UnitLayers::Bottleneck(shape) => Self::Bottleneck(Bottleneck::init(shape, epsilon, init)),
            UnitLayers::Head(_) => return None,
        })
    }

    /// Maps `[batch, in, height, width]` to `[batch, out, height / stride, width / stride]`, rounded up.
    pub fn forward(&self, input: Tensor<4>, statistics: &mut Statistics) -> Tensor<4> {
        match self {
            Self::Conv(block) => block.forward(input, statistics),
            Self::MaxPool(pool) => pool.forward(input),
            Self::MbConv(block) => block.forward(input, statistics),
            Self::Bottleneck(block) => block.forward(input, statistics),
        }
    }

    /// The convolutions in forward-pass order.
    pub(crate) fn convolutions_mut(&mut self) -> Vec<&mut ConvNorm> {
        match self {
            Self::Conv(block) => vec![&mut block.conv],
            Self::MaxPool(_) => vec![],
            Self::MbConv(block) => block.convolutions_mut().collect(),
            Self::Bottleneck(block) => block.convolutions_mut().collect(),
        }
    }
}

/// The weights of one block for every choice.
#[derive(Module, Debug)]
pub enum ElasticBlock {
    /// A dense convolution.
    Conv(ConvBlock),
    /// An inverted-bottleneck block.
    MbConv(ElasticMbConv),
    /// A ResNet bottleneck block.
    Bottleneck(Bottleneck),
}

impl ElasticBlock {
    /// Builds a block whose largest form is `layers`.
    ///
    /// # Panics
    ///
    /// If `layers` is not a block with weights.
    pub(crate) fn init(layers: &UnitLayers, kernel_sizes: &[usize], epsilon: f64, init: &mut Initializer) -> Self {
        match layers {
            UnitLayers::Conv(shape) => Self::Conv(ConvBlock::init(shape, epsilon, init)),
            UnitLayers::MbConv(shape) => Self::MbConv(ElasticMbConv::init(shape, kernel_sizes, epsilon, init)),
            UnitLayers::Bottleneck(shape) => Self::Bottleneck(Bottleneck::init(shape, epsilon, init)),
            UnitLayers::MaxPool { .. } | UnitLayers::Head(_) => panic!("{layers:?} is not a block"),
        }
    }

    /// The block sliced to the given shape.
    ///
    /// # Panics
    ///
    /// If `layers` is another kind of block.
    pub fn at(&self, layers: &UnitLayers) -> Block {
        match (self, layers) {
            (Self::Conv(block), UnitLayers::Conv(shape)) => Block::Conv(block.at(shape)),
            (Self::MbConv(block), UnitLayers::MbConv(shape)) => Block::MbConv(block.at(shape)),
            (Self::Bottleneck(block), UnitLayers::Bottleneck(shape)) => Block::Bottleneck(block.at(shape)),
            (Self::Conv(_) | Self::MbConv(_) | Self::Bottleneck(_), _) => {
                panic!("{layers:?} is not a shape of {self:?}")
            }
        }
    }

    /// Sets the scale of the last batch norm to 0 if the block's largest form, `layers`, adds its input.
    pub(crate) fn zeroed_last_gamma(mut self, layers: &UnitLayers) -> Self {
        let last = match (&mut self, layers) {
            (Self::Conv(block), UnitLayers::Conv(shape)) if shape.residual => &mut block.conv,
            (Self::MbConv(block), UnitLayers::MbConv(shape)) if shape.residual => &mut block.project,
            (Self::Bottleneck(block), _) => &mut block.expand,
            (Self::Conv(_) | Self::MbConv(_), _) => return self,
        };
        let gamma = last.norm.gamma.val();
        last.norm.gamma = Param::from_tensor(Tensor::zeros(gamma.dims(), &gamma.device()));
        self
    }
}
