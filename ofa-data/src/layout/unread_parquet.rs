//! Parquet files, where this build cannot read them.

use std::path::{Path, PathBuf};

use super::class_directories::train_has_class_directories;
use super::parquet_files::parquet_files;
use super::reader::{Found, Reader, found};
use crate::error::DataError;
use crate::split::Parts;

#[derive(Debug)]
struct UnreadParquet(PathBuf);

pub(super) fn find(dir: &Path) -> Result<Found, DataError> {
    let is_here = !parquet_files(dir, "train")?.is_empty() && !train_has_class_directories(dir)?;
    if is_here { found(UnreadParquet(dir.to_owned())) } else { Ok(None) }
}

impl Reader for UnreadParquet {
    fn name(&self) -> String {
        "parquet shards".into()
    }

    fn parts(&self, _: usize) -> Result<Parts, DataError> {
        Err(DataError::NeedsFeature { path: self.0.clone(), feature: "parquet" })
    }
}
