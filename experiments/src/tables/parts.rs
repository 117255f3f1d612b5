//! An accuracy table that several ranks measure together, each its part.

use crate::console::interrupt::{Interrupted, is_interruption};
use anyhow::{Context, Result};
use ofa_model::{Arch, SearchSpace};
use ofa_search::{AccuracyHeader, AccuracyRow, AccuracyTable};
use ofa_train::Ranks;
use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

/// Beginning of the names of the files that ranks write their parts to, beside the table.
const PART: &str = "accuracy-part-";

/// What is measured, under which conditions, and where it is written to.
pub(crate) struct Job<'a> {
    pub(crate) path: &'a Path,
    pub(crate) header: &'a AccuracyHeader,
    pub(crate) space: &'a SearchSpace,
    pub(crate) archs: &'a [Arch],
}

/// An accuracy, or why there is none.
pub(crate) type Measured = Result<f64, Box<dyn Error + Send + Sync>>;

impl Job<'_> {
    /// Measures the archs that the table lacks, the i-th of them on rank i modulo the number of ranks. A rank's part is a
    /// file of its own until rank 0 has put all into the table, which then is that of one process, row by row.
    ///
    /// `progress` hears of this rank's part. Parts of a run that was killed are put into the table first, however many
    /// ranks it had.
    ///
    /// # Errors
    ///
    /// Those of [`AccuracyTable::measure`]; an interruption on one rank is one on all, when they are done with their parts.
    pub(crate) fn run(
        &self,
        ranks: &dyn Ranks,
        measure: impl FnMut(&Arch) -> Measured,
        progress: impl FnMut(usize, usize, &AccuracyRow),
    ) -> Result<AccuracyTable> {
        if ranks.size() == 1 {
            self.collect(self.parts()?)?;
            return self.measure(self.path, self.archs, measure, progress);
        }
        let table = self.collected(ranks)?;
        let missing = self.archs.iter().filter(|arch| table.get(arch).is_none());
        let own: Vec<Arch> = missing.skip(ranks.rank()).step_by(ranks.size()).cloned().collect();
        let part = self.path.with_file_name(format!("{PART}{}.csv", ranks.rank()));
        let interrupted = match self.measure(&part, &own, measure, progress) {
            Ok(_) => false,
            Err(error) if is_interruption(&error) => true,
            Err(error) => return Err(error),
        };
        if ranks.any(interrupted) {
            return Err(Interrupted.into());
        }
        self.collected(ranks)
    }

    /// The table after rank 0 has put all parts into it, in the order of the archs. All ranks come and go together.
    fn collected(&self, ranks: &dyn Ranks) -> Result<AccuracyTable> {
        if ranks.is_first() {
            self.collect(self.parts()?)?;
            // The others find a table, if an empty one.
            self.begun(self.path)?;
        }
        ranks.any(false);
        Ok(AccuracyTable::load(self.path, self.space)?)
    }

    /// Puts parts into the table, in the order of the archs, and removes them.
    fn collect(&self, parts: Vec<PathBuf>) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let mut known = HashMap::new();
        for part in &parts {
            known.extend(self.begun(part)?.samples());
        }
        let archs: Vec<Arch> = self.archs.iter().filter(|arch| known.contains_key(*arch)).cloned().collect();
        self.measure(self.path, &archs, |arch| Ok(known[arch]), |_, _, _| ())?;
        for part in parts {
            std::fs::remove_file(&part).with_context(|| format!("cannot remove {}", part.display()))?;
        }
        Ok(())
    }

    /// The table in a file as far as it was measured, which may be not at all.
    fn begun(&self, path: &Path) -> Result<AccuracyTable> {
        self.measure(path, &[], |_| Err("nothing is asked for".into()), |_, _, _| ())
    }

    fn measure(
        &self,
        path: &Path,
        archs: &[Arch],
        measure: impl FnMut(&Arch) -> Measured,
        progress: impl FnMut(usize, usize, &AccuracyRow),
    ) -> Result<AccuracyTable> {
        Ok(AccuracyTable::measure(path, self.header, self.space, archs, measure, progress)?)
    }

    fn parts(&self) -> Result<Vec<PathBuf>> {
        let dir = self.path.parent().context("a table has a directory")?;
        let mut parts = Vec::new();
        for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PART)) {
                parts.push(path);
            }
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests;
