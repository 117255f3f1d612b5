//! The layers after the last block.

use super::{ConvNorm, Statistics, leading};
use crate::kernels::{global_average_pool, linear, matmul};
use crate::{Activation, HeadShape, init::Initializer};
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Head of a network: optional 1x1 expansion, global average pooling, optional feature mixing, classifier.
///
/// Source: MobileNetV3 (arXiv:1905.02244, section 5.1) pools before its last wide layer. ResNets have neither of the
/// two 1x1 layers.
#[derive(Module, Debug)]
pub struct Head {
    /// 1x1 expansion before pooling.
    pub expand: Option<ConvNorm>,
    /// Feature mixing without bias or norm, `[mixed, pooled]`.
    pub mix_weight: Option<Param<Tensor<2>>>,
    /// `[classes, features]`.
    pub classifier_weight: Param<Tensor<2>>,
    /// `[classes]`.
    pub classifier_bias: Param<Tensor<1>>,
    #[module(skip)]
    activation: Activation,
}

impl Head {
    /// Builds a head of the given shape.
    pub(crate) fn init(shape: &HeadShape, epsilon: f64, init: &mut Initializer) -> Self {
        let HeadShape { in_channels, classes, activation, .. } = *shape;
        let expand = shape.expand_channels;
        Self {
            expand: expand.map(|channels| ConvNorm::pointwise(in_channels, channels, activation, epsilon, init)),
            mix_weight: shape.mix_channels.map(|mixed| init.he_fan_out([mixed, shape.pooled_channels()], mixed)),
            classifier_weight: init.uniform_fan_in([classes, shape.feature_channels()], shape.feature_channels()),
            classifier_bias: init.constant([classes], 0.0),
            activation,
        }
    }

    /// Maps `[batch, in, height, width]` to logits `[batch, classes]`.
    pub fn forward(&self, input: Tensor<4>, statistics: &mut Statistics) -> Tensor<2> {
        self.classify(self.features(input, statistics))
    }

    /// Maps `[batch, in, height, width]` to the classifier's input features `[batch, features]`.
    pub fn features(&self, input: Tensor<4>, statistics: &mut Statistics) -> Tensor<2> {
        let expanded = match &self.expand {
            Some(expand) => expand.forward(input, statistics),
            None => input,
        };
        let mut features = global_average_pool(expanded);
        if let Some(weight) = &self.mix_weight {
            features = self.activation.apply(matmul(features, weight.val().transpose()));
        }
        features
    }

    /// Maps features `[batch, features]` to logits `[batch, classes]`.
    pub fn classify(&self, features: Tensor<2>) -> Tensor<2> {
        linear(features, self.classifier_weight.val(), self.classifier_bias.val())
    }

    /// This head with a new classifier for `classes` classes.
    pub(crate) fn with_new_classifier(self, classes: usize, init: &mut Initializer) -> Self {
        let [_, features] = self.classifier_weight.dims();
        Self {
            classifier_weight: init.uniform_fan_in([classes, features], features),
            classifier_bias: init.constant([classes], 0.0),
            ..self
        }
    }

    /// This head for some of its classes, in the given order.
    pub(crate) fn with_classes(self, classes: &[usize]) -> Self {
        let indices = |device: &Device| {
            let classes: Vec<i64> = classes.iter().map(|&class| class as i64).collect();
            Tensor::<1, Int>::from_data(TensorData::from(&classes[..]), device)
        };
        Self {
            classifier_weight: self.classifier_weight.map(|rows| rows.clone().select(0, indices(&rows.device()))),
            classifier_bias: self.classifier_bias.map(|bias| bias.clone().select(0, indices(&bias.device()))),
            ..self
        }
    }

    /// Activation after the expansion and the mixing.
    pub(crate) fn activation(&self) -> Activation {
        self.activation
    }

    /// The head for the given shape: its first layer is sliced to the leading input channels.
    pub(crate) fn at(&self, shape: &HeadShape) -> Self {
        let mut head = self.clone();
        if let Some(expand) = &mut head.expand {
            let [channels, ..] = expand.weight.dims();
            *expand = expand.leading(channels, shape.in_channels);
        } else {
            let first = head.mix_weight.as_mut().unwrap_or(&mut head.classifier_weight);
            let [outputs, _] = first.dims();
            *first = leading(first, &[outputs, shape.in_channels]);
        }
        head
    }
}
