//! [`find`]: the only loop of searches, with checkpoints and exact resume.

use super::{SearchMethod, SearchRecord, SearchTarget, SearchTask};
use crate::checkpoint::{CheckpointDir, Files, digest, parse_bytes};
use crate::{TrainError, TrainObserver};
use ofa_model::Arch;
use serde::{Deserialize, Serialize};
use std::time::Instant;

const STATE: &str = "search.json";

/// Everything that a search takes besides its method and its task.
pub struct SearchRun<'a> {
    /// The most that the network may cost.
    pub target: &'a SearchTarget,
    /// Seed of all that is random in the search.
    pub seed: u64,
    /// Where checkpoints are written, at the interval of the directory or else every 200 steps, or as the method says; a
    /// search resumes from the newest.
    pub checkpoints: Option<&'a CheckpointDir>,
}

/// The network that a search ended with.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The network.
    pub arch: Arch,
    /// Its cost by the costs of the task, in the unit of the target.
    pub cost: f64,
    /// Multiply-accumulate operations of all passes over images.
    pub macs: f64,
    /// Seconds, over all processes that took part.
    pub seconds: f64,
    /// What happened.
    pub records: Vec<SearchRecord>,
}

/// What a checkpoint holds besides weights.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved<S> {
    search_sha256: String,
    step: u64,
    seconds: f64,
    state: S,
}

/// Steps between checkpoints, unless the directory says otherwise.
const EVERY: u64 = 200;

/// Runs a search to its end, or resumes it from its newest checkpoint. A search that is killed and resumed ends with the
/// network of one that is not, with the same numbers to the last bit.
///
/// `observer` is told of steps and asked whether to stop after each; epochs and watched archs are not for searches.
///
/// # Errors
///
/// [`TrainError::InvalidSearch`] for a setting or a target that makes no sense, before anything is trained; a checkpoint
/// of another search; [`TrainError::NonFiniteSearch`] if a loss is not finite, in which case nothing is saved;
/// [`TrainError::SearchInterrupted`] after the observer asked to stop and a checkpoint was saved; errors of the task.
pub fn find<M: SearchMethod>(
    method: &M,
    task: &mut dyn SearchTask,
    run: &SearchRun,
    observer: &mut dyn TrainObserver,
) -> Result<Found, TrainError> {
    if let Some(problem) = method.problem() {
        return Err(TrainError::InvalidSearch { method: method.name(), problem });
    }
    run.target.check(method.name(), task.costs())?;
    let mut search = Search::begin(method, task, run, observer)?;
    let steps = method.steps(task);
    while search.saved.step < steps {
        search.step(method, task, run, observer)?;
        let done = search.saved.step;
        let stop = done < steps && observer.should_stop();
        if stop || done == steps || search.is_due(method, run) {
            // Weights that are not finite must not replace the last good checkpoint.
            if !task.is_finite() {
                return Err(TrainError::NonFiniteSearch { method: method.name(), loss: f64::NAN, step: done });
            }
            search.save(task, run)?;
        }
        if stop {
            return Err(TrainError::SearchInterrupted { method: method.name(), step: done, steps });
        }
    }
    let started = Instant::now();
    let choices = method.answer(&search.saved.state, task, run.target)?;
    Ok(Found {
        arch: task.costs().groups().arch(&choices),
        cost: task.costs().of(&choices),
        macs: task.macs(),
        seconds: search.saved.seconds + started.elapsed().as_secs_f64(),
        records: method.records(&search.saved.state).to_vec(),
    })
}

struct Search<S> {
    saved: Saved<S>,
}

impl<S: Serialize + serde::de::DeserializeOwned> Search<S> {
    fn begin<M: SearchMethod<State = S>>(
        method: &M,
        task: &mut dyn SearchTask,
        run: &SearchRun,
        observer: &mut dyn TrainObserver,
    ) -> Result<Self, TrainError> {
        let costs = format!("{:?}", task.costs());
        let sizes = [task.batches(), task.held_out_batches(), task.batch_size() as u64];
        let identity = (method.name(), method, run.target, run.seed, sizes, costs);
        let search_sha256 = digest(&serde_json::to_vec(&identity).expect("a search is plain data"));
        let Some(mut found) = run.checkpoints.map(CheckpointDir::newest).transpose()?.flatten() else {
            let state = method.begin(task.costs().groups(), run.seed);
            return Ok(Self { saved: Saved { search_sha256, step: 0, seconds: 0.0, state } });
        };
        let saved: Saved<S> = parse_bytes(STATE, &found.take(STATE)?)?;
        if saved.search_sha256 != search_sha256 {
            return Err(TrainError::OtherSchedule { path: found.path });
        }
        task.restore(&mut found.files)?;
        observer.resumed(method.name(), 1, saved.step as usize, &found.damaged);
        Ok(Self { saved })
    }

    fn step<M: SearchMethod<State = S>>(
        &mut self,
        method: &M,
        task: &mut dyn SearchTask,
        run: &SearchRun,
        observer: &mut dyn TrainObserver,
    ) -> Result<(), TrainError> {
        let started = Instant::now();
        let step = self.saved.step;
        let (numbers, rate) = method.step(&mut self.saved.state, task, run.target, run.seed, step)?;
        if !numbers.loss.is_finite() {
            return Err(TrainError::NonFiniteSearch { method: method.name(), loss: numbers.loss, step: step + 1 });
        }
        self.saved.step += 1;
        self.saved.seconds += started.elapsed().as_secs_f64();
        observer.step_done(self.saved.step as usize, &numbers, rate);
        Ok(())
    }

    fn is_due<M: SearchMethod<State = S>>(&self, method: &M, run: &SearchRun) -> bool {
        let step = self.saved.step;
        run.checkpoints.is_some_and(|dir| match method.checkpoint_every() {
            Some(every) => step.is_multiple_of(every),
            None if dir.has_interval() => dir.is_due(step as usize),
            None => step.is_multiple_of(EVERY),
        })
    }

    fn save(&self, task: &dyn SearchTask, run: &SearchRun) -> Result<(), TrainError> {
        let Some(dir) = run.checkpoints else { return Ok(()) };
        let mut files: Files = task.files()?;
        files.insert(STATE, serde_json::to_vec(&self.saved).expect("the state is plain data"));
        dir.save(&format!("step{:08}", self.saved.step), &files)?;
        Ok(())
    }
}
