//! State dicts in files.

use crate::ModelError;
use burn::store::pytorch::{PytorchError, PytorchReader};
use burn::store::{ModuleStore, SafetensorsStore, bridge};
use burn::tensor::TensorData;
use std::path::Path;

/// The tensors of a checkpoint by key, in the order of the keys.
///
/// A file whose name ends in `.safetensors` is read as such, any other as one that `torch.save` wrote: a state dict, or
/// a dictionary that holds it as `state_dict` (the published checkpoints). Pickled code is never run.
///
/// # Errors
///
/// [`ModelError::Io`] if there is no such file; [`ModelError::InvalidFile`] if it is not a checkpoint or is damaged.
pub fn read_state_dict(path: &Path) -> Result<Vec<(String, TensorData)>, ModelError> {
    std::fs::metadata(path).map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
    let tensors = if path.extension().is_some_and(|extension| extension == "safetensors") {
        safetensors(path)
    } else {
        pytorch(path)
    };
    tensors.map_err(|problem| ModelError::InvalidFile { path: path.to_owned(), problem })
}

fn safetensors(path: &Path) -> Result<Vec<(String, TensorData)>, String> {
    let mut store = SafetensorsStore::from_file(path);
    let tensors = store.get_all_tensors().map_err(|error| error.to_string())?;
    let read = |(key, tensor)| {
        let data = bridge::to_data(tensor).map_err(|error| format!("tensor `{key}`: {error}"))?;
        Ok((String::clone(key), data))
    };
    tensors.iter().map(read).collect()
}

fn pytorch(path: &Path) -> Result<Vec<(String, TensorData)>, String> {
    let reader = match PytorchReader::with_top_level_key(path, "state_dict") {
        Err(PytorchError::KeyNotFound(_)) => PytorchReader::new(path),
        read => read,
    };
    let tensors = reader.map_err(|error| error.to_string())?.into_tensors();
    let mut tensors: Vec<_> = tensors.into_iter().collect();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let read = |(key, tensor)| {
        let data = bridge::into_data(bridge::from_pytorch(tensor));
        data.map_err(|error| format!("tensor `{key}`: {error}")).map(|data| (key, data))
    };
    tensors.into_iter().map(read).collect()
}
