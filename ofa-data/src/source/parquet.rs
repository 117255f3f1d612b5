//! Labelled images in the parquet shards of the Hugging Face hub.

mod map;
mod problem;
mod shard;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use map::ImageMap;
pub use problem::ParquetProblem;
use shard::Shard;

use crate::layout::MAX_CLASSES;

/// The images of parquet files, in the order of the files and of their rows, for random access.
///
/// The labels and the files' tables of contents are in memory. An image is read when it is asked for: its file is opened
/// anew, so that threads do not share a position, the pages before the image are stepped over, and its page is decoded.
/// Where pages hold many images, the first read of a row group notes where in its pages they are, and later reads decode
/// that part only.
#[derive(Debug, Default)]
pub(crate) struct ParquetShards {
    shards: Vec<Shard>,
    /// The row groups of all files.
    groups: Vec<Group>,
    labels: Vec<u32>,
    names: Option<Vec<String>>,
}

#[derive(Debug)]
struct Group {
    shard: usize,
    /// Position in the shard.
    group: usize,
    /// Number of its first row, within the shard and within the set.
    row: usize,
    image: usize,
    /// Where its images are, once one of them was read; none where that does not help.
    map: OnceLock<Option<ImageMap>>,
}

impl ParquetShards {
    /// Reads the labels of these files and where their images are.
    ///
    /// # Errors
    /// The first file that is unreadable, lacks a column, or has a label that is none, with what is wrong with it.
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

    /// Class of image `i`. Panics if there is no such image.
    pub(crate) fn label(&self, i: usize) -> u32 {
        self.labels[i]
    }

    /// Names of the classes, if the files give them.
    pub(crate) fn class_names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// What messages call image `i`: its file and its row there, counted from 0. Panics if there is no such image.
    pub(crate) fn place(&self, i: usize) -> PathBuf {
        let group = self.group(i);
        self.shards[group.shard].path.join(format!("row {}", group.row + i - group.image))
    }

    /// Reads image `i`, encoded as it is in the file. Panics if there is no such image.
    pub(crate) fn read(&self, i: usize) -> Result<Vec<u8>, String> {
        let group = self.group(i);
        let shard = &self.shards[group.shard];
        guarded(|| shard.image(group.group, i - group.image, &group.map)).map_err(|problem| problem.to_string())
    }

    /// The files and their lengths, which identify the set short of reading it.
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

/// Damaged files can make the parser panic, which is one more way for it to refuse them.
fn guarded<T>(work: impl FnOnce() -> Result<T, ParquetProblem>) -> Result<T, ParquetProblem> {
    let panicked = |_| Err(ParquetProblem::Format { reason: "the parser panicked".into() });
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}
