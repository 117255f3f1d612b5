//! The parquet files of a data set of the Hugging Face Hub.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::part_name::part_of;
use crate::error::DataError;
use crate::source::entries::visible_entries;

/// The parquet files of a split in `dir` and its `data`, sorted by path.
pub(super) fn parquet_files(dir: &Path, part: &str) -> Result<Vec<PathBuf>, DataError> {
    let is_of_part = |name: &OsStr| part_of(name) == Some(part) && name.to_string_lossy().ends_with(".parquet");
    let mut files = Vec::new();
    for directory in [dir.to_owned(), dir.join("data")].iter().filter(|path| path.is_dir()) {
        let entries = visible_entries(directory)?.into_iter();
        files.extend(entries.filter(|(name, path)| is_of_part(name) && path.is_file()).map(|(_, path)| path));
    }
    files.sort_unstable();
    Ok(files)
}
