//! `ofa weights`: checkpoints of the PyTorch original.

mod import;
mod logits;

use anyhow::Result;
use burn::tensor::TensorData;
use clap::{Args, Subcommand};
use experiments::console::say;
use ofa_model::{Checkpoint, CheckpointWeights};
use std::path::PathBuf;

/// Reads checkpoints of the PyTorch original.
#[derive(Subcommand)]
#[command(after_help = "Example: ofa weights import --space mobilenet_v3 --width 1.2 --checkpoint FILE.pth --out DIR")]
pub enum Command {
    Import(import::Options),
    Logits(logits::Options),
}

/// Which weights are read.
#[derive(Args)]
struct Weights {
    /// Checkpoint of the original: a .pth file written by torch.save, or a .safetensors file
    #[arg(long)]
    checkpoint: PathBuf,
    /// Key of the weights, where the checkpoint holds several sets (`state_dict_ema`; `.` for those without a key)
    /// [default: the moving average, if it is whole]
    #[arg(long)]
    weights: Option<String>,
}

impl Weights {
    /// Reads the tensors by key, and says what was taken.
    fn read(&self) -> Result<Vec<(String, TensorData)>> {
        let CheckpointWeights { tensors, found } =
            Checkpoint::open(&self.checkpoint)?.weights(self.weights.as_deref())?;
        found.iter().for_each(|found| say(found));
        Ok(tensors)
    }
}

impl Command {
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Import(options) => import::run(options),
            Self::Logits(options) => logits::run(options),
        }
    }
}
