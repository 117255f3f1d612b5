//! Ctrl-C: how it is heard, and where a run stops for it.

use anyhow::{Context, Result};
use ofa_search::SearchError;
use ofa_train::TrainError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asked to stop between two pieces of work; what was done is on disk.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Lets Ctrl-C set `stop`, so that the step in progress is finished and saved; a second one ends the process at once,
/// which loses nothing that is on disk.
///
/// # Errors
///
/// If the system does not allow it.
pub fn on_interrupt(stop: Arc<AtomicBool>) -> Result<()> {
    let handler = move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).context("cannot listen to Ctrl-C")
}

/// Ends the work in hand if a stop was asked for.
///
/// # Errors
///
/// [`Interrupted`] then.
pub fn check(stop: &AtomicBool) -> Result<(), Interrupted> {
    if stop.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}

/// Whether it was a stop that ended a run, in training, between two measurements or between two phases.
pub fn is_interruption(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Interrupted>()
            || matches!(cause.downcast_ref(), Some(TrainError::Interrupted { .. }))
            || matches!(cause.downcast_ref(), Some(SearchError::Stopped { .. }))
    })
}
