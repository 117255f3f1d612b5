//! [`Loss`]: what a subnet minimises.

use crate::SoftTargets;
use burn::tensor::{Int, Tensor};

/// A loss of your own, for [`TrainRun::loss`](crate::TrainRun).
///
/// Every closure `Fn(Tensor<2>, &Targets) -> Tensor<1>` that threads can share implements it.
pub trait Loss: Sync {
    /// Loss of one subnet on some images, on average over them; its gradient is what the subnet learns from.
    ///
    /// # Shapes
    ///
    /// - logits: `[batch, classes]`
    /// - output: `[1]`
    fn loss(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1>;
}

impl<F: Fn(Tensor<2>, &Targets) -> Tensor<1> + Sync> Loss for F {
    fn loss(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        self(logits, targets)
    }
}

/// What the subnets of a step learn from, on the device of their logits.
#[derive(Clone, Debug)]
pub struct Targets {
    /// Class indices, `[batch]`.
    pub labels: Tensor<1, Int>,
    /// Probabilities of the classes, `[batch, classes]`: the labels, smoothed and blended as the recipe and the
    /// augmentation say.
    pub probabilities: Tensor<2>,
    /// Logits of the teacher, `[batch, classes]`, and how the phase weighs them; `None` without a teacher.
    pub teacher: Option<(Tensor<2>, SoftTargets)>,
}
