//! [`SavedSupernet`]: the weights of a checkpoint, for others than the training loop.

use crate::state::{AVERAGE, WEIGHTS};
use crate::weights::filled;
use crate::{CheckpointDir, DamagedCheckpoint, TrainError};
use ofa_model::Supernet;
use std::path::PathBuf;

/// A supernet as a checkpoint holds it.
#[derive(Debug)]
pub struct SavedSupernet {
    /// The checkpoint.
    pub path: PathBuf,
    /// Its weights, or their moving average if the recipe keeps one: what training measures. On the device that was asked
    /// for.
    pub supernet: Supernet,
    /// Newer checkpoints that were passed over, and why.
    pub damaged: Vec<DamagedCheckpoint>,
}

impl CheckpointDir {
    /// `blank`, a supernet of the same space, with the weights of the newest sound checkpoint, or with their moving average
    /// if it holds one; `None` if there is no checkpoint.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] if checkpoints cannot be read or all are damaged; [`TrainError::Record`] if the weights are of
    /// another space.
    pub fn supernet(&self, blank: Supernet) -> Result<Option<SavedSupernet>, TrainError> {
        let Some(mut found) = self.newest()? else { return Ok(None) };
        let weights = if found.files.contains_key(AVERAGE) { AVERAGE } else { WEIGHTS };
        let supernet = filled(blank, weights, found.take(weights)?)?;
        Ok(Some(SavedSupernet { path: found.path, supernet, damaged: found.damaged }))
    }
}
