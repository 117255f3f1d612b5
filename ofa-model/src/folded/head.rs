//! The layers after the last block, as convolutions with bias and matrix products.

use super::FoldedConv;
use super::activation::plain;
use super::conv::computed;
use crate::Activation;
use crate::elastic::Head;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::{adaptive_avg_pool2d, linear};

/// Optional 1x1 expansion, global average pooling, optional feature mixing, classifier.
#[derive(Module, Debug)]
pub(super) struct FoldedHead {
    pub(super) expand: Option<FoldedConv>,
    /// `[pooled, mixed]`.
    pub(super) mix: Option<Param<Tensor<2>>>,
    /// `[features, classes]`.
    pub(super) classifier: Param<Tensor<2>>,
    /// `[classes]`.
    pub(super) bias: Param<Tensor<1>>,
    #[module(skip)]
    pub(super) activation: Activation,
}

impl FoldedHead {
    pub(super) fn new(head: &Head) -> Self {
        Self {
            expand: head.expand.as_ref().map(FoldedConv::new),
            mix: head.mix_weight.as_ref().map(|weight| computed(weight.val().transpose())),
            classifier: computed(head.classifier_weight.val().transpose()),
            bias: computed(head.classifier_bias.val()),
            activation: head.activation(),
        }
    }

    /// Maps `[batch, in, height, width]` to logits `[batch, classes]`.
    pub(super) fn forward(&self, input: Tensor<4>) -> Tensor<2> {
        let expanded = match &self.expand {
            Some(expand) => expand.forward(input),
            None => input,
        };
        let [batch, channels, ..] = expanded.dims();
        let mut features = adaptive_avg_pool2d(expanded, [1, 1]).reshape([batch, channels]);
        if let Some(weight) = &self.mix {
            features = plain(self.activation, linear(features, weight.val(), None));
        }
        linear(features, self.classifier.val(), Some(self.bias.val()))
    }
}
