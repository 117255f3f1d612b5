//! The state of a training, and its way into and out of a checkpoint.

use crate::checkpoint::{DamagedCheckpoint, Files, Found, digest, parse};
use crate::progress::Progress;
use crate::shrink::{ShrinkOutcome, ShrinkRun};
use crate::step::StepNumbers;
use crate::{Recipe, ShrinkStage, TrainError};
use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use ofa_model::{Arch, Supernet};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

pub(crate) const WEIGHTS: &str = "weights.bpk";
const OPTIMIZER: &str = "optimizer.bpk";
const TEACHER: &str = "teacher.bpk";
const STATE: &str = "state.json";

/// Where a training is: everything before it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    pub(crate) stage: usize,
    /// Epochs of the stage that are done.
    pub(crate) epoch: usize,
    /// Steps of the epoch that are done.
    pub(crate) step: usize,
}

/// The part of a checkpoint that is not tensors.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    schedule_sha256: String,
    position: Position,
    progress: Progress,
}

pub(crate) struct ShrinkState {
    pub(crate) supernet: Supernet,
    pub(crate) teacher: Option<Supernet>,
    pub(crate) position: Position,
    pub(crate) progress: Progress,
    optimizer: ModuleOptimizer,
    last_checkpoint: Option<PathBuf>,
    resumed: Option<Vec<DamagedCheckpoint>>,
}

impl ShrinkState {
    /// The state of the newest checkpoint, or of a training that begins with `supernet`.
    pub(crate) fn begin(supernet: Supernet, run: &ShrinkRun) -> Result<Self, TrainError> {
        let state = Self {
            supernet,
            teacher: None,
            position: Position::default(),
            progress: Progress::default(),
            optimizer: run.recipe.optimizer(),
            last_checkpoint: None,
            resumed: None,
        };
        match run.checkpoints.map(|dir| dir.newest()).transpose()?.flatten() {
            Some(found) => state.restored(found, run),
            None => Ok(state),
        }
    }

    fn restored(self, found: Found, run: &ShrinkRun) -> Result<Self, TrainError> {
        let saved: Saved = parse(&found, STATE)?;
        if saved.schedule_sha256 != schedule_digest(run) {
            return Err(TrainError::OtherSchedule { path: found.path });
        }
        let bytes = |name: &'static str| found.files.get(name).map(|bytes| Bytes::from_bytes_vec(bytes.clone()));
        let load = |net: Supernet, what, bytes| -> Result<Supernet, TrainError> {
            let record = ModuleRecord::from_bytes(bytes).map_err(record_error(what))?;
            net.try_load_record(record).map_err(record_error(what))
        };
        let missing = |what| TrainError::Record { what, problem: "it is missing from the checkpoint".into() };
        let teacher = bytes(TEACHER).map(|bytes| load(self.supernet.valid(), TEACHER, bytes)).transpose()?;
        let supernet = load(self.supernet, WEIGHTS, bytes(WEIGHTS).ok_or_else(|| missing(WEIGHTS))?)?;
        let optimizer = bytes(OPTIMIZER).ok_or_else(|| missing(OPTIMIZER))?;
        Ok(Self {
            supernet,
            teacher,
            position: saved.position,
            progress: saved.progress,
            optimizer: self.optimizer.from_bytes(optimizer).map_err(record_error(OPTIMIZER))?,
            last_checkpoint: Some(found.path),
            resumed: Some(found.damaged),
        })
    }

    /// If training goes on from a checkpoint: the newer ones that were damaged.
    pub(crate) fn take_resumed(&mut self) -> Option<Vec<DamagedCheckpoint>> {
        self.resumed.take()
    }

    /// Prepares the first step of a stage; does nothing later in it.
    pub(crate) fn enter(&mut self, stage: &ShrinkStage, recipe: &Recipe) {
        if self.position.epoch > 0 || self.position.step > 0 {
            return;
        }
        // Momentum belongs to the old stage's loss, and to the old order of channels.
        self.optimizer = recipe.optimizer();
        if stage.sort_channels {
            // The stage opens narrower widths; those trained so far are the ones that it does not open.
            self.supernet = self.supernet.clone().sort_channels(&self.progress_space(stage));
        }
    }

    /// The widths trained before a stage: all its own but, where there are several, the narrowest.
    fn progress_space(&self, stage: &ShrinkStage) -> ofa_model::SearchSpace {
        let mut trained = stage.space.clone();
        for stage in &mut trained.stages {
            let opened = usize::from(stage.expand_ratios.len() > 1);
            stage.expand_ratios.drain(..opened);
        }
        trained
    }

    /// One step of the optimizer.
    pub(crate) fn update(&mut self, gradients: GradientsParams, learning_rate: f64) {
        self.supernet = self.optimizer.step(learning_rate, self.supernet.clone(), gradients);
    }

    /// Writes a checkpoint of this state, if checkpoints are wanted.
    pub(crate) fn save(&mut self, run: &ShrinkRun) -> Result<(), TrainError> {
        let Some(dir) = run.checkpoints else { return Ok(()) };
        let saved =
            Saved { schedule_sha256: schedule_digest(run), position: self.position, progress: self.progress.clone() };
        let optimizer = self.optimizer.into_bytes().map_err(record_error(OPTIMIZER))?;
        let mut files = Files::from([
            (WEIGHTS, weights(&self.supernet, WEIGHTS)?),
            (OPTIMIZER, optimizer.to_vec()),
            (STATE, serde_json::to_vec_pretty(&saved).expect("the state is plain data")),
        ]);
        if let Some(teacher) = &self.teacher {
            files.insert(TEACHER, weights(teacher, TEACHER)?);
        }
        let Position { stage, epoch, step } = self.position;
        self.last_checkpoint = Some(dir.save(&format!("stage{stage:02}-epoch{epoch:04}-step{step:06}"), &files)?);
        Ok(())
    }

    pub(crate) fn non_finite_loss(
        &self,
        numbers: &StepNumbers,
        stage: &ShrinkStage,
        archs: &[Arch],
        learning_rate: f64,
    ) -> TrainError {
        TrainError::NonFiniteLoss {
            loss: numbers.loss,
            stage: stage.name.clone(),
            epoch: self.position.epoch + 1,
            step: self.position.step + 1,
            archs: archs.iter().map(Arch::to_string).collect::<Vec<_>>().join(" "),
            learning_rate,
            checkpoint: self.last_checkpoint.as_ref().map_or("none".into(), |path| path.display().to_string()),
        }
    }

    pub(crate) fn into_outcome(self) -> ShrinkOutcome {
        ShrinkOutcome {
            supernet: self.supernet,
            teacher: self.teacher,
            epochs: self.progress.epochs,
            watched: self.progress.watched,
        }
    }
}

fn weights(supernet: &Supernet, what: &'static str) -> Result<Vec<u8>, TrainError> {
    let bytes = supernet.clone().into_record().into_bytes().map_err(record_error(what))?;
    Ok(bytes.to_vec())
}

fn schedule_digest(run: &ShrinkRun) -> String {
    digest(&serde_json::to_vec(run.schedule).expect("a schedule is plain data"))
}

pub(crate) fn record_error<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> TrainError {
    move |error| TrainError::Record { what, problem: error.to_string() }
}
