//! Accuracy predictors of the PyTorch original.

use super::{Ensemble, MlpPredictor};
use crate::SearchError;
use crate::predictors::ArchEncoder;
use burn::tensor::{Device, TensorData};
use ofa_model::{ModelError, SearchSpace};
use std::collections::BTreeMap;

impl MlpPredictor {
    /// Loads a predictor of the original from its state dict, (key, tensor) pairs as returned by
    /// [`read_state_dict`](ofa_model::read_state_dict).
    ///
    /// Supports both of its predictors: the library's `AccuracyPredictor` (keys `layers.*`, `base_acc`) and the
    /// tutorial's (keys `0.weight`, `2.weight`, ...). Each has its own feature order. The resolutions of `space` must
    /// be those it was trained on: for the tutorial's, 112 to 224 px in steps of 16.
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidTensor`], within [`SearchError`], if the tensors do not form such a network, or its number
    /// of features differs from that of the space.
    pub fn from_original(
        space: &SearchSpace,
        tensors: impl IntoIterator<Item = (String, TensorData)>,
        device: &Device,
    ) -> Result<Self, SearchError> {
        let mut tensors: BTreeMap<String, TensorData> = tensors.into_iter().collect();
        let library = tensors.contains_key("layers.0.0.weight");
        let encoder = if library { ArchEncoder::original(space) } else { ArchEncoder::original_tutorial(space) };
        let names = if library { library_names } else { tutorial_names };
        let base = if library { numbers(&mut tensors, "base_acc", &[1])?[0] } else { 0.0 };

        let mut layers = Vec::new();
        let mut inputs = encoder.dimension();
        for i in 0.. {
            let (weight, bias) = names(i, &tensors);
            let Some(outputs) = tensors.get(&weight).map(|data| data.shape().first().copied().unwrap_or(0)) else {
                break;
            };
            if outputs == 0 {
                return Err(invalid(weight, "it is empty".into()));
            }
            let weight = transposed(&numbers(&mut tensors, &weight, &[outputs, inputs])?, inputs);
            let bias = match bias {
                Some(bias) => numbers(&mut tensors, &bias, &[outputs])?,
                None => vec![0.0; outputs],
            };
            layers.push((weight, bias));
            inputs = outputs;
        }
        if let Some((key, _)) = tensors.pop_first() {
            return Err(invalid(key, "no predictor of the original has this tensor".into()));
        }
        if layers.is_empty() || inputs != 1 {
            return Err(invalid("layers".into(), format!("the network ends in {inputs} outputs, expected 1")));
        }
        let networks = Ensemble::from_layers(layers, device);
        Ok(Self { encoder, networks, mean: f64::from(base), deviation: 1.0, device: device.clone() })
    }
}

/// Keys of layer `i` of the library's predictor. Its output layer has no bias.
fn library_names(i: usize, tensors: &BTreeMap<String, TensorData>) -> (String, Option<String>) {
    let hidden = format!("layers.{i}.0.weight");
    if tensors.contains_key(&hidden) {
        (hidden, Some(format!("layers.{i}.0.bias")))
    } else {
        (format!("layers.{i}.weight"), None)
    }
}

/// Keys of layer `i` of the tutorial's predictor, in which every other module is a ReLU.
fn tutorial_names(i: usize, _: &BTreeMap<String, TensorData>) -> (String, Option<String>) {
    (format!("{}.weight", 2 * i), Some(format!("{}.bias", 2 * i)))
}

/// Removes the tensor `key`, which must have this shape, and returns its values.
fn numbers(tensors: &mut BTreeMap<String, TensorData>, key: &str, shape: &[usize]) -> Result<Vec<f32>, SearchError> {
    let data = tensors.remove(key).ok_or_else(|| invalid(key.to_owned(), "it is missing".into()))?;
    let found = data.shape().to_vec();
    if found != shape || !data.dtype().is_float() {
        let problem = format!("it is {:?} of {found:?}, expected floats of shape {shape:?}", data.dtype());
        return Err(invalid(
            key.to_owned(),
            format!("{problem} (do the space and its resolutions match the predictor?)"),
        ));
    }
    Ok(data.convert::<f32>().try_into_vec().expect("a tensor converted to f32 holds f32"))
}

/// Transposes a row-major matrix.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| matrix.iter().skip(column).step_by(columns).copied()).collect()
}

fn invalid(key: String, problem: String) -> SearchError {
    ModelError::InvalidTensor { key, problem }.into()
}
