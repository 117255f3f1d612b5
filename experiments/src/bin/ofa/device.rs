//! `ofa device`: latencies of devices that run none of our code.

mod kit;
mod read;

use anyhow::Result;
use clap::Subcommand;

/// Measures devices that run none of our code: a kit goes there, results come back.
#[derive(Subcommand)]
#[command(after_help = "Example: ofa device kit --run runs/mine --networks 200 --out kit")]
pub enum Command {
    Kit(kit::Options),
    Read(read::Options),
}

impl Command {
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Kit(options) => kit::run(options),
            Self::Read(options) => read::run(options),
        }
    }
}
