//! Describes a search space, or one of its archs block by block.
//!
//! Command:  `ofa space show --space mobilenet_v3 --width 1.2`
//! Result:   the choices, the number of networks, and the range of their costs with the median of a random sample
//! Source:   arXiv:1908.09791, section 3.2 (number of networks)

use anyhow::{Result, ensure};
use clap::Args;
use experiments::console::say;
use experiments::options::arch::{read_arch, with_resolution};
use experiments::options::space::SpaceOptions;
use ofa_model::{Cost, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Describes a search space, or one of its archs block by block.
#[derive(Args)]
#[command(after_help = "Example: ofa space show --space mobilenet_v3 --width 1.2")]
pub struct Options {
    #[command(flatten)]
    space: SpaceOptions,
    /// Describes this arch instead of the space: text form or .json file
    #[arg(long)]
    arch: Option<String>,
    /// Number of networks to sample uniformly for the median costs
    #[arg(long, default_value_t = 10_000)]
    samples: usize,
    /// Seed of the sample
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub fn run(options: &Options) -> Result<()> {
    let space = options.space.space(None)?;
    if let Some(arch) = &options.arch {
        let arch = read_arch(arch, &space, None)?;
        say(with_resolution(&space, Some(arch.resolution)).summary(&arch).to_string().trim_end());
        return Ok(());
    }
    ensure!(options.samples > 0, "--samples must be positive");
    say(&format!("{space}\n"));
    say(&format!("{:<28}{:>16}{:>16}{:>16}", "", "smallest", "median", "largest"));
    let rng = &mut ChaCha8Rng::seed_from_u64(options.seed);
    let sampled: Vec<Cost> = (0..options.samples).map(|_| space.cost(&space.sample_network(rng))).collect();
    for (name, unit, of) in COSTS {
        let mut values: Vec<f64> = sampled.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let [smallest, largest] = extremes(&space).map(|cost| of(&cost));
        let number = |value: f64| format!("{:.2} {unit}", value);
        let median = values[values.len() / 2];
        say(&format!("{name:<28}{:>16}{:>16}{:>16}", number(smallest), number(median), number(largest)));
    }
    say(&format!("median over {} networks at any resolution, sampled uniformly", options.samples));
    Ok(())
}

/// Name, unit and value of a cost.
type Column = (&'static str, &'static str, fn(&Cost) -> f64);

const COSTS: [Column; 3] = [
    ("MACs", "M", |cost| cost.macs as f64 / 1e6),
    ("parameters", "M", |cost| cost.parameters as f64 / 1e6),
    ("peak activations", "MB", |cost| cost.peak_activation_bytes as f64 / 1e6),
];

fn extremes(space: &SearchSpace) -> [Cost; 2] {
    [space.cost(&space.smallest()), space.cost(&space.largest())]
}
