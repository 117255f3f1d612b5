//! Statistics of a training run so far.

use crate::step::StepNumbers;
use ofa_model::Arch;
use serde::{Deserialize, Serialize};

/// All statistics so far. Part of every checkpoint, so a resumed run reports the same as an uninterrupted one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) epochs: Vec<EpochRecord>,
    pub(crate) watched: Vec<WatchedRecord>,
    /// Highest mean accuracy of the watched archs so far.
    pub(crate) best: Option<f64>,
    /// Totals of the current epoch.
    pub(crate) totals: EpochTotals,
}

/// Statistics of one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRecord {
    /// Name of the phase.
    #[serde(rename = "stage")]
    pub phase: String,
    /// Epoch within the phase, from 1.
    pub epoch: usize,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Mean of the minimised loss over steps and subnets.
    pub loss: f64,
    /// Mean cross-entropy against the smoothed labels.
    pub label_loss: f64,
    /// Mean cross-entropy against the teacher, unweighted; 0 without a teacher.
    pub teacher_loss: f64,
    /// Top-1 accuracy of the sampled subnets on the augmented training images, between 0 and 1.
    pub train_top1: f64,
    /// Training images seen, each counted once regardless of the number of subnets.
    pub images: usize,
    /// Mean MACs of the sampled subnets, at the resolution of each batch.
    pub mean_macs: f64,
    /// Minimum MACs over the sampled subnets.
    pub least_macs: u64,
    /// Maximum MACs over the sampled subnets.
    pub most_macs: u64,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// Accuracy of a watched arch after an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedRecord {
    /// Name of the phase.
    #[serde(rename = "stage")]
    pub phase: String,
    /// Epoch within the phase, from 1.
    pub epoch: usize,
    /// The watched arch.
    pub arch: Arch,
    /// Top-1 accuracy on validation images after calibration, between 0 and 1.
    pub top1: f64,
}

/// Running sums over the steps of an epoch.
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

    pub(crate) fn record(&self, phase: &str, epoch: usize) -> EpochRecord {
        let subnets = self.subnets.max(1) as f64;
        EpochRecord {
            phase: phase.to_owned(),
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

/// Count, sum and extremes of a series.
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
