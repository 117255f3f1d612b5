//! [`SearchTask`]: what a search works on.

use crate::{StepNumbers, TrainError};
use ofa_model::{ChoiceCosts, Mixture};
use std::collections::BTreeMap;

/// The weights, images and costs that a search works on. [`CandidateTask`](super::CandidateTask) is the real one; a
/// table that decides accuracies can be another.
pub trait SearchTask {
    /// Cost of each choice, in the unit of the target.
    fn costs(&self) -> &ChoiceCosts;

    /// Batches of training images per epoch.
    fn batches(&self) -> u64;

    /// Batches of held-out images per epoch.
    fn held_out_batches(&self) -> u64;

    /// Images per step.
    fn batch_size(&self) -> usize;

    /// Forgets all weights and begins with new ones; `round` counts the beginnings of a search, from 0. `weight_decay`
    /// is that of the search's weights.
    fn restart(&mut self, round: u64, weight_decay: f32);

    /// Trains the weights that run in `mixture` on training batch `batch`, counted over all epochs of a round.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    fn learn(&mut self, mixture: &Mixture, batch: u64, learning_rate: f64) -> Result<StepNumbers, TrainError>;

    /// Cross-entropy of `mixture` on held-out batch `batch`, counted over all epochs of a round.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    fn judge(&mut self, mixture: &Mixture, batch: u64) -> Result<Judged, TrainError>;

    /// Held-out accuracy, between 0 and 1, of the network with these choices and the weights learned so far.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    fn accuracy(&mut self, choices: &[usize]) -> Result<f64, TrainError>;

    /// Held-out accuracy of the network with these choices after `epochs` of training alone, from weights drawn by
    /// `sample`; 0 if the training diverges.
    ///
    /// # Errors
    ///
    /// If an image cannot be read.
    fn accuracy_alone(&mut self, choices: &[usize], rates: &super::WeightRates, sample: u64)
    -> Result<f64, TrainError>;

    /// Whether all weights are finite. Others are not saved.
    fn is_finite(&self) -> bool {
        true
    }

    /// Multiply-accumulate operations of all passes over images so far, also in earlier processes.
    fn macs(&self) -> f64;

    /// The files of a checkpoint that hold weights and counts; `restore` takes them back.
    ///
    /// # Errors
    ///
    /// If they cannot be serialised.
    fn files(&self) -> Result<BTreeMap<&'static str, Vec<u8>>, TrainError>;

    /// Goes back to a checkpoint.
    ///
    /// # Errors
    ///
    /// If a file is missing or damaged.
    fn restore(&mut self, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), TrainError>;
}

/// What held-out images say about a mixture.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Cross-entropy.
    pub loss: f64,
    /// Its derivative by the weight of each choice of each gate; empty where a single choice runs.
    pub gradients: Vec<Vec<f64>>,
}
