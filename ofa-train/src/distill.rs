//! The loss of one subnet: labels, and a teacher's opinion of them.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Int, Tensor};

/// The two parts of a loss, each a mean over the batch, `[1]`.
pub(crate) struct Losses {
    /// Cross-entropy against the smoothed labels.
    pub(crate) labels: Tensor<1>,
    /// Cross-entropy against the teacher's probabilities.
    pub(crate) teacher: Option<Tensor<1>>,
}

/// Labels as probabilities `[batch, classes]`: `1 - smoothing` more on the label, `smoothing` spread over all classes.
pub(crate) fn smoothed(labels: Tensor<1, Int>, classes: usize, smoothing: f64) -> Tensor<2> {
    labels.one_hot::<2>(classes).float() * (1.0 - smoothing) + smoothing / classes as f64
}

/// The teacher's probabilities for its logits `[batch, classes]`.
pub(crate) fn soft_targets(teacher_logits: Tensor<2>) -> Tensor<2> {
    softmax(teacher_logits, 1)
}

/// Losses of logits `[batch, classes]` against target probabilities of the same shape.
pub(crate) fn losses(logits: Tensor<2>, labels: Tensor<2>, teacher: Option<Tensor<2>>) -> Losses {
    let log_probabilities = log_softmax(logits, 1);
    let cross_entropy = |targets: Tensor<2>| (log_probabilities.clone() * targets).sum_dim(1).mean().neg();
    Losses { labels: cross_entropy(labels), teacher: teacher.map(cross_entropy) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn values_by_hand() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_floats([[0.0, 3f32.ln()], [0.0, 0.0]], &device);
        let labels = Tensor::<1, Int>::from_ints([1, 0], &device);
        let targets = smoothed(labels, 2, 0.1);
        targets.to_data().assert_approx_eq::<f32>(
            &Tensor::<2>::from_floats([[0.05, 0.95], [0.95, 0.05]], &device).into_data(),
            Tolerance::absolute(1e-6),
        );
        let teacher = soft_targets(Tensor::from_floats([[0.0, 0.0], [0.0, 0.0]], &device));
        let found = losses(logits, targets, Some(teacher));
        let (p0, p1) = (0.25f32.ln(), 0.75f32.ln());
        let half = 0.5f32.ln();
        let label_loss = -0.5 * ((0.05 * p0 + 0.95 * p1) + half);
        let teacher_loss = -0.5 * ((0.5 * p0 + 0.5 * p1) + half);
        assert!((found.labels.into_scalar::<f32>() - label_loss).abs() < 1e-6);
        assert!((found.teacher.unwrap().into_scalar::<f32>() - teacher_loss).abs() < 1e-6);
    }
}
