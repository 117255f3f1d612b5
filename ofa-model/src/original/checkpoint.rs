//! [`Checkpoint`]: a file of tensors, and the weights of a network in it.

use super::weight_set::{self, WeightSet};
use crate::{ModelError, tensor_file};
use burn::store::bridge;
use burn::store::burn_pack::Tensor;
use burn::store::pytorch::PytorchReader;
use burn::store::pytorch_reader::PickleValue;
use burn::tensor::TensorData;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A checkpoint: a `.pth` file written by `torch.save`, or a safetensors file. The content tells which.
///
/// Pickled code is never run.
pub struct Checkpoint {
    path: PathBuf,
    /// By dotted path through dictionaries and lists; not necessarily read yet.
    tensors: BTreeMap<String, Tensor>,
}

/// The weights of one network in a checkpoint.
pub struct CheckpointWeights {
    /// Tensors by the original's keys, sorted, without what was around them in the file.
    pub tensors: Vec<(String, TensorData)>,
    /// What was taken and what was left, in a sentence; `None` if the file holds nothing but these tensors, under
    /// these keys.
    pub found: Option<String>,
}

/// The most names of keys in an error.
const NAMED_KEYS: usize = 20;

impl Checkpoint {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] if it cannot be read; [`ModelError::InvalidFile`] if it is no checkpoint, or damaged.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let tensors = if is_safetensors(path)? {
            let resident = |(key, data): (String, _)| (key.clone(), bridge::from_data(data, key, None));
            let tensors = tensor_file::read(path).map_err(|error| other_file(path).unwrap_or(error))?;
            tensors.into_iter().map(resident).collect()
        } else {
            let reader = PytorchReader::new(path).map_err(|error| {
                let problem = format!("it cannot be read as a checkpoint of PyTorch: {error}");
                other_file(path).unwrap_or(ModelError::InvalidFile { path: path.to_owned(), problem })
            })?;
            reader.into_tensors().into_iter().map(|(key, tensor)| (key, bridge::from_pytorch(tensor))).collect()
        };
        Ok(Self { path: path.to_owned(), tensors })
    }

    /// The paths of its tensors, sorted.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> + Clone {
        self.tensors.keys().map(String::as_str)
    }

    /// Reads the weights of a network of the original, whatever dictionaries and prefixes are around them.
    ///
    /// Where there are several sets of weights, `chosen` names one by a key above it (`state_dict_ema`; `.` for the one
    /// without a key). Without it, sets with running statistics go before those without, a moving average goes before
    /// the raw weights, and a teacher comes last.
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidFile`] if there are no such weights, or none under `chosen`; it names the keys that there
    /// are. Also if a tensor cannot be read.
    pub fn weights(self, chosen: Option<&str>) -> Result<CheckpointWeights, ModelError> {
        let sets = weight_set::all(self.keys());
        if sets.is_empty() {
            return Err(self.invalid(self.no_weights()));
        }
        let set = weight_set::choose(&sets, chosen).ok_or_else(|| {
            let names = sets.iter().map(|set| format!("`{}`", set.label())).collect::<Vec<_>>().join(", ");
            self.invalid(format!("no weights under `{}`; there are weights under {names}", chosen.unwrap_or_default()))
        })?;
        let found = self.sentence(set, &sets);
        Ok(CheckpointWeights { tensors: self.read(set.keys.clone())?, found })
    }

    /// Reads tensors: pairs of their path here and their name in the result.
    pub(super) fn read(self, keys: Vec<(String, String)>) -> Result<Vec<(String, TensorData)>, ModelError> {
        let Self { path, mut tensors } = self;
        let mut read = |(key, name): (String, String)| {
            let tensor = tensors.remove(&key).expect("the key is one of this file");
            let problem = |error| format!("tensor `{key}`: {error}");
            let data = bridge::into_data(tensor).map_err(problem);
            data.map(|data| (name, data)).map_err(|problem| ModelError::InvalidFile { path: path.clone(), problem })
        };
        keys.into_iter().map(&mut read).collect()
    }

    fn sentence(&self, set: &WeightSet, sets: &[WeightSet]) -> Option<String> {
        let left = set.left_out(self.keys(), sets);
        let others: Vec<String> = sets.iter().map(WeightSet::label).filter(|label| *label != set.label()).collect();
        if set.prefix.is_empty() && set.wrappers.is_empty() && left.is_empty() && others.is_empty() {
            return None;
        }
        let mut sentence = match set.prefix.as_str() {
            "" => format!("{}: took the {} tensors at the top", self.path.display(), set.keys.len()),
            prefix => format!("{}: took the {} tensors under `{prefix}.`", self.path.display(), set.keys.len()),
        };
        if !set.wrappers.is_empty() {
            sentence += &format!(", without `{}` inside their names", set.wrappers.join("`, `"));
        }
        if !others.is_empty() {
            let which = if set.is_average() { "the moving average; " } else { "" };
            sentence += &format!(" ({which}other weights: `{}`, see --weights)", others.join("`, `"));
        }
        if !left.is_empty() {
            sentence += &format!("; left out: {}", named(left.iter().cloned()));
        }
        Some(sentence)
    }

    fn no_weights(&self) -> String {
        if self.keys().any(|key| key == "head.classifier_weight") {
            return "these are the weights of a directory that this project wrote: name the directory, nothing has to \
                    be imported"
                .to_owned();
        }
        let what = match self.tensors.len() {
            0 => "it holds no tensor".to_owned(),
            count => format!(
                "none of its {count} tensors has a name of the original's networks (`first_conv..`, `input_stem..`, \
                 `blocks.0.conv..`, `classifier.linear..`)"
            ),
        };
        match self.top_level() {
            keys if keys.is_empty() => format!("{what}, nor any key"),
            keys => format!("{what}; its keys are: {}", named(keys.into_iter())),
        }
    }

    /// The keys of the outermost dictionary, also of what holds no tensor.
    fn top_level(&self) -> Vec<String> {
        let mut keys = match PytorchReader::read_pickle_data(&self.path, None) {
            Ok(PickleValue::Dict(entries)) => entries.into_keys().collect(),
            _ => self.keys().map(|key| key.split('.').next().unwrap_or(key).to_owned()).collect::<Vec<_>>(),
        };
        keys.sort();
        keys.dedup();
        keys
    }

    fn invalid(&self, problem: String) -> ModelError {
        ModelError::InvalidFile { path: self.path.clone(), problem }
    }
}

/// The names, at most [`NAMED_KEYS`] of them.
fn named(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMED_KEYS);
    let mut text = names.take(NAMED_KEYS).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

/// The error for a file that is what downloads leave in place of a checkpoint; `None` if it is another.
fn other_file(path: &Path) -> Option<ModelError> {
    let mut start = Vec::new();
    std::fs::File::open(path).ok()?.take(64).read_to_end(&mut start).ok()?;
    let start = start.trim_ascii_start();
    let kind = match start {
        [] => "it is empty: download it again",
        [b'<', ..] => "it is a page of HTML: the download needs another link, or a confirmation in a browser",
        _ if start.starts_with(b"version https://git-lfs") => {
            "it is a pointer of Git LFS, not the file itself: fetch it with `git lfs pull`"
        }
        _ => return None,
    };
    Some(ModelError::InvalidFile { path: path.to_owned(), problem: kind.to_owned() })
}

/// Whether a file is called safetensors, or begins like one: the length of a header in eight bytes, then JSON.
fn is_safetensors(path: &Path) -> Result<bool, ModelError> {
    let failed = |source| ModelError::Io { path: path.to_owned(), source };
    let mut start = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(9).read_to_end(&mut start)).map_err(failed)?;
    let length = start.first_chunk::<8>().map_or(u64::MAX, |length| u64::from_le_bytes(*length));
    let begins_so = start.get(8) == Some(&b'{') && length < 1 << 32;
    Ok(begins_so || path.extension().is_some_and(|extension| extension == "safetensors") && !start.starts_with(b"PK"))
}
