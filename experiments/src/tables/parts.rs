//! An accuracy table measured by several ranks, each measuring its part.

use crate::console::interrupt::{Interrupted, is_interruption};
use anyhow::{Context, Result};
use ofa_model::{Arch, SearchSpace};
use ofa_search::{Accuracies, AccuracyHeader, AccuracyRow, AccuracyTable};
use ofa_train::Ranks;
use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

/// Prefix of the file names of the ranks' parts, beside the table.
const PART: &str = "accuracy-part-";

/// The archs to measure, the measuring conditions and the file of the table.
pub(crate) struct Job<'a> {
    pub(crate) path: &'a Path,
    pub(crate) header: &'a AccuracyHeader,
    pub(crate) space: &'a SearchSpace,
    pub(crate) archs: &'a [Arch],
}

/// The accuracies of an arch, or the error that prevented them.
pub(crate) type Measured = Result<Accuracies, Box<dyn Error + Send + Sync>>;

impl Job<'_> {
    /// Measures the archs missing from the table, the i-th of them on rank i modulo the number of ranks. Each rank
    /// writes its part to its own file, and rank 0 merges them. The final table equals that of a single process, row
    /// by row.
    ///
    /// `progress` reports this rank's part. Parts left by a killed run are merged first, whatever its number of ranks.
    ///
    /// # Errors
    ///
    /// Those of [`AccuracyTable::measure`]. An interruption on one rank interrupts all, once they have finished their
    /// parts.
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

    /// The table after rank 0 has merged all parts. A barrier: all ranks must call it.
    fn collected(&self, ranks: &dyn Ranks) -> Result<AccuracyTable> {
        if ranks.is_first() {
            self.collect(self.parts()?)?;
            // Creates the table if it does not exist yet, since all ranks load it.
            self.begun(self.path)?;
        }
        ranks.any(false);
        Ok(AccuracyTable::load(self.path, self.space)?)
    }

    /// Merges parts into the table, in the order of the archs, and removes their files.
    fn collect(&self, parts: Vec<PathBuf>) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let mut known = HashMap::new();
        for part in &parts {
            known.extend(self.begun(part)?.rows().iter().map(|row| (row.arch.clone(), row.accuracies())));
        }
        let archs: Vec<Arch> = self.archs.iter().filter(|arch| known.contains_key(*arch)).cloned().collect();
        self.measure(self.path, &archs, |arch| Ok(known[arch]), |_, _, _| ())?;
        for part in parts {
            std::fs::remove_file(&part).with_context(|| format!("cannot remove {}", part.display()))?;
        }
        Ok(())
    }

    /// Opens a table with the rows measured so far; creates an empty one if the file is missing.
    fn begun(&self, path: &Path) -> Result<AccuracyTable> {
        self.measure(path, &[], |_| Err("no archs to measure".into()), |_, _, _| ())
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
