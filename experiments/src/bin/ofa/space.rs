//! `ofa space`: search spaces.

mod show;

use anyhow::Result;
use clap::Subcommand;

/// Describes search spaces and their archs.
#[derive(Subcommand)]
#[command(after_help = "Example: ofa space show --space mobilenet_v3")]
pub enum Command {
    Show(show::Options),
}

impl Command {
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Show(options) => show::run(options),
        }
    }
}
