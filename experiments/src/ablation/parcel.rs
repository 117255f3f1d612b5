//! The newest checkpoint of a cell that was stopped, as one small file that can be committed and taken elsewhere.

use crate::run::run_dir::{RunDir, remove_file, write_whole};
use crate::run::supernet_file::CHECKPOINTS;
use anyhow::{Context, Result};
use ofa_train::CheckpointDir;
use std::fs;

const PARCEL: &str = "checkpoint.tar";

/// Writes the newest checkpoint of the cell in `dir` as one file, in the place of an earlier one.
///
/// # Errors
///
/// If it cannot be read or written.
pub(super) fn pack(dir: &RunDir) -> Result<()> {
    let Some(newest) = CheckpointDir::new(dir.path(CHECKPOINTS), 1).newest_path()? else { return Ok(()) };
    let name = newest.file_name().context("a checkpoint has a name")?;
    let mut archive = tar::Builder::new(Vec::new());
    archive.mode(tar::HeaderMode::Deterministic);
    archive.append_dir_all(name, &newest).with_context(|| newest.display().to_string())?;
    write_whole(&dir.path(PARCEL), &archive.into_inner()?)
}

/// Unpacks the file into the checkpoints of the cell in `dir`, if there is one: the newest of all is then gone on with.
///
/// # Errors
///
/// If it is damaged.
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

/// Removes the file, if there is one.
///
/// # Errors
///
/// If it cannot be removed.
pub(super) fn remove(dir: &RunDir) -> Result<()> {
    remove_file(&dir.path(PARCEL))
}
