//! Question: what do networks for N deployment scenarios cost with a once-for-all network, and with one search and one
//!           training each (ProxylessNAS, FBNet, MnasNet), at equal accuracy?
//!
//! Command:  `cargo run --release --bin ablate_design_cost -- --out runs/design-cost`; after a stop, add `--resume`;
//!           several processes may work in one directory; `--preset smoke` shows it in two minutes
//! Result:   `cells/METHOD/budget-B/target-T/seed-N` (one network each), `networks.csv`, `report.md` and `report.html`:
//!           cost curves C(N) = a + b N, their ratios and break-even, and a verdict under the configured rule
//! Hardware: two cores and 1 GB; `--dry-run` says TMACs
//! Source:   arXiv:1908.09791v1, abstract and table 1: 14, 16 and 1,142 times at 40 scenarios

use clap::Parser;
use experiments::ablation::{DesignOptions, design_cost};
use experiments::report::design_cost_reports;
use experiments::run::start;
use std::process::ExitCode;

/// Designs networks for several latency targets by each method, and compares what they cost
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: DesignOptions,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start::main(|| design_cost("ablate_design_cost", &arguments.options, design_cost_reports))
}
