//! The layers after the last block.

use super::{ConvNorm, Statistics};
use crate::kernels::global_average_pool;
use crate::{Activation, HeadShape, init::Initializer};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// 1x1 expansion, global average pooling, optional feature mixing, classifier.
#[derive(Module, Debug)]
pub struct Head {
    /// 1x1 expansion.
    pub expand: ConvNorm,
    /// Feature mixing without bias or norm, `[mixed, expanded]`.
    pub mix_weight: Option<Param<Tensor<2>>>,
    /// `[classes, features]`.
    pub classifier_weight: Param<Tensor<2>>,
    /// `[classes]`.
    pub classifier_bias: Param<Tensor<1>>,
    #[module(skip)]
    activation: Activation,
}

impl Head {
    /// A head of the given shape.
    pub(crate) fn init(shape: &HeadShape, epsilon: f64, init: &mut Initializer) -> Self {
        let HeadShape { in_channels, expand_channels, classes, activation, .. } = *shape;
        Self {
            expand: ConvNorm::pointwise(in_channels, expand_channels, activation, epsilon, init),
            mix_weight: shape.mix_channels.map(|mixed| init.he_fan_out([mixed, expand_channels], mixed)),
            classifier_weight: init.uniform_fan_in([classes, shape.feature_channels()], shape.feature_channels()),
            classifier_bias: init.constant([classes], 0.0),
            activation,
        }
    }

    /// `[batch, in, height, width]` to logits `[batch, classes]`.
    pub fn forward(&self, input: Tensor<4>, statistics: &mut Statistics) -> Tensor<2> {
        let mut features = global_average_pool(self.expand.forward(input, statistics));
        if let Some(weight) = &self.mix_weight {
            features = self.activation.apply(features.matmul(weight.val().transpose()));
        }
        features.matmul(self.classifier_weight.val().transpose()) + self.classifier_bias.val().unsqueeze()
    }
}
