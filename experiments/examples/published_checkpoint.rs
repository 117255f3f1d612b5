//! Writes a checkpoint as the original publishes them, with random weights: for trying an import without a download.
//!
//! Command:  `cargo run --release --example published_checkpoint -- FILE.safetensors`
//! Result:   weights of MobileNetV3 (width 1.0, 1,000 classes) under the original's names

use anyhow::{Context, Result};
use burn::tensor::Device;
use ofa_model::{SearchSpace, SupernetConfig, write_state_dict};

fn main() -> Result<()> {
    let file = std::env::args().nth(1).context("missing argument: the file to write")?;
    let supernet = SupernetConfig::new(SearchSpace::mobilenet_v3(1.0, 1000))?.with_seed(1).init(&Device::flex());
    Ok(write_state_dict(file.as_ref(), &supernet.to_original())?)
}
