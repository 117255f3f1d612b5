//! `ofa bench`: the speed of our networks.

mod backends;
mod ceilings;
mod gpu;
mod pytorch;
mod workload;

use anyhow::Result;
use clap::Subcommand;
use std::process;

/// Times our networks beside PyTorch, other backends and what the machine can do at best.
#[derive(Subcommand)]
#[command(after_help = "Example: ofa bench pytorch --python venv/bin/python --compile")]
pub enum Command {
    Pytorch(pytorch::Options),
    Workload(workload::Options),
    Backends(backends::Options),
    Gpu(gpu::Options),
    Ceilings(ceilings::Options),
}

impl Command {
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Pytorch(options) => pytorch::run(options),
            Self::Workload(options) => workload::run(options),
            Self::Backends(options) => backends::run(options),
            Self::Gpu(options) => gpu::run(options),
            Self::Ceilings(options) => ceilings::run(options),
        }
    }
}

/// Another `ofa bench` command in a process of its own, which measures its own memory and shares no threads.
fn in_a_process(what: &str) -> Result<process::Command> {
    let mut command = process::Command::new(std::env::current_exe()?);
    command.args(["bench", what]);
    Ok(command)
}
