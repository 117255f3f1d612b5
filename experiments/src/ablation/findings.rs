//! What an ablation has found so far: everything its report shows, as `findings.json`.

use super::budget::Budget;
use super::cell::DoneCell;
use super::config::Arm;
use super::runner::{Ablation, Cells, Selections};
use super::statistics::{Gap, Interval};
use super::verdict::{Contrast, Verdict};
use crate::report::Machine;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an ablation has found so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// What was asked.
    pub question: String,
    /// The images.
    pub images: String,
    /// The rule of the verdict, in words.
    pub rule: String,
    /// What the rule makes of the primary contrast; absent until all its seeds are complete.
    pub verdict: Option<Verdict>,
    /// The primary contrast.
    pub primary: Option<Contrast>,
    /// The others, as configured.
    pub contrasts: Vec<Contrast>,
    /// The arms that have a complete cell.
    pub arms: Vec<ArmFindings>,
    /// How learning rates were chosen.
    pub selections: Selections,
    /// Seeds of the report.
    pub seeds: Vec<u64>,
    /// Seeds that arms lack.
    pub missing: BTreeMap<String, Vec<u64>>,
    /// Coverage of the intervals.
    pub confidence: f64,
    /// The machines that cells ran on.
    pub machines: Vec<Machine>,
}

/// An arm over its complete seeds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmFindings {
    /// Name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Chosen factor on its learning rates.
    pub factor: f64,
    /// Complete seeds.
    pub seeds: Vec<u64>,
    /// Mean cost with that of the arms whose weights go into it.
    pub budget: Budget,
    /// Mean wall time of training and measuring, its own alone.
    pub seconds: [f64; 2],
    /// Mean test top-1 over the corners, with its interval over seeds.
    pub mean_top1: Gap,
    /// The corners one by one.
    pub corners: Vec<CornerMean>,
    /// MACs and mean test top-1 of the random subnets.
    pub random: Vec<(u64, f64)>,
    /// After every epoch of the first seed: MACs so far, without those of earlier arms, and training accuracy of the sampled
    /// subnets.
    pub curve: Vec<(f64, f64)>,
}

/// Test top-1 of a corner over seeds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CornerMean {
    /// Its name.
    pub corner: String,
    /// Its MACs.
    pub macs: u64,
    /// Mean and interval over seeds.
    pub top1: Gap,
}

impl Ablation {
    /// What the complete cells say.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read, or the images cannot be listed.
    pub fn findings(&self) -> Result<Findings> {
        let images = crate::images::Images::load(&self.config().base, None)?.description;
        Ok(self.findings_of(&self.cells()?, self.selections()?, images))
    }

    pub(crate) fn findings_of(&self, cells: &Cells, selections: Selections, images: String) -> Findings {
        let config = self.config();
        let contrast = |treatment: &str, control: &str| Contrast::of(config, cells, treatment, control);
        let primary = contrast(&config.rule.treatment, &config.rule.control);
        let lacks = |arm: &Arm, seed: &u64| !cells.contains_key(&(arm.name.clone(), *seed));
        let missing = config.arms.iter().map(|arm| {
            let seeds = config.seeds.iter().copied().filter(|seed| lacks(arm, seed)).collect::<Vec<u64>>();
            (arm.name.clone(), seeds)
        });
        let mut machines: Vec<Machine> = Vec::new();
        for cell in cells.values() {
            let found = &cell.record.machine;
            if !machines.iter().any(|known| (&known.processor, &known.revision) == (&found.processor, &found.revision))
            {
                machines.push(found.clone());
            }
        }
        Findings {
            question: config.question.clone(),
            images,
            rule: config.rule.to_string(),
            verdict: primary.as_ref().and_then(|contrast| contrast.verdict(config)),
            primary,
            contrasts: config.rule.contrasts.iter().filter_map(|[a, b]| contrast(a, b)).collect(),
            arms: config.arms.iter().filter_map(|arm| self.arm_findings(arm, cells)).collect(),
            selections,
            seeds: config.seeds.clone(),
            missing: missing.filter(|(_, seeds)| !seeds.is_empty()).collect(),
            confidence: config.rule.confidence,
            machines,
        }
    }

    fn arm_findings(&self, arm: &Arm, cells: &Cells) -> Option<ArmFindings> {
        let config = self.config();
        let of = |arm: &Arm, seed: &u64| cells.get(&(arm.name.clone(), *seed));
        let done: Vec<&DoneCell> = config.seeds.iter().filter_map(|seed| of(arm, seed)).collect();
        let first = done.first()?;
        let n = done.len() as f64;
        let paid = |cell: &&DoneCell| -> Budget {
            let needed = config.with_ancestors(arm).into_iter();
            needed.filter_map(|needed| of(needed, &cell.record.seed)).map(|cell| cell.record.budget).sum()
        };
        let all: Budget = done.iter().map(paid).sum();
        let seconds = |i: usize| done.iter().map(|cell| cell.record.seconds[i]).sum::<f64>() / n;
        let gap = |values: Vec<f64>| Gap::of(&values, config.rule.confidence);
        let corner = |name: &str| CornerMean {
            corner: name.to_owned(),
            macs: first.corner(name).map_or(0, |row| row.macs),
            top1: gap(done.iter().map(|cell| cell.test_top1(name)).collect()),
        };
        let mean = |cell: &&DoneCell| {
            let found: Vec<f64> = cell.corner_names().map(|name| cell.test_top1(name)).collect();
            found.iter().sum::<f64>() / found.len() as f64
        };
        Some(ArmFindings {
            name: arm.name.clone(),
            description: arm.description.clone(),
            factor: first.record.factor,
            seeds: done.iter().map(|cell| cell.record.seed).collect(),
            budget: Budget { subnet_epochs: all.subnet_epochs / n, macs: all.macs / n },
            seconds: [seconds(0), seconds(1)],
            mean_top1: gap(done.iter().map(mean).collect()),
            corners: first.corner_names().map(corner).collect(),
            random: random(&done),
            curve: self.curve(arm, first),
        })
    }

    fn curve(&self, arm: &Arm, cell: &DoneCell) -> Vec<(f64, f64)> {
        let space = &self.config().base.space;
        let mut macs = 0.0;
        let point = |epoch: &ofa_train::EpochRecord| {
            let stage = arm.schedule.stages.iter().find(|stage| stage.name == epoch.stage)?;
            macs += super::budget::trained_macs(epoch.images, epoch.mean_macs, stage, space);
            Some((macs, epoch.train_top1))
        };
        cell.epochs.iter().filter_map(point).collect()
    }
}

/// MACs and mean test top-1 of the random subnets, which are the same in all cells.
fn random(done: &[&DoneCell]) -> Vec<(u64, f64)> {
    let rows = |cell: &DoneCell| -> Vec<(u64, f64)> {
        let random = cell.subnets.iter().filter(|row| row.corner.is_empty());
        random.filter_map(|row| Some((row.macs, row.test_top1?))).collect()
    };
    let all: Vec<_> = done.iter().map(|cell| rows(cell)).collect();
    let mean = |i: usize, macs: u64| (macs, all.iter().map(|rows| rows[i].1).sum::<f64>() / all.len() as f64);
    all[0].iter().enumerate().map(|(i, (macs, _))| mean(i, *macs)).collect()
}

impl Interval {
    /// Both ends in percent.
    pub fn percent(self) -> (f64, f64) {
        (100.0 * self.low, 100.0 * self.high)
    }
}
