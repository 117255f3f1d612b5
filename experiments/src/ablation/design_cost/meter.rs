//! [`Meter`]: wall time and processor time of a part of a cell, over all sittings.

use super::record::Spent;
use crate::run::run_dir::RunDir;
use anyhow::Result;
use cpu_time::ProcessTime;
use std::time::Instant;

/// Counts the time of one part of a cell; what earlier sittings spent is kept in a file.
pub(super) struct Meter<'a> {
    dir: &'a RunDir,
    name: String,
    before: Spent,
    started: Instant,
    processor: ProcessTime,
}

impl<'a> Meter<'a> {
    /// Starts to count for the part `name`.
    ///
    /// # Errors
    ///
    /// If the file of an earlier sitting is damaged.
    pub(super) fn start(dir: &'a RunDir, name: &str) -> Result<Self> {
        let name = format!("{name}.spent.json");
        let before = match std::fs::read_to_string(dir.path(&name)) {
            Ok(text) => serde_json::from_str(&text)?,
            Err(_) => Spent::default(),
        };
        Ok(Self { dir, name, before, started: Instant::now(), processor: ProcessTime::now() })
    }

    /// All that was spent so far; `macs` is the count of the part itself.
    pub(super) fn spent(&self, macs: f64) -> Spent {
        let processor = self.processor.elapsed().as_secs_f64();
        let here = Spent { macs: 0.0, seconds: self.started.elapsed().as_secs_f64(), processor_seconds: processor };
        Spent { macs, ..self.before + here }
    }

    /// Does `work` and keeps what it took, also if it fails: a sitting may end here.
    ///
    /// # Errors
    ///
    /// Those of `work`, or if the file cannot be written.
    pub(super) fn count<T>(self, work: impl FnOnce() -> Result<T>, macs: impl FnOnce(&T) -> f64) -> Result<(T, Spent)> {
        let done = work();
        self.dir.write_json(&self.name, &self.spent(0.0))?;
        let done = done?;
        let macs = macs(&done);
        let spent = self.spent(macs);
        Ok((done, spent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_sitting_adds_to_the_earlier_one() {
        let root = tempfile::tempdir().unwrap();
        let dir = RunDir::create_or_open(root.path()).unwrap();
        dir.write_json("search.spent.json", &Spent { macs: 0.0, seconds: 100.0, processor_seconds: 50.0 }).unwrap();
        let failed =
            Meter::start(&dir, "search").unwrap().count(|| -> Result<()> { anyhow::bail!("stopped") }, |()| 0.0);
        assert!(failed.is_err());
        let ((), spent) = Meter::start(&dir, "search").unwrap().count(|| Ok(()), |()| 7.0).unwrap();
        assert!(spent.macs == 7.0 && spent.seconds >= 100.0 && spent.seconds < 110.0, "{spent:?}");
        assert!(spent.processor_seconds >= 50.0, "{spent:?}");
    }

    #[test]
    fn work_takes_processor_time() {
        let root = tempfile::tempdir().unwrap();
        let dir = RunDir::create_or_open(root.path()).unwrap();
        let meter = Meter::start(&dir, "work").unwrap();
        while meter.spent(0.0).processor_seconds < 0.02 {
            assert!(meter.started.elapsed().as_secs() < 60);
        }
    }
}
