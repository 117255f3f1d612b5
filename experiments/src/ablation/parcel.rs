//! The newest checkpoint of an interrupted cell, as one small file that can be committed and moved elsewhere.

use crate::run::run_dir::{RunDir, remove_file, write_whole};
use crate::run::supernet_file::CHECKPOINTS;
use anyhow::{Context, Result};
use ofa_train::CheckpointDir;
use std::fs;

const PARCEL: &str = "checkpoint.tar";

/// Packs the newest checkpoint of the cell in `dir` into one file, replacing an earlier one.
///
/// # Errors
///
/// If the checkpoint cannot be read or the file cannot be written.
pub(super) fn pack(dir: &RunDir) -> Result<()> {
    let Some(newest) = CheckpointDir::new(dir.path(CHECKPOINTS), 1).newest_path()? else { return Ok(()) };
    let name = newest.file_name().context("the newest checkpoint has no name")?;
    let mut archive = tar::Builder::new(Vec::new());
    archive.mode(tar::HeaderMode::Deterministic);
    archive.append_dir_all(name, &newest).with_context(|| newest.display().to_string())?;
    write_whole(&dir.path(PARCEL), &archive.into_inner()?)
}

/// Unpacks the file, if present, into the checkpoints of the cell in `dir`; training resumes from the newest of all.
///
/// # Errors
///
/// If the file is damaged.
pub(super) fn unpack(dir: &RunDir) -> Result<()> {
    let path = dir.path(PARCEL);
    if !path.exists() {
        return Ok(());
    }
    let text = || path.display().to_string();
    let bytes = fs::read(&path).with_context(text)?;
    fs::create_dir_all(dir.path(CHECKPOINTS)).with_context(text)?;
    tar::Archive::new(&bytes[..]).unpack(dir.path(CHECKPOINTS)).with_context(text)
}

/// Removes the file, if present.
///
/// # Errors
///
/// If the file cannot be removed.
pub(super) fn remove(dir: &RunDir) -> Result<()> {
    remove_file(&dir.path(PARCEL))
}
