//! Batch norm over leading channels, with explicit statistics.

use super::{leading, reordered};
use crate::kernels::{BatchNormTrain, batch_norm_train, scale_and_shift};
use crate::{Activation, init::Initializer};
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

/// Batch norm of `[batch, channels, height, width]`, followed by an activation.
///
/// The running statistics belong to *one* network. A subnet's are measured by calibration, never averaged over subnets
/// during training (paper, appendix B). Training uses the batch's own statistics.
#[derive(Module, Debug)]
pub struct Norm {
    /// Scale, `[channels]`.
    pub gamma: Param<Tensor<1>>,
    /// Shift, `[channels]`.
    pub beta: Param<Tensor<1>>,
    /// Running mean of the input, `[channels]`; not trained.
    pub running_mean: Param<Tensor<1>>,
    /// Running variance of the input, `[channels]`; not trained.
    pub running_variance: Param<Tensor<1>>,
    epsilon: f64,
}

/// Which batch-norm statistics a forward pass uses.
#[derive(Debug)]
pub enum Statistics<'a> {
    /// Those of the batch, as in training.
    Batch,
    /// Those of the batch; each layer also appends its own to the list, in forward-pass order.
    Record(&'a mut Vec<Moments>),
    /// The layer's running statistics, as in inference.
    Running,
}

/// Mean and biased variance of one layer's input, each `[channels]`.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Mean, `[channels]`.
    pub mean: Tensor<1>,
    /// Biased variance, `[channels]`.
    pub variance: Tensor<1>,
}

impl Norm {
    /// Scale 1, shift 0, running mean 0, running variance 1.
    pub(crate) fn init(channels: usize, epsilon: f64, init: &Initializer) -> Self {
        Self {
            gamma: init.constant([channels], 1.0),
            beta: init.constant([channels], 0.0),
            running_mean: init.constant([channels], 0.0).set_require_grad(false),
            running_variance: init.constant([channels], 1.0).set_require_grad(false),
            epsilon,
        }
    }

    /// Normalises `[batch, channels, height, width]` by its own statistics, then scales, shifts and activates.
    pub fn normalise(&self, input: Tensor<4>, activation: Activation) -> BatchNormTrain {
        batch_norm_train(input, self.gamma.val(), self.beta.val(), self.epsilon, activation)
    }

    /// Constant added to every variance.
    pub(super) fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// Replaces the running statistics; `moments` are `[channels]` each.
    pub fn set_running(&mut self, moments: Moments) {
        let replace = |parameter: &mut Param<Tensor<1>>, value: Tensor<1>| {
            *parameter = Param::initialized(parameter.id, value.detach().set_require_grad(false));
        };
        replace(&mut self.running_mean, moments.mean);
        replace(&mut self.running_variance, moments.variance);
    }

    /// The running statistics of the first `channels` channels.
    pub(crate) fn leading_statistics(&self, channels: usize) -> Moments {
        let leading = 0..channels;
        let first = |parameter: &Param<Tensor<1>>| parameter.val().slice([leading.clone()]);
        Moments { mean: first(&self.running_mean), variance: first(&self.running_variance) }
    }

    /// Scale and shift that inference applies, `[channels]` each.
    pub(crate) fn scale_and_shift(&self) -> (Tensor<1>, Tensor<1>) {
        let (mean, variance) = (self.running_mean.val(), self.running_variance.val());
        scale_and_shift(self.gamma.val(), self.beta.val(), mean, variance, self.epsilon)
    }

    /// The norm over the first `channels` channels.
    pub(super) fn leading(&self, channels: usize) -> Self {
        Self {
            gamma: leading(&self.gamma, &[channels]),
            beta: leading(&self.beta, &[channels]),
            running_mean: leading(&self.running_mean, &[channels]),
            running_variance: leading(&self.running_variance, &[channels]),
            epsilon: self.epsilon,
        }
    }

    /// Reorders the channels.
    pub(super) fn reordered(self, order: &Tensor<1, Int>) -> Self {
        Self {
            gamma: reordered(self.gamma, 0, order),
            beta: reordered(self.beta, 0, order),
            running_mean: reordered(self.running_mean, 0, order),
            running_variance: reordered(self.running_variance, 0, order),
            epsilon: self.epsilon,
        }
    }
}
