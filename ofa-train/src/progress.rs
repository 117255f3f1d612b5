//! What a training has done so far, in numbers.

use crate::step::StepNumbers;
use ofa_model::Arch;
use serde::{Deserialize, Serialize};

/// Everything measured so far; part of every checkpoint, so that a resumed run reports as an unbroken one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) epochs: Vec<EpochRecord>,
    pub(crate) watched: Vec<WatchedRecord>,
    /// Greatest mean accuracy of the watched archs so far.
    pub(crate) best: Option<f64>,
    /// Of the epoch in progress.
    pub(crate) totals: EpochTotals,
}

/// Means over one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRecord {
    /// Name of the stage.
    pub stage: String,
    /// Epoch of the stage, from 1.
    pub epoch: usize,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Mean over steps and subnets of what was minimised.
    pub loss: f64,
    /// Mean cross-entropy against the smoothed labels.
    pub label_loss: f64,
    /// Mean cross-entropy against the teacher, unweighted; 0 without one.
    pub teacher_loss: f64,
    /// Share of augmented training images that the sampled subnets classified correctly.
    pub train_top1: f64,
    /// Training images seen (once each, however many subnets saw them).
    pub images: usize,
    /// Mean MACs of the sampled subnets at the resolutions of their batches.
    pub mean_macs: f64,
    /// Fewest MACs of a sampled subnet.
    pub least_macs: u64,
    /// Most MACs of a sampled subnet.
    pub most_macs: u64,
    /// Wall time.
    pub seconds: f64,
}

/// Accuracy of a watched arch after an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedRecord {
    /// Name of the stage.
    pub stage: String,
    /// Epoch of the stage, from 1.
    pub epoch: usize,
    /// The arch.
    pub arch: Arch,
    /// Top-1 accuracy, between 0 and 1, calibrated, on validation images.
    pub top1: f64,
}

/// Sums over the steps of an epoch so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpochTotals {
    subnets: usize,
    images: usize,
    judged: usize,
    correct: usize,
    loss: f64,
    label_loss: f64,
    teacher_loss: f64,
    macs: Spread,
    learning_rate: f64,
    pub(crate) seconds: f64,
}

impl EpochTotals {
    pub(crate) fn add(&mut self, step: &StepNumbers, macs: impl IntoIterator<Item = u64>, learning_rate: f64) {
        macs.into_iter().for_each(|macs| self.macs.add(macs));
        self.subnets += step.subnets;
        self.images += step.images;
        self.judged += step.images * step.subnets;
        self.correct += step.correct;
        self.loss += step.loss;
        self.label_loss += step.label_loss;
        self.teacher_loss += step.teacher_loss;
        self.learning_rate = learning_rate;
    }

    pub(crate) fn record(&self, stage: &str, epoch: usize) -> EpochRecord {
        let subnets = self.subnets.max(1) as f64;
        EpochRecord {
            stage: stage.to_owned(),
            epoch,
            learning_rate: self.learning_rate,
            loss: self.loss / subnets,
            label_loss: self.label_loss / subnets,
            teacher_loss: self.teacher_loss / subnets,
            train_top1: self.correct as f64 / self.judged.max(1) as f64,
            images: self.images,
            mean_macs: self.macs.sum / self.macs.count.max(1) as f64,
            least_macs: self.macs.least,
            most_macs: self.macs.most,
            seconds: self.seconds,
        }
    }
}

/// Sum and extremes of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spread {
    count: usize,
    sum: f64,
    least: u64,
    most: u64,
}

impl Spread {
    fn add(&mut self, value: u64) {
        self.least = if self.count == 0 { value } else { self.least.min(value) };
        self.most = self.most.max(value);
        self.sum += value as f64;
        self.count += 1;
    }
}
