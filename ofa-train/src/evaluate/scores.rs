//! [`Scores`]: accuracy, loss and confusion matrix of a classifier on a set of images.

use burn::tensor::{Int, Tensor, Transaction};
use ofa_data::transfer::read_back;

/// Highest rank of the label that counts as correct in [`Scores::top5`].
const TOP: usize = 5;

/// Counts over a set of images, from which accuracies and the mean loss are computed.
///
/// Batches are added one at a time. Memory is `classes * classes` counts, regardless of the number of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    classes: usize,
    images: u64,
    in_top5: u64,
    /// Sum of the cross-entropies, in nats.
    loss: f64,
    /// Images with label `l` that were classified as `p`, at `l * classes + p`.
    confusion: Vec<u64>,
}

impl Scores {
    /// Scores of no images.
    pub fn new(classes: usize) -> Self {
        Self { classes, images: 0, in_top5: 0, loss: 0.0, confusion: vec![0; classes * classes] }
    }

    /// Adds a batch.
    ///
    /// Ties in the logits go to the lower class index. A NaN logit makes the loss NaN.
    ///
    /// # Shapes
    ///
    /// - logits: `[batch, classes]`
    /// - labels: `[batch]`
    ///
    /// # Panics
    ///
    /// If the logits have another number of classes, or a label is out of range.
    pub fn add(&mut self, logits: Tensor<2>, labels: Tensor<1, Int>) {
        let [batch, classes] = logits.dims();
        assert_eq!(
            (classes, labels.dims()),
            (self.classes, [batch]),
            "logits must have the expected classes and one label per row"
        );
        let read = read_back(Transaction::default().register(logits.inner()).register(labels.inner()));
        let [logits, labels] = [&read[0], &read[1]];
        let logits: Vec<f32> = logits.iter::<f32>().collect();
        for (row, label) in logits.chunks_exact(classes).zip(labels.iter::<i64>()) {
            let label = usize::try_from(label).ok().filter(|&label| label < classes);
            self.add_image(row, label.expect("a label must be below the number of classes"));
        }
    }

    fn add_image(&mut self, row: &[f32], label: usize) {
        let own = row[label];
        let before = row.iter().enumerate().filter(|&(class, &logit)| logit > own || logit == own && class < label);
        let greatest = (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best });
        let shift = f64::from(row[greatest]);
        let exponentials: f64 = row.iter().map(|&logit| libm::exp(f64::from(logit) - shift)).sum();
        self.images += 1;
        self.in_top5 += u64::from(before.count() < TOP);
        self.loss += libm::log(exponentials) + shift - f64::from(own);
        self.confusion[label * self.classes + greatest] += 1;
    }

    /// Number of scored images; images skipped as broken are not counted.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Share of images whose label has the highest logit.
    pub fn top1(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|label| self.confusion(label)[label]).sum();
        share(right, self.images)
    }

    /// Share of images whose label is among the five highest logits; 1 if there are at most five classes.
    pub fn top5(&self) -> f64 {
        share(self.in_top5, self.images)
    }

    /// Mean cross-entropy against the labels, in nats, without label smoothing.
    pub fn loss(&self) -> f64 {
        self.loss / self.images.max(1) as f64
    }

    /// Number of images with this label, by predicted class.
    ///
    /// # Panics
    ///
    /// If `label` is out of range.
    pub fn confusion(&self, label: usize) -> &[u64] {
        assert!(label < self.classes, "label {label} is out of range for {} classes", self.classes);
        &self.confusion[label * self.classes..][..self.classes]
    }

    /// Share of the images with this label that are classified correctly; `None` if there are none.
    ///
    /// # Panics
    ///
    /// If `label` is out of range.
    pub fn class_top1(&self, label: usize) -> Option<f64> {
        let row = self.confusion(label);
        let images: u64 = row.iter().sum();
        (images > 0).then(|| share(row[label], images))
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn scores<const C: usize>(batches: &[(&[[f32; C]], &[i32])]) -> Scores {
        let device = Device::flex();
        let mut scores = Scores::new(C);
        for (logits, labels) in batches {
            let flat = Tensor::<1>::from_floats(logits.as_flattened(), &device);
            scores.add(flat.reshape([labels.len(), C]), Tensor::from_ints(*labels, &device));
        }
        scores
    }

    #[test]
    fn scores_of_known_logits() {
        let scores = scores(&[(&[[0.0, 2.0, 0.0], [3.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], &[1, 1, 2, 0])]);
        assert_eq!((scores.images(), scores.classes(), scores.top1(), scores.top5()), (4, 3, 0.75, 1.0));
        let e = std::f64::consts::E;
        let losses = [((2.0 + e * e) / (e * e)).ln(), ((e.powi(3) + e + 1.0) / e).ln(), ((2.0 + e) / e).ln()];
        let mean = (losses[0] + losses[1] + 2.0 * losses[2]) / 4.0;
        assert!((scores.loss() - mean).abs() < 1e-12, "{} against {mean}", scores.loss());
        assert_eq!([0, 1, 2].map(|label| scores.confusion(label).to_vec()), [[1, 0, 0], [1, 1, 0], [0, 0, 1]]);
        assert_eq!([0, 1, 2].map(|label| scores.class_top1(label)), [Some(1.0), Some(0.5), Some(1.0)]);
    }

    #[test]
    fn the_sixth_rank_is_wrong_and_equal_logits_rank_in_order() {
        let falling = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0];
        assert_eq!([4, 5].map(|label| scores(&[(&[falling], &[label])]).top5()), [1.0, 0.0]);
        let equal = [1.0; 7];
        assert_eq!([0, 4, 5].map(|label| scores(&[(&[equal], &[label])]).top5()), [1.0, 1.0, 0.0]);
        assert_eq!([0, 1].map(|label| scores(&[(&[equal], &[label])]).top1()), [1.0, 0.0]);
    }

    #[test]
    fn several_batches_are_one() {
        let rows = [[0.5, 1.0], [2.0, -1.0], [0.0, 0.25]];
        let (split, whole) = (scores(&[(&rows[..1], &[0]), (&rows[1..], &[0, 1])]), scores(&[(&rows, &[0, 0, 1])]));
        assert_eq!(split, whole);
        assert_eq!(scores::<2>(&[]).class_top1(1), None);
    }

    #[test]
    fn a_logit_that_is_no_number_makes_the_loss_none() {
        let scores = scores(&[(&[[0.0, f32::NAN]], &[0])]);
        assert!(scores.loss().is_nan());
        let overflowing = self::scores(&[(&[[1e4, 0.0]], &[1])]);
        assert!((overflowing.loss() - 1e4).abs() < 1e-6, "{}", overflowing.loss());
    }

    #[test]
    #[should_panic(expected = "a label must be below the number of classes")]
    fn labels_that_are_no_class_are_refused() {
        scores(&[(&[[0.0, 1.0]], &[2])]);
    }
}
