//! `ofa weights`: checkpoints of the PyTorch original.

mod import;
mod logits;

use anyhow::Result;
use clap::Subcommand;

/// Reads checkpoints of the PyTorch original.
#[derive(Subcommand)]
#[command(after_help = "Example: ofa weights import --space mobilenet_v3 --width 1.2 --checkpoint FILE.pth --out DIR")]
pub enum Command {
    Import(import::Options),
    Logits(logits::Options),
}

impl Command {
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Import(options) => import::run(options),
            Self::Logits(options) => logits::run(options),
        }
    }
}
