//! Timings taken in separate processes that run in turn: each reports its own memory, and none shares threads or
//! caches with another.

use anyhow::{Context, Result, bail, ensure};
use ofa_search::statistics::quantile;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::process::Command;

/// Timings of one process, which prints them as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Milliseconds of each repetition.
    pub samples_ms: Vec<f64>,
    /// Peak resident memory of the process in MiB; `None` where the system does not report it.
    pub peak_memory_mib: Option<f64>,
}

impl Timings {
    /// Runs a command that prints timings.
    ///
    /// # Errors
    ///
    /// If it cannot be run, fails (the error quotes its stderr), or prints anything else.
    pub fn of(command: &mut Command) -> Result<Self> {
        let timings: Self = printed(command, "timings")?;
        let name = command.get_program().to_string_lossy();
        ensure!(!timings.samples_ms.is_empty(), "{name} timed nothing");
        Ok(timings)
    }
}

/// Runs a command and parses the JSON it prints; `what` names the expected value in errors.
///
/// # Errors
///
/// If it cannot be run, fails (the error quotes its stderr), or prints anything else.
pub(super) fn printed<T: DeserializeOwned>(command: &mut Command, what: &str) -> Result<T> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = || format!("{name} printed no {what}: {}", String::from_utf8_lossy(&output.stdout).trim());
    serde_json::from_slice(&output.stdout).with_context(text)
}

/// Interquartile range of the samples.
///
/// # Panics
///
/// If there are no samples.
pub fn iqr(samples: &[f64]) -> f64 {
    let mut ascending = samples.to_vec();
    ascending.sort_by(f64::total_cmp);
    quantile(&ascending, 0.75) - quantile(&ascending, 0.25)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Timings> {
        Timings::of(Command::new("sh").args(["-c", script]))
    }

    #[cfg(unix)]
    #[test]
    fn what_a_process_prints_is_read() {
        let expected = Timings { samples_ms: vec![1.5, 2.0], peak_memory_mib: None };
        assert_eq!(shell(r#"echo '{"samples_ms": [1.5, 2.0], "peak_memory_mib": null}'"#).unwrap(), expected);
    }

    #[cfg(unix)]
    #[test]
    fn a_process_that_fails_says_why() {
        let message = |script: &str| format!("{:#}", shell(script).unwrap_err());
        assert!(message("echo no torch >&2; exit 3").contains("sh: exit status: 3: no torch"));
        assert!(message("echo hello").contains("sh printed no timings: hello"));
        assert!(message(r#"echo '{"samples_ms": []}'"#).contains("sh timed nothing"));
    }

    #[test]
    fn the_range_is_of_the_middle_half() {
        assert_eq!(iqr(&[5.0, 1.0, 2.0, 3.0, 4.0]), 2.0);
    }
}
