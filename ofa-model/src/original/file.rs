//! Reads and writes state dicts as files.

use super::Checkpoint;
use crate::{ModelError, tensor_file};
use burn::tensor::TensorData;
use std::path::Path;

/// Reads the tensors of a checkpoint, sorted by key.
///
/// Of a dictionary that has an entry `state_dict` (the published checkpoints), that entry is read, of any other file
/// everything. [`Checkpoint`] finds the weights of a network whatever lies around them.
///
/// # Errors
///
/// [`ModelError::Io`] if the file does not exist; [`ModelError::InvalidFile`] if it is not a checkpoint or is damaged.
pub fn read_state_dict(path: &Path) -> Result<Vec<(String, TensorData)>, ModelError> {
    let checkpoint = Checkpoint::open(path)?;
    let nested = |key: &str| key.strip_prefix("state_dict.").map(str::to_owned);
    let mut keys: Vec<_> = checkpoint.keys().filter_map(|key| Some((key.to_owned(), nested(key)?))).collect();
    if keys.is_empty() {
        keys = checkpoint.keys().map(|key| (key.to_owned(), key.to_owned())).collect();
    }
    checkpoint.read(keys)
}

/// Writes tensors by key as a safetensors file that PyTorch can read. The file is written completely or not at all.
///
/// # Errors
///
/// [`ModelError::InvalidTensor`] if a tensor is neither f32 nor i64; [`ModelError::Io`] if the file cannot be written.
pub fn write_state_dict(path: &Path, tensors: &[(String, TensorData)]) -> Result<(), ModelError> {
    tensor_file::write(path, tensors.iter().map(|(key, data)| (key.as_str(), data)))
}
