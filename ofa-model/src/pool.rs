//! Work inside rayon's pool.

/// Does `work` on a thread of rayon's pool: on this one if it is one of them.
///
/// Every parallel operation that begins outside the pool wakes a thread of it and sleeps until it is done. A training step has
/// hundreds of them, so it enters the pool once.
pub fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() { work() } else { rayon::join(work, || ()).0 }
}
