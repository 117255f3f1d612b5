//! The global allocator of every program in this package.

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Option number in mimalloc 2 and 3; the crate does not name it.
const PURGE_DELAY: c_int = 15;
const MILLISECONDS: c_long = 10_000;

/// Keeps freed memory for ten seconds, instead of one, before returning it to the operating system.
///
/// Every training step allocates what the previous one freed. Returning the memory and having the kernel zero it took
/// a tenth of a step's CPU time; peak memory is the same.
#[allow(unsafe_code, reason = "an option of a C library")]
pub(crate) fn keep_freed_memory() {
    // SAFETY: sets a number in an option table, which any thread may do at any time; unknown options are ignored.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, MILLISECONDS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code, reason = "an option of a C library")]
    fn the_option_is_the_delay() {
        // The default value identifies the option among its neighbours, unless the environment overrides it.
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            // SAFETY: reads a number from an option table.
            assert!([1_000, MILLISECONDS].contains(&unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }));
        }
        keep_freed_memory();
        // SAFETY: as above.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, MILLISECONDS);
    }
}
