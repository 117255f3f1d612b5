//! The entries of a directory.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// All entries of `directory`, except files that operating systems leave there.
pub(crate) fn visible_entries(directory: &Path) -> Result<Vec<(OsString, PathBuf)>, DataError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => DataError::Missing {
            path: directory.to_owned(),
            remedy: "an image folder needs train/<class>/<image> and val/<class>/<image>",
        },
        _ => DataError::Read { path: directory.to_owned(), source },
    };
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !is_litter(&entry.file_name()) {
            entries.push((entry.file_name(), entry.path()));
        }
    }
    Ok(entries)
}

/// Hidden files (including macOS's `.DS_Store` and `._*`) and Windows' `Thumbs.db`.
pub(crate) fn is_litter(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || name.eq_ignore_ascii_case("Thumbs.db")
}
