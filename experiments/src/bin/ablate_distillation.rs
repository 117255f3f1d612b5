//! Question: what do subnets gain from distillation from the full network, and what is the best weight?
//!
//! Command:  `cargo run --release --bin ablate_distillation -- --out runs/distillation` (`--preset smoke`: two minutes)
//! Result:   `report.md` and `report.html`, as from `ablate_shrinking`
//! Hardware: two cores; `--dry-run` estimates the time on this machine; teacher passes are run even at weight 0
//! Source:   arXiv:1908.09791, section 3.3 and appendix B: weight 1

use anyhow::Result;
use clap::Parser;
use experiments::ablation::{self, AblationConfig, Options, Scale, full_arm, shrunk_arm};
use experiments::report::ABLATION_REPORTS;
use ofa_train::Distillation;
use std::process::ExitCode;

/// Arm name and weight of the teacher's loss; the labels have weight 1.
const WEIGHTS: [(&str, f64); 4] = [("teacher_0", 0.0), ("teacher_half", 0.5), ("teacher_1", 1.0), ("teacher_2", 2.0)];

/// Trains supernets with several distillation weights and compares their subnets
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    ablation::run("ablate_distillation", &Arguments::parse().options, preset, &ABLATION_REPORTS)
}

fn preset(name: &str) -> Result<AblationConfig> {
    let scale = Scale::named(name)?;
    let mut arms = vec![full_arm(&scale.base.space, &scale.recipe)];
    for (name, weight) in WEIGHTS {
        let mut arm = shrunk_arm(
            &scale.base.space,
            &scale.recipe,
            name,
            &format!("progressive shrinking, teacher weighs {weight}"),
        );
        for phase in &mut arm.schedule.phases {
            phase.distillation = Distillation::teacher(weight);
        }
        arms.push(arm);
    }
    let contrasts = [["teacher_1", "teacher_0"], ["teacher_1", "teacher_half"], ["teacher_2", "teacher_1"]];
    scale.ablation("What do subnets gain from a teacher?", &contrasts, arms)
}
