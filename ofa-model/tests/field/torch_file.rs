//! Writes files as `torch.save(.., _use_new_zipfile_serialization=False)` does, without Python.

use burn::tensor::{DType, TensorData};
use std::path::Path;

/// What a checkpoint holds.
pub enum Value {
    Dictionary(Vec<(String, Value)>),
    Tensor(TensorData),
    Whole(i32),
}

/// A dictionary with the given entries.
pub fn dictionary(entries: impl IntoIterator<Item = (impl Into<String>, Value)>) -> Value {
    Value::Dictionary(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

pub fn write(path: &Path, value: &Value) {
    let mut storages = Vec::new();
    let mut pickled = Vec::new();
    pickle(value, &mut pickled, &mut storages);
    let mut file = Vec::new();
    // The magic number of the format, its version, and the machine.
    whole_pickle(b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", &mut file);
    whole_pickle(b"M\xe9\x03", &mut file);
    whole_pickle(&[b"}(".as_slice(), &text("little_endian"), b"\x88u"].concat(), &mut file);
    whole_pickle(&pickled, &mut file);
    let keys: Vec<u8> = (0..storages.len()).flat_map(|key| text(&key.to_string())).collect();
    whole_pickle(&[b"](".as_slice(), &keys, b"e"].concat(), &mut file);
    for (count, bytes) in storages {
        file.extend((count as u64).to_le_bytes());
        file.extend(bytes);
    }
    std::fs::write(path, file).unwrap();
}

fn whole_pickle(body: &[u8], file: &mut Vec<u8>) {
    file.extend(b"\x80\x02");
    file.extend(body);
    file.push(b'.');
}

fn pickle(value: &Value, out: &mut Vec<u8>, storages: &mut Vec<(usize, Vec<u8>)>) {
    match value {
        Value::Whole(number) => out.extend(whole(*number as usize)),
        Value::Dictionary(entries) => {
            out.extend(b"}(");
            for (key, value) in entries {
                out.extend(text(key));
                pickle(value, out, storages);
            }
            out.push(b'u');
        }
        Value::Tensor(data) => {
            let shape = data.shape().to_vec();
            let count: usize = shape.iter().product();
            let strides: Vec<usize> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
            let kind = if data.dtype() == DType::F32 { "Float" } else { "Long" };
            out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
            out.extend(text("storage"));
            out.extend(format!("ctorch\n{kind}Storage\n").as_bytes());
            out.extend([text(&storages.len().to_string()), text("cpu"), whole(count)].concat());
            out.extend(b"NtQ");
            out.extend([whole(0), tuple(&shape), tuple(&strides)].concat());
            out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
            storages.push((count, data.bytes().to_vec()));
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn whole(number: usize) -> Vec<u8> {
    [b"J".as_slice(), &(number as i32).to_le_bytes()].concat()
}

fn tuple(numbers: &[usize]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|&number| whole(number)).collect();
    [b"(".as_slice(), &numbers, b"t"].concat()
}
