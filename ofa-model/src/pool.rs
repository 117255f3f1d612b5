//! Runs work inside rayon's thread pool.

/// Runs `work` on a thread of rayon's pool, or on the current thread if it belongs to the pool.
///
/// Every parallel operation started outside the pool wakes one of its threads and sleeps until the work is done. A
/// training step has hundreds of these, so it enters the pool once.
pub fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() { work() } else { rayon::join(work, || ()).0 }
}
