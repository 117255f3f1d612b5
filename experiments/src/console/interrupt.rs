//! Ctrl-C handling, and the points where a run stops for it.

use anyhow::{Context, Result};
use ofa_search::SearchError;
use ofa_train::TrainError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A stop was requested between two pieces of work; everything finished so far is on disk.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// For programs that save their progress: from now on Ctrl-C sets the flag, so the step in progress finishes and is
/// saved. A second Ctrl-C ends the process at once; nothing on disk is lost. Without this call the first one does.
///
/// # Errors
///
/// If the handler cannot be installed, or already is.
pub fn on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = stop.clone();
    let handler = move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).context("cannot install the Ctrl-C handler")?;
    Ok(stop)
}

/// Call between two pieces of work: fails if a stop was requested.
///
/// # Errors
///
/// [`Interrupted`] if `stop` is set.
pub fn check(stop: &AtomicBool) -> Result<(), Interrupted> {
    if stop.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}

/// Whether `error` is a requested stop: in training, between two measurements or between two phases.
pub fn is_interruption(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Interrupted>()
            || matches!(
                cause.downcast_ref(),
                Some(TrainError::Interrupted { .. } | TrainError::SearchInterrupted { .. })
            )
            || matches!(cause.downcast_ref(), Some(SearchError::Stopped { .. }))
    })
}
