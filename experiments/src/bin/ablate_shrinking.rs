//! Question: what do subnets lose without progressive shrinking, at equal cost?
//!
//! Command:  `cargo run --release --bin ablate_shrinking -- --out runs/ablation`; after a stop, add `--resume`;
//!           several processes may work in one directory; on a cluster (built with `--features mpi`) `mpirun -np 32
//!           target/release/ablate_shrinking --config experiments/configs/ablation_imagenet.toml --data DIR --out OUT`
//! Result:   `cells/ARM/seed-N` (one run each, with the accuracy of every reported subnet), `report.md` and
//!           `report.html` with a verdict under the configured rule
//! Hardware: two cores and 1 GB; 210 TMACs at the default scale, `--dry-run` estimates how long that takes here
//! Source:   arXiv:1908.09791, table 1 of the first version: 1.4 to 2.4 points

use clap::Parser;
use experiments::ablation::{self, AblationConfig, Options};
use experiments::report::ABLATION_REPORTS;
use std::process::ExitCode;

/// Trains supernets with and without progressive shrinking and compares their subnets
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    ablation::run("ablate_shrinking", &Arguments::parse().options, AblationConfig::shrinking, &ABLATION_REPORTS)
}
