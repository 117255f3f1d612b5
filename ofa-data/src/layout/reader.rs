//! What all layouts have in common.

use std::fmt::Debug;
use std::sync::Arc;

use super::class_directories::ClassDirectories;
use super::prepare_config::PrepareConfig;
use crate::error::DataError;
use crate::split::{Parts, Splits};

/// A layout that was found in a directory, ready to be read.
pub(super) trait Reader: Debug + Send + Sync {
    /// How messages call the layout.
    fn name(&self) -> String;

    /// Lists the splits that are there.
    fn parts(&self, channels: usize) -> Result<Parts, DataError>;

    /// Lists all three splits; `hold_out` is the fraction of train for those that are missing.
    fn load(&self, channels: usize, seed: u64, hold_out: Option<f64>) -> Result<Splits, DataError> {
        let parts = self.parts(channels)?;
        enough(&parts.classes)?;
        parts.split(channels, seed, hold_out)
    }

    /// Channels of the images as published; 3 where images may have 1 or 3.
    fn channels(&self) -> usize {
        3
    }

    /// Whether files hold many images as plain pixels, which are read at once and kept in memory.
    fn is_in_memory(&self) -> bool {
        false
    }

    /// How the images were prepared.
    fn preparation(&self) -> Result<Option<PrepareConfig>, DataError> {
        Ok(None)
    }

    /// The class directories, if the layout consists of them.
    fn class_directories(&self) -> Option<&ClassDirectories> {
        None
    }
}

/// Refuses a set with nothing to tell apart.
pub(crate) fn enough(classes: &[String]) -> Result<(), DataError> {
    match classes {
        [] | [_] => Err(DataError::TooFewClasses { classes: classes.to_vec() }),
        _ => Ok(()),
    }
}

/// What a search for a layout gives.
pub(super) type Found = Option<Arc<dyn Reader>>;

pub(super) fn found(reader: impl Reader + 'static) -> Result<Found, DataError> {
    Ok(Some(Arc::new(reader)))
}

/// The error for a set that has no files of images.
pub(super) fn in_memory(name: &str) -> DataError {
    DataError::invalid("layout", name, "a layout of image files: this set is small and loaded into memory")
}
