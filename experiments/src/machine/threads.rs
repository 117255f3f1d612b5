//! The compute thread pool.

use anyhow::{Context, Result};
use std::num::NonZero;
use std::thread::available_parallelism;

/// Starts rayon's global pool with the calling thread as a member: one thread per core, or `RAYON_NUM_THREADS`.
///
/// An operation then starts on the thread that calls it, instead of waking another thread and sleeping until it is
/// done. With one pool thread per core *besides* the caller, that hand-over cost 2 to 17 % of a training step on two
/// cores.
///
/// With a single thread, rayon keeps its own: the calling thread waits for batches prepared there.
///
/// # Errors
///
/// If `RAYON_NUM_THREADS` is not a number, or rayon's global pool already exists.
pub fn compute_on_this_thread() -> Result<()> {
    let asked = match std::env::var("RAYON_NUM_THREADS") {
        Ok(text) => text.parse().with_context(|| format!("RAYON_NUM_THREADS is `{text}`, not a number"))?,
        Err(_) => 0,
    };
    let threads = if asked == 0 { available_parallelism().map_or(1, NonZero::get) } else { asked };
    if threads > 1 {
        rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build_global()?;
    }
    Ok(())
}
