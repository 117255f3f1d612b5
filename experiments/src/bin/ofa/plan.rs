//! Prints what a run would train, and how long it would take on this device.
//!
//! Command:  `ofa plan --preset thorough` (e.g. with `--schedule sandwich --subnet-epochs 60`)
//! Result:   one line per phase: open choices, epochs, learning rate at this batch size, subnets per step, and seconds
//!           per step and peak memory from a few real steps; then total hours
//!           (`--toml`: the complete configuration instead, as a starting point for --config)
//! Time:     a few steps of every phase (`--steps 0`: none)

use anyhow::Result;
use clap::Args;
use experiments::console::say;
use experiments::machine::device;
use experiments::run::images::Images;
use experiments::run::{plan, start};

/// Prints what a run would train, and how long that would take on this device.
#[derive(Args)]
#[command(after_help = "Example: ofa plan --schedule sandwich --subnet-epochs 60")]
pub struct Options {
    #[command(flatten)]
    run: start::Options,
    /// Prints only the configuration, as a starting point for --config
    #[arg(long)]
    toml: bool,
    /// Number of ranks to plan for; each processes its share of every batch
    #[arg(long, default_value_t = 1)]
    ranks: usize,
    /// Steps measured per phase, after one warm-up step; 0 measures nothing
    #[arg(long, default_value_t = 8)]
    steps: usize,
}

pub fn run(options: &Options) -> Result<()> {
    let (config, listed) = start::configure(&options.run)?;
    if options.toml {
        say(config.to_toml()?.trim_end());
        return Ok(());
    }
    listed.iter().flat_map(|listed| &listed.notes).for_each(|note| say(note));
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
