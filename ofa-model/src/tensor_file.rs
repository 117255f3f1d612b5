//! Safetensors files, read in one pass and written as a function of their content.

use crate::ModelError;
use atomic_write_file::AtomicWriteFile;
use burn::tensor::{BoolStore, DType, TensorData};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::Path;

/// Reads all tensors of a file, by key.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, TensorData>, ModelError> {
    let invalid = |problem| ModelError::InvalidFile { path: path.to_owned(), problem };
    let bytes = std::fs::read(path).map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
    let file =
        SafeTensors::deserialize(&bytes).map_err(|error| invalid(format!("no whole safetensors file: {error}")))?;
    let tensor = |(key, view): (&str, TensorView)| {
        let dtype = from_file(view.dtype())
            .ok_or_else(|| invalid(format!("tensor `{key}`: numbers of type {} are not read", view.dtype())))?;
        Ok((key.to_owned(), TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype)))
    };
    file.iter().map(tensor).collect()
}

/// Writes a file, completely or not at all.
///
/// Equal tensors give equal bytes: the crate sorts tensors, but writes metadata in the order of a hash map, so the file
/// has a single entry of it (PyTorch's readers ask for `format`).
pub(crate) fn write<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, &'a TensorData)>,
) -> Result<(), ModelError> {
    let views = tensors.into_iter().map(|(key, data)| {
        let dtype = to_file(data.dtype()).ok_or_else(|| {
            let problem = format!("its dtype is {:?}, expected F32 or I64", data.dtype());
            ModelError::InvalidTensor { key: key.to_owned(), problem }
        })?;
        let view = TensorView::new(dtype, data.shape().to_vec(), data.bytes());
        Ok((key, view.expect("tensor data are as long as their shape says")))
    });
    let views = views.collect::<Result<Vec<_>, ModelError>>()?;
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let failed = |source| ModelError::Io { path: path.to_owned(), source };
    let bytes = safetensors::serialize(views, Some(format)).map_err(|error| failed(io::Error::other(error)))?;
    let mut file = AtomicWriteFile::open(path).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.commit()).map_err(failed)
}

fn from_file(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool(BoolStore::Native),
        _ => return None,
    })
}

fn to_file(dtype: DType) -> Option<Dtype> {
    match dtype {
        DType::F32 => Some(Dtype::F32),
        DType::I64 => Some(Dtype::I64),
        _ => None,
    }
}
