//! Saves each network as its own directory, written completely or not at all.

mod subnet;
mod supernet;

pub use subnet::SubnetCard;

use crate::soundness::check_tensor;
use crate::{ModelError, tensor_file};
use burn::module::Module;
use burn::store::burn_pack::Tensor;
use burn::store::{ApplyError, ModuleSnapshot, bridge};
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
        write_weights(&unfinished.join(WEIGHTS), network)
    })
}

/// Reads the JSON file called `name` from a directory.
fn description<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T, ModelError> {
    let path = dir.join(name);
    let text = std::fs::read_to_string(&path).map_err(at(&path))?;
    serde_json::from_str(&text).map_err(|error| invalid(path, error))
}

fn write_weights(path: &Path, network: &impl Module) -> Result<(), ModelError> {
    let tensor = |tensor: Tensor| {
        let (key, data) = (tensor.name.clone(), bridge::into_data(tensor));
        data.map(|data| (key, data)).map_err(|error| invalid(path.to_owned(), error))
    };
    let tensors = network.collect(None, None, false).into_iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
    tensor_file::write(path, tensors.iter().map(|(key, data)| (key.as_str(), data)))
}

/// Loads the weights of a directory into `network`.
fn load_weights(dir: &Path, network: &mut impl Module) -> Result<(), ModelError> {
    let path = dir.join(WEIGHTS);
    let mut tensors = Vec::new();
    for (key, data) in tensor_file::read(&path)? {
        check_tensor(&key, &data).map_err(|error| invalid(path.clone(), error))?;
        tensors.push(bridge::from_data(data, key, None));
    }
    let applied = network.apply(tensors, None, None, false);
    if let Some(error) = applied.errors.first() {
        return Err(invalid(path, other_shape(error)));
    }
    match applied.missing.first() {
        Some((tensor, _)) => {
            Err(invalid(path, format!("tensor `{tensor}` is missing ({} in all)", applied.missing.len())))
        }
        None => Ok(()),
    }
}

fn other_shape(error: &ApplyError) -> String {
    match error {
        ApplyError::ShapeMismatch { path, expected, found } => {
            format!("tensor `{path}` is {:?}, expected {:?}", found.to_vec(), expected.to_vec())
        }
        other => other.to_string(),
    }
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
