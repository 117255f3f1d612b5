//! The list of broken images that a preparation skipped or partially decoded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::write_whole;
use crate::broken::BrokenImage;
use crate::error::DataError;
use crate::set::ImageSet;

/// Name of the file, next to the shards.
pub(super) const FILE: &str = "broken_images.csv";

/// A row of `broken_images.csv`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenLine {
    /// The image; in the list of a preparation, relative to the directory of the set.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Rows so far. They are on disk before the shards they describe, so an existing shard always has its rows.
#[derive(Debug)]
pub(super) struct BrokenList<'a> {
    /// Root directory of the images.
    dir: &'a Path,
    file: PathBuf,
    /// Problems from earlier attempts by path, until [`BrokenList::keep`] moves them to `lines`.
    earlier: HashMap<String, String>,
    lines: Vec<BrokenLine>,
}

impl<'a> BrokenList<'a> {
    /// Reads the list that earlier attempts to prepare the images of `dir` left in `out`.
    ///
    /// # Errors
    /// [`DataError::Labels`] if the file is not a valid list.
    pub(super) fn open(dir: &'a Path, out: &Path) -> Result<Self, DataError> {
        let file = out.join(FILE);
        let mut earlier = HashMap::new();
        if file.exists() {
            let problem = |error: csv::Error| DataError::Labels { path: file.clone(), problem: error.to_string() };
            for line in csv::Reader::from_path(&file).map_err(problem)?.into_deserialize() {
                let BrokenLine { path, problem } = line.map_err(problem)?;
                earlier.insert(path, problem);
            }
        }
        Ok(Self { dir, file, earlier, lines: Vec::new() })
    }

    /// Keeps the earlier rows about the images at `positions` of `set`; returns how many were kept.
    pub(super) fn keep(&mut self, set: &ImageSet, positions: impl Iterator<Item = usize>) -> usize {
        let before = self.lines.len();
        for i in positions {
            // Stop early: building the names of a million images is not free.
            if self.earlier.is_empty() {
                break;
            }
            let path = self.name(&set.path(i));
            self.lines.extend(self.earlier.remove(&path).map(|problem| BrokenLine { path, problem }));
        }
        self.lines.len() - before
    }

    /// Adds broken images found in a set.
    pub(super) fn add(&mut self, met: &[BrokenImage]) {
        let lines: Vec<BrokenLine> = met.iter().map(|image| self.line(image)).collect();
        self.lines.extend(lines);
    }

    /// Writes the list, including `met`, the broken images found so far in a set that is not added yet. An empty list
    /// is not written.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(&self, met: &[BrokenImage]) -> Result<(), DataError> {
        if self.lines.is_empty() && met.is_empty() {
            return Ok(());
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        for line in self.lines.iter().cloned().chain(met.iter().map(|image| self.line(image))) {
            writer.serialize(line).expect("writing to memory");
        }
        write_whole(&self.file, &writer.into_inner().expect("writing to memory"))
    }

    /// All rows.
    pub(super) fn into_lines(self) -> Vec<BrokenLine> {
        self.lines
    }

    fn line(&self, image: &BrokenImage) -> BrokenLine {
        BrokenLine { path: self.name(&image.path), problem: image.problem.to_string() }
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.dir).unwrap_or(path).to_string_lossy().into_owned()
    }
}
