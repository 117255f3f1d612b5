//! [`SearchMethod`]: what a search decides.

use super::SearchTask;
use crate::{StepNumbers, TrainError};
use ofa_model::{ChoiceCosts, ChoiceGroups};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A search for one network that keeps a target, step by step. Its settings are plain data; whatever it learns besides
/// weights is its `State`, which checkpoints hold.
pub trait SearchMethod: Serialize {
    /// What it learns besides weights.
    type State: Serialize + DeserializeOwned;

    /// Name in messages and files.
    fn name(&self) -> &'static str;

    /// The first impossible setting, if any.
    fn problem(&self) -> Option<String>;

    /// The state before the first step; `seed` seeds what is random.
    fn begin(&self, groups: &ChoiceGroups, seed: u64) -> Self::State;

    /// Number of steps.
    fn steps(&self, task: &dyn SearchTask) -> u64;

    /// Steps between checkpoints, whatever the directory says; `None` if steps are short.
    fn checkpoint_every(&self) -> Option<u64> {
        None
    }

    /// Does step `step` (from 0) and returns its numbers and its learning rate. Everything random must be a function of
    /// `seed` and `step`.
    ///
    /// # Errors
    ///
    /// Those of the task.
    fn step(
        &self,
        state: &mut Self::State,
        task: &mut dyn SearchTask,
        target: &SearchTarget,
        seed: u64,
        step: u64,
    ) -> Result<(StepNumbers, f64), TrainError>;

    /// The choices of the network found, once all steps are done.
    ///
    /// # Errors
    ///
    /// Those of the task.
    fn answer(
        &self,
        state: &Self::State,
        task: &mut dyn SearchTask,
        target: &SearchTarget,
    ) -> Result<Vec<usize>, TrainError>;

    /// The history so far, for people.
    fn records<'a>(&self, state: &'a Self::State) -> &'a [SearchRecord];
}

/// The most that the network may cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchTarget {
    /// Greatest cost.
    pub limit: f64,
    /// Its unit, `ms` for example; for messages.
    pub unit: String,
}

impl SearchTarget {
    /// Checks that the limit separates the networks of a space.
    ///
    /// # Errors
    ///
    /// [`TrainError::InvalidSearch`] if even the cheapest network costs more, or even the most expensive one no more
    /// than the limit: the error names the network and its cost.
    pub fn check(&self, method: &'static str, costs: &ChoiceCosts) -> Result<(), TrainError> {
        let Self { limit, unit } = self;
        let refuse = |problem: String| Err(TrainError::InvalidSearch { method, problem });
        let [cheapest, largest] = costs.extremes();
        let [least, most] = costs.range();
        let arch = |choices: &[usize]| costs.groups().arch(choices);
        if !limit.is_finite() {
            return refuse(format!("the target is {limit} {unit}, which is no number"));
        }
        if *limit < least {
            let arch = arch(&cheapest);
            return refuse(format!(
                "the target of {limit:.4} {unit} is below the cheapest network, {arch}, which takes {least:.4} {unit}"
            ));
        }
        if *limit >= most {
            let arch = arch(&largest);
            return refuse(format!(
                "the target of {limit:.4} {unit} excludes nothing: the largest network, {arch}, takes {most:.4} {unit}"
            ));
        }
        Ok(())
    }
}

/// One line of the history of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRecord {
    /// Steps done, over all rounds.
    pub step: u64,
    /// MACs so far.
    pub macs: f64,
    /// Mean loss on training images since the last line, or the reward of the sample.
    pub score: f64,
    /// Expected cost of the networks drawn now, or the cost of the sample, in the unit of the target.
    pub cost: f64,
    /// Probability of the most probable choice, on average over groups; for samples, the best reward so far.
    pub confidence: f64,
}

impl SearchRecord {
    /// The line of an epoch with this mean loss and these probabilities of choices.
    pub(super) fn of_epoch(step: u64, loss: f64, probabilities: &[Vec<f64>], task: &dyn SearchTask) -> Self {
        let groups: Vec<&Vec<f64>> = probabilities.iter().filter(|group| group.len() > 1).collect();
        let greatest = |group: &&Vec<f64>| group.iter().copied().fold(0.0, f64::max);
        let confidence = groups.iter().map(greatest).sum::<f64>() / groups.len() as f64;
        Self { step, macs: task.macs(), score: loss, cost: task.costs().expected(probabilities), confidence }
    }
}
