//! The state of a training run, and how it is saved to and restored from a checkpoint.

use crate::checkpoint::{CheckpointDir, DamagedCheckpoint, Files, Found, digest, parse};
use crate::progress::{EpochTotals, Progress, WatchedRecord};
use crate::ranks::{same_on_all, same_weights};
use crate::run::{TrainOutcome, TrainRun, TrainedStep};
use crate::teacher::Teacher;
use crate::weights::{are_finite, record_error};
use crate::{Phase, Ranks, Recipe, TrainError, average, gradients, weights};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Bytes;
use ofa_model::{Arch, ElasticNetwork, in_pool};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub(crate) const WEIGHTS: &str = "weights.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const TEACHER: &str = "teacher.bpk";
pub(crate) const AVERAGE: &str = "average.bpk";
const STATE: &str = "state.json";

/// Position in the schedule: everything before it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    #[serde(rename = "stage")]
    pub(crate) phase: usize,
    /// Completed epochs of the phase.
    pub(crate) epoch: usize,
    /// Completed steps of the epoch.
    pub(crate) step: usize,
}

/// Non-tensor part of a checkpoint. Earlier versions did not save the seed and batch counts.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    training_sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// Batches per epoch, the same on every rank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batches_per_epoch: Option<u64>,
    /// Images per step, summed over ranks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    images_per_step: Option<u64>,
    position: Position,
    progress: Progress,
}

impl Saved {
    fn new<N>(run: &TrainRun<N>, position: Position, progress: Progress) -> Self {
        Self {
            training_sha256: training_digest(run),
            seed: Some(run.seed),
            batches_per_epoch: Some(run.loader.batches_per_epoch() as u64),
            images_per_step: Some(run.loader.images_per_step() as u64),
            position,
            progress,
        }
    }

    /// Checks that `run` may resume from this checkpoint, which is at `path`.
    fn check<N>(&self, run: &TrainRun<N>, path: &Path) -> Result<(), TrainError> {
        if self.training_sha256 != training_digest(run) {
            return Err(TrainError::OtherSchedule { path: path.to_owned() });
        }
        let (batches, images) = (run.loader.batches_per_epoch() as u64, run.loader.images_per_step() as u64);
        let values = [
            ("seed", self.seed, run.seed),
            ("steps per epoch", self.batches_per_epoch, batches),
            ("images per step", self.images_per_step, images),
        ];
        let mut known = values.into_iter().filter_map(|(what, saved, given)| Some((what, saved?, given)));
        match known.find(|(_, saved, given)| saved != given) {
            Some((what, saved, given)) => Err(TrainError::OtherRun { path: path.to_owned(), what, saved, given }),
            None => Ok(()),
        }
    }
}

pub(crate) struct TrainState<N: ElasticNetwork> {
    pub(crate) supernet: N,
    pub(crate) teacher: Option<Teacher<N>>,
    /// Moving average of the weights, on the plain device, if the recipe enables it.
    average: Option<N>,
    pub(crate) position: Position,
    pub(crate) progress: Progress,
    optimizer: ModuleOptimizer,
    last_checkpoint: Option<PathBuf>,
    is_best: bool,
    resumed: Option<Vec<DamagedCheckpoint>>,
}

impl<N: ElasticNetwork> TrainState<N> {
    /// Restores the newest checkpoint, or starts from `supernet` if there is none.
    pub(crate) fn begin(supernet: N, run: &TrainRun<N>) -> Result<Self, TrainError> {
        let state = Self {
            supernet,
            teacher: run.teacher.cloned().map(Teacher::given),
            average: None,
            position: Position::default(),
            progress: Progress::default(),
            optimizer: run.fresh_optimizer(),
            last_checkpoint: None,
            is_best: false,
            resumed: None,
        };
        let state = match run.checkpoints.map(|dir| dir.newest()).transpose()?.flatten() {
            Some(found) => state.restored(found, run)?,
            None => state,
        };
        // Rank 0 must not write a checkpoint before all ranks have read this one.
        state.check_ranks(run)?;
        Ok(state)
    }

    fn restored(self, mut found: Found, run: &TrainRun<N>) -> Result<Self, TrainError> {
        let saved: Saved = parse(&found, STATE)?;
        saved.check(run, &found.path)?;
        let blank = self.supernet.valid();
        let teacher = found.network_if_any(blank.clone(), TEACHER)?;
        let average = found.network_if_any(blank, AVERAGE)?;
        let optimizer = Bytes::from_bytes_vec(found.take(OPTIMIZER)?);
        Ok(Self {
            supernet: found.network(self.supernet, WEIGHTS)?,
            teacher: teacher.map(Teacher::own).or(self.teacher),
            average,
            position: saved.position,
            progress: saved.progress,
            optimizer: self.optimizer.from_bytes(optimizer).map_err(record_error(OPTIMIZER))?,
            last_checkpoint: Some(found.path),
            is_best: false,
            resumed: Some(found.damaged),
        })
    }

    /// Newer checkpoints that were damaged; `None` if training did not resume from a checkpoint.
    pub(crate) fn take_resumed(&mut self) -> Option<Vec<DamagedCheckpoint>> {
        self.resumed.take()
    }

    /// Prepares the first step of a phase; a no-op later in the phase.
    pub(crate) fn enter(&mut self, phase: &Phase, run: &TrainRun<N>) {
        if self.position.epoch > 0 || self.position.step > 0 {
            return;
        }
        // Momentum belongs to the loss of the previous phase and to its channel order.
        self.optimizer = run.fresh_optimizer();
        if let Some(importance) = phase.sort_channels {
            let trained = run.schedule.trained_before(self.position.phase, self.supernet.space());
            self.supernet = self.supernet.clone().sort_channels(&trained, importance);
        }
        self.average = run.recipe.average_decay.map(|_| self.supernet.valid());
    }

    /// Applies one optimizer step.
    pub(crate) fn update(&mut self, gradients: GradientsParams, learning_rate: f64, recipe: &Recipe) {
        let gradients = gradients::clipped(gradients, &self.supernet, recipe.clip_norm);
        self.supernet = in_pool(|| self.optimizer.step(learning_rate, self.supernet.clone(), gradients));
        if let Some((average, decay)) = self.average.take().zip(recipe.average_decay) {
            self.average = Some(average::moved(average, &self.supernet, decay));
        }
    }

    /// Weights to evaluate: the moving average if enabled, else the current weights; on the plain device.
    pub(crate) fn measured(&self) -> N {
        self.average.clone().unwrap_or_else(|| self.supernet.valid())
    }

    /// Ends a phase: the evaluated weights become the trained ones, and the teacher if the phase says so.
    pub(crate) fn leave(&mut self, phase: &Phase) {
        let measured = self.measured();
        if self.average.take().is_some() {
            self.supernet = measured.clone().train();
        }
        if phase.becomes_teacher {
            self.teacher = Some(Teacher::own(measured));
        }
        self.position = Position { phase: self.position.phase + 1, epoch: 0, step: 0 };
        self.progress.totals = EpochTotals::default();
    }

    /// Checks that all ranks have the same position and weights.
    fn check_ranks(&self, run: &TrainRun<N>) -> Result<(), TrainError> {
        let place = serde_json::to_vec(&self.position).expect("a position is plain data");
        same_on_all(run.ranks, "checkpoints", &place)?;
        same_weights(run.ranks, &self.supernet)
    }

    /// Whether all weights are finite on all ranks.
    pub(crate) fn has_finite_weights(&self, ranks: &dyn Ranks) -> bool {
        !ranks.any(!are_finite(&self.supernet))
    }

    /// Writes a checkpoint if checkpoints are enabled and this is rank 0.
    pub(crate) fn save(&mut self, run: &TrainRun<N>) -> Result<(), TrainError> {
        self.check_ranks(run)?;
        let is_best = std::mem::take(&mut self.is_best);
        let Some(dir) = run.checkpoints else { return Ok(()) };
        let Position { phase, epoch, step } = self.position;
        let name = format!("stage{phase:02}-epoch{epoch:04}-step{step:06}");
        if !run.ranks.is_first() {
            self.last_checkpoint = Some(dir.path(&name));
            return Ok(());
        }
        let files = self.files(run)?;
        // The best goes first: a run killed after writing the newest would not know that the best is still missing.
        if is_best {
            dir.save(CheckpointDir::BEST, &files)?;
        }
        self.last_checkpoint = Some(dir.save(&name, &files)?);
        Ok(())
    }

    /// Serialises this state to the files of a checkpoint.
    fn files(&self, run: &TrainRun<N>) -> Result<Files, TrainError> {
        let saved = Saved::new(run, self.position, self.progress.clone());
        let optimizer = self.optimizer.into_bytes().map_err(record_error(OPTIMIZER))?;
        let mut files = Files::from([
            (WEIGHTS, weights::bytes(&self.supernet, WEIGHTS)?),
            (OPTIMIZER, optimizer.to_vec()),
            (STATE, serde_json::to_vec_pretty(&saved).expect("the state is plain data")),
        ]);
        if let Some(teacher) = self.teacher.as_ref().filter(|teacher| teacher.is_own) {
            files.insert(TEACHER, weights::bytes(&teacher.supernet, TEACHER)?);
        }
        if let Some(average) = &self.average {
            files.insert(AVERAGE, weights::bytes(average, AVERAGE)?);
        }
        Ok(files)
    }

    /// Records accuracies of the watched archs; if their mean is a new maximum, the next checkpoint is saved as the
    /// best.
    pub(crate) fn watched(&mut self, records: Vec<WatchedRecord>) {
        if records.is_empty() {
            return;
        }
        let mean = records.iter().map(|record| record.top1).sum::<f64>() / records.len() as f64;
        self.is_best = self.progress.best.is_none_or(|best| mean > best);
        self.progress.best = Some(self.progress.best.map_or(mean, |best| best.max(mean)));
        self.progress.watched.extend(records);
    }

    /// Turns the totals of the epoch into its record and moves to the next epoch.
    pub(crate) fn finish_epoch(&mut self, phase: &Phase) {
        let epoch = self.position.epoch + 1;
        let totals = std::mem::take(&mut self.progress.totals);
        self.progress.epochs.push(totals.record(&phase.name, epoch));
        self.position = Position { epoch, step: 0, ..self.position };
    }

    pub(crate) fn interrupted(&self, phase: &Phase) -> TrainError {
        let Position { epoch, step, .. } = self.position;
        TrainError::Interrupted { phase: phase.name.clone(), epoch: epoch + 1, step }
    }

    /// The error for step `step` (from 1) of the epoch, which gave a non-finite loss or weights.
    pub(crate) fn non_finite(&self, phase: &Phase, step: usize, trained: &TrainedStep) -> TrainError {
        TrainError::NonFiniteLoss {
            loss: trained.numbers.loss,
            phase: phase.name.clone(),
            epoch: self.position.epoch + 1,
            step,
            archs: trained.archs.iter().map(Arch::to_string).collect::<Vec<_>>().join(" "),
            learning_rate: trained.learning_rate,
            checkpoint: self.last_checkpoint.as_ref().map_or("none".into(), |path| path.display().to_string()),
        }
    }

    pub(crate) fn into_outcome(self) -> TrainOutcome<N> {
        TrainOutcome {
            supernet: self.supernet,
            teacher: self.teacher.map(|teacher| teacher.supernet),
            epochs: self.progress.epochs,
            watched: self.progress.watched,
        }
    }
}

/// Digest of schedule and recipe; a checkpoint resumes only under the same.
fn training_digest<N>(run: &TrainRun<N>) -> String {
    digest(&serde_json::to_vec(&(run.schedule, run.recipe)).expect("a schedule is plain data"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ScheduleKind, ScheduleRecipe};
    use ofa_model::SearchSpace;

    #[test]
    fn checkpoints_of_every_earlier_version_are_gone_on_from() {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let recipe = Recipe::default();
        let digest = |kind: &ScheduleKind| {
            let schedule = kind.schedule(&space, &ScheduleRecipe::iclr2020());
            digest(&serde_json::to_vec(&(&schedule, &recipe)).unwrap())[..16].to_owned()
        };
        let digests: Vec<String> = ScheduleKind::ALL.iter().map(digest).collect();
        let expected = [
            "ece3f710333804d0",
            "b3354a5fe88488a6",
            "4bf8463fabf47eb4",
            "8cf4310a2dace4cc",
            "298c079a7d57e56e",
            "35b26424d1f6f1bb",
        ];
        assert_eq!(digests, expected);
        let position = Position { phase: 1, epoch: 2, step: 3 };
        assert_eq!(serde_json::to_string(&position).unwrap(), r#"{"stage":1,"epoch":2,"step":3}"#);
    }
}
