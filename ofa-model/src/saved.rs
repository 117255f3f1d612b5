//! Saves each network as its own directory.

mod subnet;
mod supernet;

pub use subnet::SubnetCard;

use crate::ModelError;
use crate::directory::at;
use burn::module::Module;
use burn::store::{ModuleSnapshot, SafetensorsStore};
use serde::{Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};

const WEIGHTS: &str = "weights.safetensors";

/// Writes a JSON file called `name` and the weights of `network` to a directory.
fn write(dir: &Path, name: &str, description: &impl Serialize, network: &impl Module) -> Result<(), ModelError> {
    let json = serde_json::to_string_pretty(description).expect("a description is plain data");
    let path = dir.join(name);
    std::fs::write(&path, json).map_err(at(&path))?;
    let path = dir.join(WEIGHTS);
    let mut store = SafetensorsStore::from_file(&path);
    network.save_into(&mut store).map_err(|error| invalid(path, error))
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

fn invalid(path: PathBuf, problem: impl ToString) -> ModelError {
    ModelError::InvalidFile { path, problem: problem.to_string() }
}
