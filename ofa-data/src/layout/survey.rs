//! What lies in a directory that no layout fits, for the error that says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::part_name::part_of_directory;
use crate::error::DataError;
use crate::source::entries::{extension, visible_entries};

/// Names that are shown of each kind.
const SHOWN: usize = 4;

/// Extensions of image files that are read.
const READ: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// The files and directories of a directory, sorted.
struct Survey {
    directories: Vec<(String, PathBuf)>,
    files: Vec<String>,
    /// Number of files by extension.
    kinds: BTreeMap<String, usize>,
}

/// The error for `dir`.
pub(super) fn unknown(dir: &Path) -> DataError {
    match Survey::of(dir) {
        Ok(survey) => {
            DataError::UnknownLayout { directory: dir.to_owned(), seen: survey.seen(), nearest: survey.nearest() }
        }
        Err(error) => error,
    }
}

impl Survey {
    fn of(dir: &Path) -> Result<Self, DataError> {
        let mut survey = Self { directories: Vec::new(), files: Vec::new(), kinds: BTreeMap::new() };
        let mut entries = visible_entries(dir)?;
        entries.sort_unstable();
        for (name, path) in entries {
            let text = name.to_string_lossy().into_owned();
            if path.is_dir() {
                survey.directories.push((text, path));
            } else {
                *survey.kinds.entry(extension(&name).unwrap_or_default()).or_default() += 1;
                survey.files.push(text);
            }
        }
        Ok(survey)
    }

    /// The first entries, and counts by kind.
    fn seen(&self) -> String {
        let named = |names: Vec<&str>, one: &str, many: &str| {
            let more = if names.len() > SHOWN { ", ..." } else { "" };
            let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
            let kind = if names.len() == 1 { one } else { many };
            (!names.is_empty()).then(|| format!("{} {kind} ({shown}{more})", names.len()))
        };
        let directories: Vec<&str> = self.directories.iter().map(|(name, _)| &**name).collect();
        let files: Vec<&str> = self.files.iter().map(|name| &**name).collect();
        let mut parts: Vec<String> = named(directories, "directory", "directories").into_iter().collect();
        parts.extend(named(files, "file", "files"));
        if self.kinds.len() > 1 || self.files.len() > SHOWN {
            let dot = |kind: &str| if kind.is_empty() { "without extension".into() } else { format!(".{kind}") };
            parts.push(
                self.kinds.iter().map(|(kind, count)| format!("{count} {}", dot(kind))).collect::<Vec<_>>().join(", "),
            );
        }
        if parts.is_empty() { "is empty".into() } else { format!("holds {}", parts.join("; ")) }
    }

    /// The layout that it resembles most, and what to do.
    fn nearest(&self) -> String {
        let count = |kinds: &[&str]| kinds.iter().filter_map(|kind| self.kinds.get(*kind)).sum::<usize>();
        let part = self.directories.iter().find(|(name, _)| part_of_directory(name.as_ref()).is_some());
        if self
            .files
            .iter()
            .any(|name| name == "data_batch_1" || name == "train" && self.files.iter().any(|n| n == "meta"))
        {
            return "it looks like the Python version of CIFAR: download the binary version".into();
        }
        if let Some((name, path)) = part {
            let inside = Self::of(path).map_or_else(|error| error.to_string(), |inside| inside.seen());
            return format!(
                "nearest is an ImageFolder, but `{name}` {inside}, where {name}/<class>/<image> is expected"
            );
        }
        if count(&READ) > 0 {
            return "nearest is <class>/<image>: give each class a directory, and move its images there".into();
        }
        if count(&["gz", "tgz", "zip", "tar", "7z", "rar", "bz2", "xz"]) > 0 {
            return "unpack the archives first, or name the tar shards train-*.tar and val-*.tar".into();
        }
        if count(&["npz", "npy", "mat", "pkl", "pickle", "h5", "hdf5", "tfrecord", "lmdb", "mdb", "rec", "arrow"]) > 0 {
            return "files of this kind are not read: write the images to files, one directory for each class".into();
        }
        if let Some((name, path)) = self.directories.first() {
            let inside = Self::of(path).map_or_else(|error| error.to_string(), |inside| inside.seen());
            return format!("nearest is <class>/<image>, but `{name}` {inside}");
        }
        "it may be the wrong directory".into()
    }
}
