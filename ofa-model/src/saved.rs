//! Saves each network as its own directory.

mod subnet;
mod supernet;

pub use subnet::SubnetCard;

use crate::directory::at;
use crate::soundness::check_tensor;
use crate::{ModelError, read_text, tensor_file};
use burn::module::Module;
use burn::store::burn_pack::Tensor;
use burn::store::{ApplyError, ModuleSnapshot, bridge};
use serde::{Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};

const WEIGHTS: &str = "weights.safetensors";

/// Writes a JSON file called `name` and the weights of `network` to a directory.
fn write(dir: &Path, name: &str, description: &impl Serialize, network: &impl Module) -> Result<(), ModelError> {
    let json = serde_json::to_string_pretty(description).expect("a description is plain data");
    let path = dir.join(name);
    std::fs::write(&path, json).map_err(at(&path))?;
    write_weights(&dir.join(WEIGHTS), network)
}

/// Reads the JSON file called `name` from a directory.
fn description<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T, ModelError> {
    let path = dir.join(name);
    let text = read_text(&path).map_err(at(&path))?;
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

fn invalid(path: PathBuf, problem: impl ToString) -> ModelError {
    ModelError::InvalidFile { path, problem: problem.to_string() }
}
