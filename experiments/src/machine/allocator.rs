//! The allocator of every program of this package.

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of mimalloc 3 and 2; the crate has no name for it.
const PURGE_DELAY: c_int = 15;
const MILLISECONDS: c_long = 10_000;

/// Lets freed memory wait for ten seconds before the operating system gets it back, in place of one.
///
/// Every training step needs as much again as the one before has freed. To return it and to have it cleared by the system
/// took a tenth of a step's processor time; the peak is the same.
#[allow(unsafe_code, reason = "an option of a C library")]
pub(crate) fn keep_freed_memory() {
    // SAFETY: sets a number in a table of options, which any thread may do at any time; unknown options are ignored.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, MILLISECONDS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code, reason = "an option of a C library")]
    fn the_option_is_the_delay() {
        // Its default tells it from its neighbours, unless the environment has set it.
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            // SAFETY: reads a number from a table of options.
            assert!([1_000, MILLISECONDS].contains(&unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }));
        }
        keep_freed_memory();
        // SAFETY: as above.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, MILLISECONDS);
    }
}
