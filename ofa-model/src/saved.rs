//! Saves each network as its own directory, written completely or not at all.

mod subnet;
mod supernet;

pub use subnet::SubnetCard;

use crate::ModelError;
use burn::module::Module;
use burn::store::{ModuleSnapshot, SafetensorsStore};
use serde::{Serialize, de::DeserializeOwned};
use std::io;
use std::path::{Path, PathBuf};

const WEIGHTS: &str = "weights.safetensors";

/// Creates a new directory that appears complete or not at all. `fill` writes to a temporary directory beside it.
///
/// # Errors
///
/// [`ModelError::Io`] if `dir` exists or cannot be created, and any error of `fill`. On error nothing is left behind.
pub fn write_directory<E: From<ModelError>>(dir: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    // Drops a trailing separator: with it, the temporary directory would be inside `dir`.
    let dir: &Path = &dir.components().collect::<PathBuf>();
    if dir.exists() {
        return Err(at(dir)(io::ErrorKind::AlreadyExists.into()).into());
    }
    let mut unfinished = dir.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = Path::new(&unfinished);
    if unfinished.exists() {
        std::fs::remove_dir_all(unfinished).map_err(at(unfinished))?;
    }
    std::fs::create_dir_all(unfinished).map_err(at(unfinished))?;
    let filled = fill(unfinished).and_then(|()| Ok(std::fs::rename(unfinished, dir).map_err(at(dir))?));
    if filled.is_err() {
        // The first error is the one to report, not a failure to clean up.
        drop(std::fs::remove_dir_all(unfinished));
    }
    filled
}

/// Writes a new directory with a JSON file called `name` and the weights of `network`.
fn save(dir: &Path, name: &str, description: &impl Serialize, network: &impl Module) -> Result<(), ModelError> {
    write_directory(dir, |unfinished| {
        let json = serde_json::to_string_pretty(description).expect("a description is plain data");
        let path = unfinished.join(name);
        std::fs::write(&path, json).map_err(at(&path))?;
        let path = unfinished.join(WEIGHTS);
        let mut store = SafetensorsStore::from_file(&path);
        network.save_into(&mut store).map_err(|error| invalid(path, error))
    })
}

/// Reads the JSON file called `name` from a directory.
fn description<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T, ModelError> {
    let path = dir.join(name);
    let text = std::fs::read_to_string(&path).map_err(at(&path))?;
    serde_json::from_str(&text).map_err(|error| invalid(path, error))
}

/// Loads the weights of a directory into `network`.
fn load_weights(dir: &Path, network: &mut impl Module) -> Result<(), ModelError> {
    let path = dir.join(WEIGHTS);
    std::fs::metadata(&path).map_err(at(&path))?;
    let mut store = SafetensorsStore::from_file(&path);
    network.load_from(&mut store).map(drop).map_err(|error| invalid(path, error))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ModelError {
    let path = path.to_owned();
    move |source| ModelError::Io { path, source }
}

fn invalid(path: PathBuf, problem: impl ToString) -> ModelError {
    ModelError::InvalidFile { path, problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_appears_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        // With a trailing slash, as shells complete it.
        let dir = PathBuf::from(format!("{}/", root.path().join("net").display()));
        let fail = |unfinished: &Path| -> Result<(), ModelError> {
            std::fs::write(unfinished.join("half"), "").unwrap();
            Err(at(unfinished)(io::ErrorKind::StorageFull.into()))
        };
        assert!(write_directory(&dir, fail).is_err());
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        let fill = |unfinished: &Path| -> Result<(), ModelError> {
            std::fs::write(unfinished.join("file"), "").map_err(at(unfinished))
        };
        write_directory(&dir, fill).unwrap();
        assert!(dir.join("file").is_file());
        assert!(matches!(write_directory(&dir, fill), Err(ModelError::Io { .. })));
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
