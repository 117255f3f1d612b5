//! Golden outputs of the original, and our networks with its weights.

use crate::{formula, sums::Sums};
use burn::tensor::{Device, Tensor, TensorData};
use ofa_model::{OriginalArch, SearchSpace, Supernet, SupernetConfig, read_state_dict};
use serde::{Deserialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Golden data on one supernet and its subnets.
#[derive(Deserialize)]
pub struct Golden {
    pub weight_seed: u64,
    pub supernet_parameters: u64,
    pub tensors: Vec<GoldenTensor>,
    pub subnets: Vec<GoldenSubnet>,
    #[serde(default)]
    pub calibrations: Vec<GoldenCalibration>,
    #[serde(default)]
    pub sorted: Vec<GoldenSort>,
}

#[derive(Deserialize)]
pub struct GoldenTensor {
    pub key: String,
    pub shape: Vec<usize>,
    pub sums: Sums,
}

#[derive(Deserialize)]
pub struct GoldenSubnet {
    pub name: String,
    pub arch: OriginalArch,
    pub parameters: u64,
    /// MACs of one image by resolution.
    pub macs: BTreeMap<usize, u64>,
}

#[derive(Deserialize)]
pub struct GoldenCalibration {
    pub file: String,
    pub arch: OriginalArch,
    /// Name, number of images and image size of every batch.
    pub batches: Vec<(String, usize, usize)>,
    pub input: (String, usize, usize),
    /// Key, number of leading channels that changed, and number of channels, in layer order.
    pub changed: Vec<(String, usize, usize)>,
}

#[derive(Deserialize)]
pub struct GoldenSort {
    pub stage: usize,
    pub arch: BTreeMap<String, OriginalArch>,
}

pub fn golden_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

pub fn golden_json<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&std::fs::read_to_string(golden_file(name)).unwrap()).unwrap()
}

pub fn golden_tensors(name: &str) -> BTreeMap<String, TensorData> {
    read_state_dict(&golden_file(name)).unwrap().into_iter().collect()
}

pub fn numbers(data: &TensorData) -> Vec<f32> {
    data.try_to_vec().unwrap()
}

pub fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let difference = |(x, y): (&f32, &f32)| if x.is_finite() { (x - y).abs() } else { f32::INFINITY };
    a.iter().zip(b).map(difference).fold(0.0, f32::max)
}

/// Standard deviation of logits: the scale for their differences.
pub fn spread(logits: &[f32]) -> f32 {
    let mean = logits.iter().sum::<f32>() / logits.len() as f32;
    (logits.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / logits.len() as f32).sqrt()
}

/// The supernets with golden outputs.
pub const KINDS: [&str; 4] = ["mbv3_w1.0", "mbv3_w1.2", "proxyless_w1.3", "resnets"];

impl Golden {
    pub fn read(kind: &str) -> Self {
        golden_json(&format!("{kind}.json"))
    }

    /// The entries of the original's state dict, with a classifier for `classes` classes.
    pub fn state_dict(&self, kind: &str, classes: usize) -> Vec<(String, TensorData)> {
        let mut statistics = golden_tensors(&format!("bn_stats_{kind}.safetensors"));
        let value = |tensor: &GoldenTensor| {
            let GoldenTensor { key, shape, .. } = tensor;
            let data = statistics.remove(key).unwrap_or_else(|| {
                let mut shape = shape.clone();
                if key.starts_with("classifier") {
                    shape[0] = classes;
                }
                TensorData::new(formula::parameter(key, &shape, self.weight_seed), shape)
            });
            (key.clone(), data)
        };
        self.tensors.iter().map(value).collect()
    }

    /// Our supernet with the original's weights and statistics.
    pub fn supernet(&self, kind: &str, classes: usize) -> Supernet {
        let mut space = space(kind, classes);
        // The original is not limited to a list of resolutions; some golden outputs use smaller images.
        space.resolutions.insert(0, 96);
        let config = SupernetConfig::new(space).unwrap();
        let tensors = self.state_dict(kind, classes);
        let (supernet, report) = config.init(&Device::flex()).import_original(tensors).unwrap();
        assert!(report.is_complete(), "{report}");
        supernet
    }
}

/// Our space for a golden supernet.
pub fn space(kind: &str, classes: usize) -> SearchSpace {
    match kind {
        "mbv3_w1.0" => SearchSpace::mobilenet_v3(1.0, classes),
        "mbv3_w1.2" => SearchSpace::mobilenet_v3(1.2, classes),
        "proxyless_w1.3" => SearchSpace::proxyless_nas(1.3, classes),
        "resnets" => SearchSpace::resnet50d(classes),
        _ => panic!("no golden supernet `{kind}`"),
    }
}

pub fn logits(tensor: Tensor<2>) -> Vec<f32> {
    numbers(&tensor.into_data())
}
