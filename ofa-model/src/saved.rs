//! Networks as directories of their own, written whole or not at all.

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

/// Writes a new directory of a JSON file called `name` and the weights of `network`.
fn save(dir: &Path, name: &str, description: &impl Serialize, network: &impl Module) -> Result<(), ModelError> {
    if dir.exists() {
        return Err(at(dir)(io::ErrorKind::AlreadyExists.into()));
    }
    let mut unfinished = dir.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = Path::new(&unfinished);
    if unfinished.exists() {
        std::fs::remove_dir_all(unfinished).map_err(at(unfinished))?;
    }
    std::fs::create_dir_all(unfinished).map_err(at(unfinished))?;

    let json = serde_json::to_string_pretty(description).expect("a description is plain data");
    let path = unfinished.join(name);
    std::fs::write(&path, json).map_err(at(&path))?;
    let path = unfinished.join(WEIGHTS);
    let mut store = SafetensorsStore::from_file(&path);
    network.save_into(&mut store).map_err(|error| invalid(path, error))?;
    std::fs::rename(unfinished, dir).map_err(at(dir))
}

/// The JSON file called `name` of a directory.
fn description<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T, ModelError> {
    let path = dir.join(name);
    let text = std::fs::read_to_string(&path).map_err(at(&path))?;
    serde_json::from_str(&text).map_err(|error| invalid(path, error))
}

/// Fills `network` with the weights of a directory.
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
