//! Prints what a run would train, and how long that would take on this device, before it begins.
//!
//! Command:  `cargo run --release --bin plan -- --preset thorough` (`--schedule sandwich --subnet-epochs 60`: another way)
//! Result:   a line a stage: open choices, epochs, learning rate at the batch size, subnets a step; seconds a step and peak
//!           memory from some real steps; hours in all
//!           (`--toml`: the whole configuration, to be changed and given to --config)
//! Time:     some steps of every stage (`--steps 0`: none)

use anyhow::Result;
use clap::Parser;
use experiments::console::say;
use experiments::machine::device;
use experiments::run::images::Images;
use experiments::run::start::ready_to_compute;
use experiments::run::{plan, start};
use std::process::ExitCode;

/// Prints what a run would train, and how long that would take on this device.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    run: start::Options,
    /// Print the configuration as a file to begin with, and nothing else
    #[arg(long)]
    toml: bool,
    /// Processes that share a step, each with its part of the images
    #[arg(long, default_value_t = 1)]
    ranks: usize,
    /// Steps measured in every stage, after one to warm up; 0 measures none
    #[arg(long, default_value_t = 8)]
    steps: usize,
}

fn main() -> ExitCode {
    start::exit_code(ready_to_compute().and_then(|()| run(&Options::parse())))
}

fn run(options: &Options) -> Result<()> {
    let (config, listed) = start::configure(&options.run)?;
    if options.toml {
        say(config.to_toml()?.trim_end());
        return Ok(());
    }
    config.training.batch_of_rank(options.ranks)?;
    let images = Images::load(&config, listed)?;
    let device = &device::by_name(&config.device)?;
    let costs = match options.steps {
        0 => None,
        steps => Some(plan::measure(&config, &images, device, steps, options.ranks)?),
    };
    say(&plan::table(&config, images.splits.train.len(), costs.as_deref()));
    Ok(())
}
