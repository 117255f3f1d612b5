//! Findings of an ablation so far: everything its report shows, as `findings.json`.

use super::additions::Addition;
use super::alone::{self, Alone};
use super::budget::Budget;
use super::config::{AblationConfig, Arm};
use super::judgement::{Judgement, judge};
use super::known::Cells;
use super::record::DoneCell;
use super::runner::Ablation;
use super::selection::Selections;
use super::setup::setup;
use super::statistics::{Gap, Interval};
use super::verdict::{Contrast, Verdict, adjust};
use crate::machine::environment::Machine;
use crate::run::images::Images;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Findings of an ablation so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// The question asked.
    pub question: String,
    /// Description of the images.
    pub images: String,
    /// What all arms share: names and values.
    pub setup: Vec<(String, String)>,
    /// The rule of the verdict, as text.
    pub rule: String,
    /// Verdict on the primary contrast; absent until all its seeds are complete.
    pub verdict: Option<Verdict>,
    /// Judgement of every pair that the rule judges, the primary pair first; empty in records of earlier versions.
    #[serde(default)]
    pub judgements: Vec<Judgement>,
    /// What subnets lose against the same networks trained alone, for every judged arm.
    #[serde(default)]
    pub alone: Vec<Alone>,
    /// Verdict of the first record's rule with Student's interval over seeds; absent under other rules.
    #[serde(default)]
    pub students_verdict: Option<Verdict>,
    /// The primary contrast.
    pub primary: Option<Contrast>,
    /// The other contrasts, in configuration order.
    pub contrasts: Vec<Contrast>,
    /// The arms with a complete cell.
    pub arms: Vec<ArmFindings>,
    /// How learning rates were selected.
    pub selections: Selections,
    /// Reporting seeds.
    pub seeds: Vec<u64>,
    /// Missing seeds, by arm.
    pub missing: BTreeMap<String, Vec<u64>>,
    /// Trainings that diverged: which cell, and where in its training.
    pub diverged: Vec<String>,
    /// Coverage of the intervals.
    pub confidence: f64,
    /// Number of verdicts, including those at other budgets; p-values are adjusted for it.
    #[serde(default)]
    pub verdicts: usize,
    /// What was tried before the configuration was written.
    #[serde(default)]
    pub tried: Vec<String>,
    /// What was added after the start.
    #[serde(default)]
    pub additions: Vec<Addition>,
    /// The machines that cells ran on, one per processor and revision.
    pub machines: Vec<Machine>,
}

/// An arm over its complete seeds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmFindings {
    /// Name of the arm.
    pub name: String,
    /// Description from the configuration.
    pub description: String,
    /// Selected factor on its learning rates.
    pub factor: f64,
    /// Its complete seeds.
    pub seeds: Vec<u64>,
    /// Mean cost, including the arms whose weights go into it.
    pub budget: Budget,
    /// Mean cost of its own training only.
    pub own: Budget,
    /// Name and epochs of each of its phases.
    #[serde(rename = "stages")]
    pub phases: Vec<(String, usize)>,
    /// Mean wall time of its own training and measuring, in seconds.
    pub seconds: [f64; 2],
    /// Mean test top-1 over the corners, with its interval over seeds.
    pub mean_top1: Gap,
    /// Accuracy of each corner.
    pub corners: Vec<CornerMean>,
    /// MACs and mean test top-1 of the random subnets.
    pub random: Vec<(u64, f64)>,
    /// Learning curve of the first seed, one point per epoch: MACs so far, without earlier arms, and training accuracy
    /// of the sampled subnets.
    pub curve: Vec<(f64, f64)>,
}

/// Test top-1 of a corner over seeds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CornerMean {
    /// Name of the corner.
    pub corner: String,
    /// MACs of a forward pass of one image.
    pub macs: u64,
    /// Mean and interval over seeds.
    pub top1: Gap,
    /// The same without calibration, with the statistics of the largest subnet.
    pub uncalibrated_top1: Gap,
}

impl Findings {
    /// The arms that train the whole space, so their corners can be compared.
    pub fn supernets(&self) -> impl Iterator<Item = &ArmFindings> {
        let most = self.arms.iter().map(|arm| arm.corners.len()).max().unwrap_or(0);
        self.arms.iter().filter(move |arm| arm.corners.len() == most)
    }

    /// The cheapest arm whose mean is not below the interval of the primary treatment, and that treatment; `None` with
    /// fewer than two seeds.
    pub fn cheapest_match(&self) -> Option<(&ArmFindings, &ArmFindings)> {
        let treatment = &self.primary.as_ref()?.treatment;
        let reference = self.arms.iter().find(|arm| arm.name == *treatment)?;
        let floor = reference.mean_top1.interval?.low;
        let good = self.supernets().filter(|arm| arm.mean_top1.mean >= floor);
        Some((good.min_by(|a, b| a.budget.macs.total_cmp(&b.budget.macs))?, reference))
    }

    /// The arms whose selected learning rate is the lowest or highest tried.
    pub fn chosen_at_the_edge(&self) -> impl Iterator<Item = &str> {
        let is_edge = |(arm, scores): &(&String, &Vec<(f64, f64)>)| {
            let chosen = self.arms.iter().find(|found| found.name == **arm).map(|found| found.factor);
            let ends = [f64::min, f64::max].map(|end| scores.iter().map(|(factor, _)| *factor).reduce(end));
            scores.len() > 1 && chosen.is_some() && ends.contains(&chosen)
        };
        self.selections.iter().filter(is_edge).map(|(arm, _)| arm.as_str())
    }
}

impl Ablation {
    /// Findings of the complete cells.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read, or the images cannot be listed.
    pub fn findings(&self) -> Result<Findings> {
        self.check_ancestors()?;
        let images = Images::load(&self.config().base, None)?.description;
        let mut cells = self.cells()?;
        let orders = image_orders(self.config(), cells.keys().map(|(_, seed)| *seed))?;
        for ((_, seed), cell) in &mut cells {
            if let Some(order) = orders.get(seed) {
                cell.reorder_images(order);
            }
        }
        let diverged = self.done()?.into_iter().filter_map(|(cell, done)| {
            let place = cell.path(std::path::Path::new(""));
            Some(format!("{}: {}", place.display(), done.record.diverged?))
        });
        Ok(Findings { diverged: diverged.collect(), ..self.findings_of(&cells, self.selections()?, images) })
    }

    pub(crate) fn findings_of(&self, cells: &Cells, selections: Selections, images: String) -> Findings {
        let config = self.config();
        let contrast = |treatment: &str, control: &str| Contrast::of(config, cells, treatment, control);
        let primary = contrast(&config.rule.treatment, &config.rule.control);
        let lacks = |arm: &Arm, seed: &u64| !cells.contains_key(&(arm.name.clone(), *seed));
        let missing = config.arms.iter().map(|arm| {
            let seeds = config.seeds_of(arm).iter().copied().filter(|seed| lacks(arm, seed)).collect::<Vec<u64>>();
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
        let mut contrasts: Vec<Contrast> = config.rule.contrasts.iter().filter_map(|[a, b]| contrast(a, b)).collect();
        adjust(&mut contrasts);
        let mut judgements: Vec<Judgement> = config
            .judged()
            .filter_map(|[treatment, control]| Some(Judgement::of(contrast(treatment, control)?)))
            .collect();
        judge(judgements.iter_mut().map(|judgement| (judgement, config)).collect(), config.judged().count());
        Findings {
            question: config.question.clone(),
            setup: setup(config, &images),
            images,
            rule: config.rule.to_string(),
            verdict: judgements.first().and_then(|judgement| judgement.verdict),
            judgements,
            alone: alone::all(config, cells),
            students_verdict: primary.as_ref().and_then(|contrast| contrast.students_verdict(config)),
            primary,
            contrasts,
            arms: config.arms.iter().filter_map(|arm| self.arm_findings(arm, cells)).collect(),
            selections,
            seeds: config.seeds.clone(),
            missing: missing.filter(|(_, seeds)| !seeds.is_empty()).collect(),
            diverged: Vec::new(),
            confidence: config.rule.confidence,
            verdicts: config.judged().count(),
            tried: config.tried.clone(),
            additions: Vec::new(),
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
        let mean_of = |all: Budget| Budget { subnet_epochs: all.subnet_epochs / n, macs: all.macs / n };
        let seconds = |i: usize| done.iter().map(|cell| cell.record.seconds[i]).sum::<f64>() / n;
        let gap = |values: Vec<f64>| Gap::of(&values, config.rule.confidence);
        let corner = |name: &str| CornerMean {
            corner: name.to_owned(),
            macs: first.corner(name).map_or(0, |row| row.macs),
            top1: gap(done.iter().map(|cell| cell.test_top1(name)).collect()),
            uncalibrated_top1: gap(done.iter().map(|cell| uncalibrated(cell, name)).collect()),
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
            budget: mean_of(done.iter().map(paid).sum()),
            own: mean_of(done.iter().map(|cell| cell.record.budget).sum()),
            phases: arm.schedule.phases.iter().map(|phase| (phase.name.clone(), phase.epochs)).collect(),
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
            let phase = arm.schedule.phases.iter().find(|phase| phase.name == epoch.phase)?;
            macs += super::budget::trained_macs(epoch.images, epoch.mean_macs, phase, space);
            Some((macs, epoch.train_top1))
        };
        cell.epochs.iter().filter_map(point).collect()
    }
}

/// Test accuracy of a corner without calibration; NaN if it is not reported.
fn uncalibrated(cell: &DoneCell, corner: &str) -> f64 {
    cell.corner(corner).and_then(|row| row.uncalibrated_top1).unwrap_or(f64::NAN)
}

/// MACs and mean test top-1 of the random subnets, which are the same in all cells.
fn random(done: &[&DoneCell]) -> Vec<(u64, f64)> {
    let all: Vec<_> = done.iter().map(|cell| cell.random()).collect();
    let mean = |i: usize, macs: u64| (macs, all.iter().map(|rows| rows[i].1).sum::<f64>() / all.len() as f64);
    all[0].iter().enumerate().map(|(i, (macs, _))| mean(i, *macs)).collect()
}

/// For each seed, the order that puts its test images in the order common to all seeds. Every seed shuffles them
/// differently, but an image must count as the same image in all. Empty if seeds have different images.
fn image_orders(config: &AblationConfig, seeds: impl Iterator<Item = u64>) -> Result<BTreeMap<u64, Vec<usize>>> {
    let (mut orders, mut first) = (BTreeMap::new(), None);
    for seed in seeds {
        if orders.contains_key(&seed) {
            continue;
        }
        let mut base = config.base.clone();
        base.seed = seed;
        let test = Images::load(&base, None)?.splits.test;
        let paths: Vec<_> = (0..test.len()).map(|i| test.path(i)).collect();
        let mut order: Vec<usize> = (0..test.len()).collect();
        order.sort_by_key(|&i| &paths[i]);
        let sorted: Vec<_> = order.iter().map(|&i| paths[i].clone()).collect();
        if *first.get_or_insert_with(|| sorted.clone()) != sorted {
            return Ok(BTreeMap::new());
        }
        orders.insert(seed, order);
    }
    Ok(orders)
}

impl Interval {
    /// Both ends in percent.
    pub fn percent(self) -> (f64, f64) {
        (100.0 * self.low, 100.0 * self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::testing::ablation;

    #[test]
    fn the_images_of_all_seeds_come_in_one_order() {
        let mut config = ablation();
        // With a subset, other seeds see other images.
        assert!(image_orders(&config, [1, 2].into_iter()).unwrap().is_empty());
        config.base.data.test_images = None;
        let orders = image_orders(&config, [1, 2, 1].into_iter()).unwrap();
        let labels = |seed: u64| -> Vec<usize> {
            let mut base = config.base.clone();
            base.seed = seed;
            let test = Images::load(&base, None).unwrap().splits.test;
            orders[&seed].iter().map(|&i| test.label(i)).collect()
        };
        assert_eq!(orders.len(), 2);
        assert_ne!(orders[&1], orders[&2]);
        assert_eq!(labels(1), labels(2));
    }
}
