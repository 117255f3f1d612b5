//! [`StepNumbers`]: losses and counts of a step, and the same before they are read.

use burn::tensor::{Int, Tensor, TensorData, Transaction};
use ofa_data::transfer::read_back;

/// Losses and counts of a step, summed over its subnets; divide by `subnets` for the mean per subnet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepNumbers {
    /// Number of trained subnets.
    pub subnets: usize,
    /// Number of images in the batch.
    pub images: usize,
    /// Sum of the mean cross-entropies against the smoothed labels, unweighted; 0 with a loss of your own.
    pub label_loss: f64,
    /// Sum of the mean cross-entropies against the teacher (times the squared temperature), unweighted; 0 without a
    /// teacher or with a loss of your own.
    pub teacher_loss: f64,
    /// Sum of the minimised losses.
    pub loss: f64,
    /// Correctly classified images, summed over subnets.
    pub correct: usize,
}

/// The [`StepNumbers`] of a step that a device may still be computing.
///
/// Made [from](From) numbers that are known, or by [`step_gradients`](crate::step_gradients).
#[derive(Clone, Debug, Default)]
pub struct UnreadNumbers {
    known: StepNumbers,
    passes: Vec<PassNumbers>,
}

/// Numbers of one pass, `[1]` each, on the plain device.
#[derive(Clone, Debug)]
pub(super) struct PassNumbers {
    /// Share of the batch that went through this pass.
    pub(super) share: f64,
    /// Mean cross-entropy against the labels, and against the teacher if there is one. Neither with a loss of one's own.
    pub(super) parts: Option<(Tensor<1>, Option<Tensor<1>>)>,
    /// The minimised loss times the share.
    pub(super) loss: Tensor<1>,
    /// Number of correctly classified images.
    pub(super) correct: Tensor<1, Int>,
}

impl From<StepNumbers> for UnreadNumbers {
    fn from(known: StepNumbers) -> Self {
        Self { known, passes: Vec::new() }
    }
}

impl UnreadNumbers {
    pub(super) fn add(&mut self, pass: PassNumbers) {
        self.passes.push(pass);
    }

    /// Waits until the device is done with everything that was asked of it so far, and reads the numbers. The only
    /// readback of a step.
    pub fn read(&self) -> StepNumbers {
        if self.passes.is_empty() {
            return self.known;
        }
        let read = read_back(self.register(Transaction::default()));
        self.of(&mut read.into_iter())
    }

    /// Number of images in the batch, which is known without reading.
    pub(crate) fn images(&self) -> usize {
        self.known.images
    }

    /// Adds the tensors to those that are to be read.
    pub(crate) fn register(&self, mut tensors: Transaction) -> Transaction {
        for PassNumbers { parts, loss, correct, .. } in &self.passes {
            tensors = tensors.register(loss.clone()).register(correct.clone());
            if let Some((label, teacher)) = parts {
                tensors = tensors.register(label.clone());
                tensors = teacher.iter().fold(tensors, |tensors, teacher| tensors.register(teacher.clone()));
            }
        }
        tensors
    }

    /// The numbers, given what was read of the tensors that [`register`](Self::register) added.
    pub(crate) fn of(&self, read: &mut impl Iterator<Item = TensorData>) -> StepNumbers {
        let mut next = || read.next().and_then(|data| data.iter::<f64>().next()).expect("every number was read");
        let mut numbers = self.known;
        for PassNumbers { share, parts, .. } in &self.passes {
            numbers.loss += next();
            numbers.correct += next() as usize;
            if let Some((_, teacher)) = parts {
                numbers.label_loss += share * next();
                numbers.teacher_loss += teacher.as_ref().map_or(0.0, |_| share * next());
            }
        }
        numbers
    }
}
