//! Labelled images in parquet shards of the Hugging Face Hub.

mod map;
mod shard;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use map::ImageMap;
use shard::Shard;

use super::MAX_CLASSES;
use crate::error::ParquetProblem;

/// Random access to the images of parquet files, in file and row order.
///
/// Labels and file metadata stay in memory; images are read on demand. Every read opens the file again, so threads
/// share no file position. It skips the pages before the image and decodes the image's page. Where pages hold many
/// images, the first read of a row group maps where each image lies in its pages, and later reads decode only that
/// part.
#[derive(Debug, Default)]
pub(crate) struct ParquetShards {
    shards: Vec<Shard>,
    /// Row groups of all files, in order.
    groups: Vec<Group>,
    labels: Vec<u32>,
    names: Option<Vec<String>>,
}

#[derive(Debug)]
struct Group {
    shard: usize,
    /// Index within the shard.
    group: usize,
    /// Index of the group's first row: `row` within the shard, `image` within the set.
    row: usize,
    image: usize,
    /// Where the images of the group are, filled by the first read; `None` inside if a map does not help.
    map: OnceLock<Option<ImageMap>>,
}

impl ParquetShards {
    /// Reads the labels and the locations of the images.
    ///
    /// # Errors
    /// The path of the first file that is unreadable, lacks a column or has an invalid label, and what is wrong with
    /// it.
    pub(crate) fn open(files: Vec<PathBuf>) -> Result<Self, (PathBuf, ParquetProblem)> {
        let mut set = Self::default();
        for path in files {
            guarded(|| set.add(&path)).map_err(|problem| (path, problem))?;
        }
        Ok(set)
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Class index of image `i`. Panics if `i` is out of range.
    pub(crate) fn label(&self, i: usize) -> u32 {
        self.labels[i]
    }

    /// Class names, if the files contain them.
    pub(crate) fn class_names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// How messages refer to image `i`: its file and its row there, from 0. Panics if `i` is out of range.
    pub(crate) fn place(&self, i: usize) -> PathBuf {
        let group = self.group(i);
        self.shards[group.shard].path.join(format!("row {}", group.row + i - group.image))
    }

    /// Reads the encoded bytes of image `i`. Panics if `i` is out of range.
    pub(crate) fn read(&self, i: usize) -> Result<Vec<u8>, String> {
        let group = self.group(i);
        let shard = &self.shards[group.shard];
        guarded(|| shard.image(group.group, i - group.image, &group.map)).map_err(|problem| problem.to_string())
    }

    /// Paths and lengths of the files, which identify the set without reading it.
    pub(crate) fn shards(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.shards.iter().map(|shard| (shard.path.as_path(), shard.bytes))
    }

    fn group(&self, i: usize) -> &Group {
        assert!(i < self.len(), "image {i} of {}", self.len());
        &self.groups[self.groups.partition_point(|group| group.image <= i) - 1]
    }

    fn add(&mut self, path: &Path) -> Result<(), ParquetProblem> {
        let (shard, file) = Shard::open(path)?;
        let names = shard.class_names();
        if self.shards.is_empty() {
            self.names = names;
        } else if self.names != names {
            return Err(ParquetProblem::Names { other: self.shards[0].path.clone() });
        }
        let end = self.names.as_ref().map_or(i64::from(MAX_CLASSES), |names| names.len() as i64);
        let mut row = 0;
        for group in 0..shard.groups() {
            shard.check_images(&file, group)?;
            self.groups.push(Group {
                shard: self.shards.len(),
                group,
                row,
                image: self.labels.len(),
                map: OnceLock::new(),
            });
            for label in shard.labels(&file, group)? {
                let valid = label.filter(|label| (0..end).contains(label));
                self.labels.push(valid.ok_or(ParquetProblem::Label { row, label, end })? as u32);
                row += 1;
            }
        }
        self.shards.push(shard);
        Ok(())
    }
}

/// Turns parser panics, which damaged files can cause, into errors.
fn guarded<T>(work: impl FnOnce() -> Result<T, ParquetProblem>) -> Result<T, ParquetProblem> {
    let panicked = |_| Err(ParquetProblem::Format { reason: "the parser panicked".into() });
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}
