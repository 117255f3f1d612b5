//! Progressive shrinking against none at three budgets, on the embedded images.

use super::{CONTRASTS, QUESTION, Scale, is_compared};
use crate::ablation::arms::{ALONE, INDEPENDENT, shrinking_arms};
use crate::ablation::config::{AblationConfig, Arm, BudgetConfig};
use crate::config::few_epochs;
use crate::run::images::Images;
use anyhow::Result;

/// What was tried before the ladder was written, and guided it.
const TRIED: [&str; 3] = [
    "records/2026-11-25-ablation (9,600 images, 3.1 TMACs, five seeds, revision 60d22de): `none` ahead by 1.83 points; \
     best factors 1 to 2 (full), 4 (progressive), 2 (none), from which the factors below",
    "a pilot at 17 to 20 TMACs on 50,000 images (revision 60d22de, one seed, rates not chosen, validation): `none` ahead \
     by 1.6 to 3.5 points",
    "records/2026-11-30-default (revision 3daac71, one arm): steeper rates of shrinking are better than those of \
     `standard`, as factors 2 and 4 below allow",
];

/// A budget of the ladder, before its arms are built.
struct Rung {
    name: &'static str,
    /// Epochs of the phases of progressive shrinking.
    phases: [usize; 6],
    seeds: Vec<u64>,
    arms: fn(&str) -> bool,
    factors_of: Option<&'static str>,
}

pub(super) fn ladder() -> Result<AblationConfig> {
    let rungs = [
        Rung { name: "A", phases: [3, 1, 1, 1, 1, 2], seeds: vec![1, 2, 3], arms: |_| true, factors_of: None },
        Rung {
            name: "B",
            phases: [12, 3, 1, 3, 1, 9],
            seeds: vec![1, 2, 3, 4, 5],
            arms: |name| is_compared(name) || name.starts_with(INDEPENDENT),
            factors_of: None,
        },
        Rung {
            name: "C",
            phases: [40, 15, 4, 15, 4, 40],
            seeds: vec![1, 2, 3],
            arms: is_compared,
            factors_of: Some("B"),
        },
    ];
    let scale = Scale::all_images()?;
    let images = Images::load(&scale.base, None)?.splits.train.len();
    let arms_of = |phases: [usize; 6]| {
        let mut arms = shrinking_arms(&scale.base.space, &few_epochs(phases), images);
        arms.retain(|arm| !arm.name.starts_with(INDEPENDENT) || ALONE.contains(&arm.name.as_str()));
        for arm in arms.iter_mut().filter(|arm| arm.name.starts_with(INDEPENDENT)) {
            arm.seeds = Some(vec![1, 2, 3]);
        }
        arms
    };
    let budgets = rungs.iter().map(|rung| {
        let arms = arms_of(rung.phases).into_iter().filter(|arm| (rung.arms)(&arm.name));
        let epochs = |arm: Arm| (arm.name, arm.schedule.phases.iter().map(|phase| phase.epochs).collect());
        BudgetConfig {
            name: rung.name.into(),
            seeds: Some(rung.seeds.clone()),
            train_images: None,
            factors: None,
            factors_of: rung.factors_of.map(str::to_owned),
            epochs: arms.map(epochs).collect(),
        }
    });
    let budgets = budgets.collect();
    let arms = arms_of(rungs[0].phases);
    let mut config = scale.ablation(QUESTION, &CONTRASTS, arms)?;
    config.tried = TRIED.map(str::to_owned).into();
    config.rule.also_judged =
        [["progressive_tuned", "none"], ["progressive_tuned", "none_tuned"]].map(|pair| pair.map(str::to_owned)).into();
    config.budgets = budgets;
    config.validate()?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_ladder_is_that_of_its_record() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-30-shrinking/config.toml");
        let mut recorded = AblationConfig::load(&path).unwrap();
        // The number of threads depends on the machine.
        recorded.base.tables.latency.threads_note = None;
        assert!(ladder().unwrap() == recorded, "the record's cells would not be those of the preset");
    }
}
