//! Parity with the PyTorch original: features of archs and predictions of its accuracy predictors.
//! `golden/README.md` says what made them.

#[path = "../../ofa-model/tests/original/formula.rs"]
#[allow(dead_code, reason = "only its numbers are needed here")]
mod formula;

use burn::tensor::{Device, TensorData};
use ofa_model::{Arch, OriginalArch, SearchSpace, read_state_dict};
use ofa_search::{ArchEncoder, MlpPredictor, Predictor};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An encoder of the original and the predictor behind it.
#[derive(Deserialize)]
struct Golden {
    archs: Vec<OriginalArch>,
    /// Resolutions it has features for.
    resolutions: Vec<usize>,
    /// Keys and shapes of the predictor's state dict.
    predictor: Vec<(String, Vec<usize>)>,
}

fn golden_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn golden() -> (BTreeMap<String, Golden>, BTreeMap<String, TensorData>) {
    let text = std::fs::read_to_string(golden_file("predictors.json")).unwrap();
    let tensors = read_state_dict(&golden_file("predictors.safetensors")).unwrap();
    (serde_json::from_str(&text).unwrap(), tensors.into_iter().collect())
}

/// Our space for an encoder of the original.
fn space(name: &str, resolutions: &[usize]) -> SearchSpace {
    let space = match name {
        "mbv2" => SearchSpace::proxyless_nas(1.3, 1000),
        "resnet" => SearchSpace::resnet50d(1000),
        _ => SearchSpace::mobilenet_v3(1.0, 1000),
    };
    SearchSpace { resolutions: resolutions.to_vec(), ..space }
}

/// Weights of a predictor by the formula.
fn state_dict(name: &str, golden: &Golden) -> Vec<(String, TensorData)> {
    let prefix = if name == "tutorial" { "tutacc".to_owned() } else { format!("acc.{name}") };
    let value = |(key, shape): &(String, Vec<usize>)| {
        let bound = match shape[..] {
            [_, inputs] => (3.0 * 2.0 / inputs as f64).sqrt() as f32,
            _ => 0.125,
        };
        let numbers = formula::symmetric(&format!("{prefix}.{key}"), shape.iter().product(), 1);
        (key.clone(), TensorData::new(numbers.map(|x| bound * x).collect(), shape.clone()))
    };
    golden.predictor.iter().map(value).collect()
}

#[test]
fn features_and_predictions_are_those_of_the_original() {
    let (encoders, expected) = golden();
    assert_eq!(encoders.len(), 5);
    for (name, golden) in &encoders {
        let space = space(name, &golden.resolutions);
        let archs: Vec<Arch> = golden.archs.iter().map(|arch| Arch::from_original(arch, &space).unwrap()).collect();
        assert_eq!(archs.len(), 12);
        let encoder = match name.as_str() {
            "tutorial" => ArchEncoder::original_tutorial(&space),
            _ => ArchEncoder::original(&space),
        };
        let features = &expected[&format!("{name}.features")];
        assert_eq!(encoder.dimension(), features.shape()[1], "{name}");
        assert_eq!(encoder.encode(&archs).unwrap(), features.try_to_vec::<f32>().unwrap(), "{name}");

        let predictor = MlpPredictor::from_original(&space, state_dict(name, golden), &Device::flex()).unwrap();
        let predictions: Vec<f32> = expected[&format!("{name}.predictions")].try_to_vec().unwrap();
        for (found, expected) in predictor.predict(&archs).unwrap().into_iter().zip(predictions) {
            assert!((found - f64::from(expected)).abs() < 1e-5, "{name}: {found} against {expected}");
        }
    }
}

#[test]
fn predictors_that_do_not_fit_are_refused() {
    let (encoders, _) = golden();
    let golden = &encoders["mbv3"];
    let message = |space: &SearchSpace, change: fn(&mut Vec<(String, TensorData)>)| {
        let mut tensors = state_dict("mbv3", golden);
        change(&mut tensors);
        MlpPredictor::from_original(space, tensors, &Device::flex()).unwrap_err().to_string()
    };
    let fitting = space("mbv3", &golden.resolutions);
    let cases = [
        (message(&SearchSpace::mobilenet_v3(1.0, 1000), |_| ()), "[400, 124], expected floats of shape [400, 145]"),
        (
            message(&fitting, |tensors| tensors.retain(|(key, _)| key != "layers.1.0.bias")),
            "layers.1.0.bias`: it is missing",
        ),
        (message(&fitting, |tensors| tensors.retain(|(key, _)| key != "layers.3.weight")), "ends in 400 outputs"),
        (
            message(&fitting, |tensors| tensors.push(("teacher".into(), TensorData::from([1.0f32])))),
            "`teacher`: no predictor of the original",
        ),
        (message(&fitting, |tensors| tensors.clear()), "ends in"),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "{message}");
    }
}
