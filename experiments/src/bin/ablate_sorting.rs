//! Question: what does sorting channels by importance gain before narrower blocks are opened?
//!
//! Command:  `cargo run --release --bin ablate_sorting -- --out runs/sorting` (`--preset smoke`: a minute)
//! Result:   `report.md` and `report.html`, as from `ablate_shrinking`; look at the subnets with expand ratio 3
//! Hardware: two cores; `--dry-run` estimates the time on this machine
//! Source:   arXiv:1908.09791, section 3.3, "elastic width"

use anyhow::Result;
use clap::Parser;
use experiments::ablation::{self, AblationConfig, Options, Scale, full_arm, shrunk_arm};
use experiments::report::ABLATION_REPORTS;
use ofa_model::Importance;
use std::process::ExitCode;

/// Trains supernets with channels sorted by several criteria or not at all, and compares their subnets
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    ablation::run("ablate_sorting", &Arguments::parse().options, preset, &ABLATION_REPORTS)
}

fn preset(name: &str) -> Result<AblationConfig> {
    let scale = Scale::named(name)?;
    let by = |name, description, importance: Option<Importance>| {
        let mut arm = shrunk_arm(&scale.base.space, &scale.recipe, name, description);
        for phase in arm.schedule.phases.iter_mut().filter(|phase| phase.sort_channels.is_some()) {
            phase.sort_channels = importance;
        }
        arm
    };
    let arms = vec![
        full_arm(&scale.base.space, &scale.recipe),
        by(
            "sorted",
            "channels sorted by the L1 norm of the weights that read them, as in the paper",
            Some(Importance::L1),
        ),
        by("unsorted", "channels stay where they are", None),
        by("by_scale", "channels sorted by the scale of their batch norm", Some(Importance::NormScale)),
    ];
    let contrasts = [["sorted", "unsorted"], ["sorted", "by_scale"]];
    scale.ablation("What does sorting channels before narrower blocks open gain?", &contrasts, arms)
}
