//! [`RunLock`]: one job at a time works in the directory of a run or of a cell.

use anyhow::{Context, Result, bail};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::Path;

const LOCK: &str = "lock";

/// The right to write to a run directory, until it is dropped or its process ends. All ranks of a job share that of
/// rank 0; readers need none.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl RunLock {
    /// Locks the run directory `root`, which must exist. The lock of a process that is gone is taken over.
    ///
    /// # Errors
    ///
    /// If another process holds the lock; the error names it. Or if the lock file cannot be written.
    pub fn take(root: &Path) -> Result<Self> {
        if let Some(lock) = Self::try_take(root)? {
            return Ok(lock);
        }
        let holder = fs::read_to_string(root.join(LOCK)).unwrap_or_default();
        bail!(
            "{} is in use by {}: wait until it ends, or choose another --out",
            root.display(),
            if holder.is_empty() { "another process" } else { holder.trim() }
        );
    }

    /// [`take`](Self::take), or `None` if another process holds the lock.
    ///
    /// # Errors
    ///
    /// If the lock file cannot be written.
    pub fn try_take(root: &Path) -> Result<Option<Self>> {
        let path = root.join(LOCK);
        let context = || format!("cannot lock {}", path.display());
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).open(&path).with_context(context)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        file.set_len(0).with_context(context)?;
        let host = gethostname::gethostname();
        writeln!(file, "process {} on {}", std::process::id(), host.display()).with_context(context)?;
        Ok(Some(Self { file }))
    }
}

/// Closing the file would unlock it too, unless a child process that was forked a moment ago still holds a copy.
impl Drop for RunLock {
    fn drop(&mut self) {
        // An error changes nothing: the file is closed next.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_job_is_refused_until_the_first_ends() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunLock::take(dir.path()).unwrap();
        let message = RunLock::take(dir.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("in use by process {} on ", std::process::id())), "{message}");
        drop(first);
        RunLock::take(dir.path()).unwrap();
    }
}
