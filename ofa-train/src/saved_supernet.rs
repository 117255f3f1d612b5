//! [`SavedSupernet`]: the weights of a checkpoint, for use outside the training loop.

use crate::state::{AVERAGE, WEIGHTS};
use crate::{CheckpointDir, DamagedCheckpoint, TrainError};
use burn::module::Module;
use ofa_model::Supernet;
use std::path::PathBuf;

/// A supernet loaded from a checkpoint.
#[derive(Debug)]
pub struct SavedSupernet<N = Supernet> {
    /// Directory of the checkpoint.
    pub path: PathBuf,
    /// Its weights, or their moving average if the recipe keeps one: what training evaluates. On the device of the
    /// blank supernet.
    pub supernet: N,
    /// Newer checkpoints that were skipped, and why.
    pub damaged: Vec<DamagedCheckpoint>,
}

impl CheckpointDir {
    /// Loads the newest intact checkpoint into `blank`, a supernet of the same space. Uses the moving average of the
    /// weights if the checkpoint has one. `None` if there is no checkpoint.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] if checkpoints cannot be read or all are damaged; [`TrainError::Record`] if the weights
    /// belong to another space; [`TrainError::UnsoundCheckpoint`] if they are not finite.
    pub fn supernet<N: Module>(&self, blank: N) -> Result<Option<SavedSupernet<N>>, TrainError> {
        let Some(mut found) = self.newest()? else { return Ok(None) };
        let weights = if found.files.contains_key(AVERAGE) { AVERAGE } else { WEIGHTS };
        let supernet = found.network(blank, weights)?;
        Ok(Some(SavedSupernet { path: found.path, supernet, damaged: found.damaged }))
    }
}
