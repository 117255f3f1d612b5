//! `ofa subnet`: single networks of a supernet.

mod bench;
mod classify;
mod evaluate;
mod export;

use anyhow::Result;
use clap::Subcommand;

/// Exports, evaluates, applies and times subnets of a supernet.
#[derive(Subcommand)]
#[command(after_help = "Example: ofa subnet evaluate runs/mine --split test")]
pub enum Command {
    Export(export::Options),
    Evaluate(evaluate::Options),
    Classify(classify::Options),
    Bench(bench::Options),
}

impl Command {
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Export(options) => export::run(options),
            Self::Evaluate(options) => evaluate::run(options),
            Self::Classify(options) => classify::run(options),
            Self::Bench(options) => bench::run(options),
        }
    }
}
