//! Softmax and cross-entropy on the CPU. Rows are short, so each is summed in order and in `f64`.
//!
//! Exponentials and logarithms come from a crate: another system's math library may round them differently.

use super::{CrossEntropyBackend, general};
use crate::kernels::plain::{all_f32, numbers, parallel_chunks, sizes, tensor};
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::ActivationOps;
use rayon::prelude::*;

impl CrossEntropyBackend for Flex {
    fn probabilities(logits: FlexTensor) -> FlexTensor {
        if !all_f32(&[&logits]) {
            return Flex::softmax(logits, 1);
        }
        let [batch, classes] = sizes(&logits);
        let logits = logits.to_contiguous();
        let probabilities = parallel_chunks(batch, classes, Vec::new, |scratch, row, out| {
            let row = Row::of(&numbers(&logits)[row * classes..][..classes], scratch);
            out.iter_mut().zip(row.probabilities()).for_each(|(out, probability)| *out = probability as f32);
        });
        tensor(probabilities, [batch, classes])
    }

    fn mean_cross_entropy(logits: FlexTensor, targets: FlexTensor) -> FlexTensor {
        if !all_f32(&[&logits, &targets]) {
            return general::mean::<Flex>(logits, targets);
        }
        let [batch, classes] = sizes(&logits);
        let (logits, targets) = (logits.to_contiguous(), targets.to_contiguous());
        let rows = numbers(&logits).par_chunks(classes).zip(numbers(&targets).par_chunks(classes));
        let of = |scratch: &mut Vec<f64>, (logits, targets)| Row::of(logits, scratch).cross_entropy(logits, targets);
        let losses: Vec<f64> = rows.map_init(Vec::new, of).collect();
        tensor(vec![(losses.iter().sum::<f64>() / batch as f64) as f32], [1])
    }

    fn cross_entropy_gradient(logits: FlexTensor, targets: FlexTensor, mean_gradient: FlexTensor) -> FlexTensor {
        if !all_f32(&[&logits, &targets, &mean_gradient]) {
            return general::gradient::<Flex>(logits, targets, mean_gradient);
        }
        let [batch, classes] = sizes(&logits);
        let [logits, targets, mean_gradient] = [logits, targets, mean_gradient].map(|tensor| tensor.to_contiguous());
        let share = f64::from(numbers(&mean_gradient)[0]) / batch as f64;
        let gradient = parallel_chunks(batch, classes, Vec::new, |scratch, row, out| {
            let targets = &numbers(&targets)[row * classes..][..classes];
            let row = Row::of(&numbers(&logits)[row * classes..][..classes], scratch);
            let whole: f64 = targets.iter().copied().map(f64::from).sum();
            for (out, (probability, target)) in out.iter_mut().zip(row.probabilities().zip(targets)) {
                *out = ((probability * whole - f64::from(*target)) * share) as f32;
            }
        });
        tensor(gradient, [batch, classes])
    }
}

/// Softmax terms of one image's logits.
struct Row<'a> {
    greatest: f64,
    /// Exponentials of the logits minus the greatest one.
    exponentials: &'a [f64],
    sum: f64,
}

impl<'a> Row<'a> {
    fn of(logits: &[f32], exponentials: &'a mut Vec<f64>) -> Self {
        let greatest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        exponentials.clear();
        exponentials.extend(logits.iter().map(|logit| libm::exp(f64::from(*logit) - greatest)));
        let sum = exponentials.iter().sum();
        Self { greatest, exponentials, sum }
    }

    fn probabilities(&self) -> impl Iterator<Item = f64> {
        self.exponentials.iter().map(|exponential| exponential / self.sum)
    }

    fn cross_entropy(&self, logits: &[f32], targets: &[f32]) -> f64 {
        let whole = self.greatest + libm::log(self.sum);
        let pairs = logits.iter().zip(targets);
        pairs.map(|(logit, target)| f64::from(*target) * (whole - f64::from(*logit))).sum()
    }
}
