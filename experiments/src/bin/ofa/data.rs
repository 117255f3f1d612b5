//! `ofa data`: sets of images.

mod bench;
mod check;
mod prepare;
mod preview;

use anyhow::Result;
use clap::Subcommand;

/// Checks, prepares, shows and times sets of images.
#[derive(Subcommand)]
#[command(after_help = "Example: ofa data check DIR --out broken.csv")]
pub enum Command {
    Check(check::Options),
    Prepare(prepare::Options),
    Preview(preview::Options),
    Bench(bench::Options),
}

impl Command {
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Check(options) => check::run(options),
            Self::Prepare(options) => prepare::run(options),
            Self::Preview(options) => preview::run(options),
            Self::Bench(options) => bench::run(options),
        }
    }
}
