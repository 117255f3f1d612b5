//! Reads and writes state dicts as files.

use crate::ModelError;
use atomic_write_file::AtomicWriteFile;
use burn::store::pytorch::{PytorchError, PytorchReader};
use burn::store::{ModuleStore, SafetensorsStore, bridge};
use burn::tensor::{DType, TensorData};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

/// Reads the tensors of a checkpoint, sorted by key.
///
/// A file whose name ends in `.safetensors` is read as safetensors. Any other file is read as one written by
/// `torch.save`: a state dict, or a dictionary that holds it as `state_dict` (the published checkpoints). Pickled code
/// is never run.
///
/// # Errors
///
/// [`ModelError::Io`] if the file does not exist; [`ModelError::InvalidFile`] if it is not a checkpoint or is damaged.
pub fn read_state_dict(path: &Path) -> Result<Vec<(String, TensorData)>, ModelError> {
    std::fs::metadata(path).map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
    let tensors = if path.extension().is_some_and(|extension| extension == "safetensors") {
        read_safetensors(path)
    } else {
        read_pytorch(path)
    };
    tensors.map_err(|problem| ModelError::InvalidFile { path: path.to_owned(), problem })
}

/// Writes tensors by key as a safetensors file that PyTorch can read. The file is written completely or not at all.
///
/// # Errors
///
/// [`ModelError::InvalidTensor`] if a tensor is neither f32 nor i64; [`ModelError::Io`] if the file cannot be written.
pub fn write_state_dict(path: &Path, tensors: &[(String, TensorData)]) -> Result<(), ModelError> {
    let mut views = Vec::with_capacity(tensors.len());
    for (key, data) in tensors {
        let dtype = match data.dtype() {
            DType::F32 => Dtype::F32,
            DType::I64 => Dtype::I64,
            other => {
                let problem = format!("its dtype is {other:?}, expected F32 or I64");
                return Err(ModelError::InvalidTensor { key: key.clone(), problem });
            }
        };
        let view = TensorView::new(dtype, data.shape().to_vec(), data.bytes());
        views.push((key, view.expect("tensor data are as long as their shape says")));
    }
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let io = |source| ModelError::Io { path: path.to_owned(), source };
    let bytes = safetensors::serialize(views, Some(format)).map_err(|error| io(std::io::Error::other(error)))?;
    let mut file = AtomicWriteFile::open(path).map_err(io)?;
    file.write_all(&bytes).and_then(|()| file.commit()).map_err(io)
}

fn read_safetensors(path: &Path) -> Result<Vec<(String, TensorData)>, String> {
    let mut store = SafetensorsStore::from_file(path);
    let tensors = store.get_all_tensors().map_err(|error| error.to_string())?;
    let read = |(key, tensor)| {
        let data = bridge::to_data(tensor).map_err(|error| format!("tensor `{key}`: {error}"))?;
        Ok((String::clone(key), data))
    };
    tensors.iter().map(read).collect()
}

fn read_pytorch(path: &Path) -> Result<Vec<(String, TensorData)>, String> {
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
