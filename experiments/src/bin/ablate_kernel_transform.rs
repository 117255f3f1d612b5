//! Question: are smaller kernels better as learned transforms of the largest kernel than as its centre crop?
//!
//! Command:  `cargo run --release --bin ablate_kernel_transform -- --out runs/kernels` (`--preset smoke`: a minute)
//! Result:   `report.md` and `report.html`, as from `ablate_shrinking`; look at the subnets with kernel size 3
//! Hardware: two cores; `--dry-run` estimates the time on this machine
//! Source:   arXiv:1908.09791, section 3.3, "elastic kernel size"

use anyhow::Result;
use clap::Parser;
use experiments::ablation::{self, AblationConfig, Arm, Options, Scale, full_arm, shrunk_arm};
use experiments::report::ABLATION_REPORTS;
use std::process::ExitCode;

/// Trains supernets with learned and with fixed kernel transforms and compares their subnets
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    ablation::run("ablate_kernel_transform", &Arguments::parse().options, preset, &ABLATION_REPORTS)
}

fn preset(name: &str) -> Result<AblationConfig> {
    let scale = Scale::named(name)?;
    let shrunk = |name, description| shrunk_arm(&scale.base.space, &scale.recipe, name, description);
    let mut cropped = shrunk("cropped", "a smaller kernel is the centre of the largest");
    for phase in &mut cropped.schedule.phases {
        phase.fixed_kernel_transforms = true;
    }
    let arms: Vec<Arm> = vec![
        full_arm(&scale.base.space, &scale.recipe),
        shrunk("learned", "a smaller kernel is a learned transform of the next larger one's centre"),
        cropped,
    ];
    scale.ablation("What do learned kernel transforms gain over centre crops?", &[["learned", "cropped"]], arms)
}
