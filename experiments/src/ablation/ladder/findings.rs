//! Findings of an ablation over all its budgets: where does shrinking pay?

use super::Ladder;
use super::price::{Price, prices};
use crate::ablation::additions::Addition;
use crate::ablation::alone::Alone;
use crate::ablation::findings::{ArmFindings, Findings};
use crate::ablation::judgement::{Judgement, judge};
use crate::ablation::statistics::Gap;
use crate::ablation::verdict::Verdict;
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// Findings of an ablation so far, budget by budget.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LadderFindings {
    /// The question asked.
    pub question: String,
    /// Description of the images.
    pub images: String,
    /// The rule of the verdicts, as text.
    pub rule: String,
    /// Number of verdicts, including those still to come; p-values are adjusted for it.
    pub verdicts: usize,
    /// Coverage of the intervals.
    pub confidence: f64,
    /// The budgets, in configuration order.
    pub budgets: Vec<AtBudget>,
    /// Trend over the budgets of every judged pair.
    pub signs: Vec<Sign>,
    /// For each budget, the cheapest training that matches the primary treatment.
    pub cheapest: Vec<Cheapest>,
    /// Cost of supernets relative to networks trained alone to the same accuracy.
    pub prices: Vec<Price>,
    /// What was tried before the configuration was written.
    pub tried: Vec<String>,
    /// What was added after the start.
    pub additions: Vec<Addition>,
}

/// Findings at one budget.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtBudget {
    /// Name; also the name of its directory, which holds its own report.
    pub name: String,
    /// Number of complete cells, and of all cells.
    pub cells: [usize; 2],
    /// Reporting seeds.
    pub seeds: Vec<u64>,
    /// One judgement per judged pair.
    pub judgements: Vec<Judgement>,
    /// What subnets lose against the same networks trained alone.
    pub alone: Vec<Alone>,
    /// The arms with a complete cell.
    pub arms: Vec<ArmAt>,
}

/// Cost and accuracy of an arm at one budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmAt {
    /// Name of the arm.
    pub arm: String,
    /// Mean cost of a training in 10^12 MACs, including the arms whose weights go into it.
    pub tmacs: f64,
    /// Number of complete seeds.
    pub seeds: usize,
    /// Mean test top-1 over the corners it trains.
    pub mean_top1: Gap,
    /// Whether these are all corners of the space.
    pub trains_all: bool,
}

/// How the gap between two arms changes as compute grows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// The treatment.
    pub treatment: String,
    /// The control.
    pub control: String,
    /// Neighbouring budgets, in TMACs, between which the verdict turns from `reversed` to one in favour of the
    /// treatment.
    pub flips_between: Option<[f64; 2]>,
    /// Largest budget with a verdict, in TMACs; 0 if there is none.
    pub up_to: f64,
    /// Change of the gap per doubling of compute, by least squares over the budgets with a verdict; absent with fewer
    /// than two.
    pub per_doubling: Option<f64>,
}

/// The cheapest training that matches the treatment at one budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cheapest {
    /// Name of the treatment's budget.
    pub budget: String,
    /// The treatment at that budget.
    pub treatment: ArmAt,
    /// Cheapest training of any arm at any budget whose mean is not below the treatment's interval.
    pub arm: ArmAt,
    /// Name of that arm's budget.
    pub at: String,
}

impl Ladder {
    /// Findings of the complete cells: over all budgets, and in full for each budget. Every verdict is adjusted for all
    /// the others.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read, or the images cannot be listed.
    pub fn findings(&self) -> Result<(LadderFindings, Vec<Findings>)> {
        self.together(self.rungs().iter().map(|rung| rung.findings()).collect::<Result<_>>()?)
    }

    /// The findings of all budgets, judged together.
    pub(crate) fn together(&self, mut found: Vec<Findings>) -> Result<(LadderFindings, Vec<Findings>)> {
        let config = self.config();
        let verdicts = self.rungs().iter().map(|rung| rung.config().judged().count()).sum();
        let judged = found.iter_mut().zip(self.rungs());
        judge(
            judged.flat_map(|(of, rung)| of.judgements.iter_mut().map(|one| (one, rung.config()))).collect(),
            verdicts,
        );
        let additions = self.additions()?;
        for of in &mut found {
            of.verdict = of.judgements.first().and_then(|judgement| judgement.verdict);
            (of.verdicts, of.tried, of.additions) = (verdicts, config.tried.clone(), additions.clone());
        }
        let at_budget = |(rung, of): (usize, &Findings)| -> Result<AtBudget> {
            Ok(AtBudget {
                name: self.name(rung).to_owned(),
                cells: self.rungs()[rung].counts()?,
                seeds: of.seeds.clone(),
                judgements: of.judgements.clone(),
                alone: of.alone.clone(),
                arms: arms(of),
            })
        };
        let budgets = found.iter().enumerate().map(at_budget).collect::<Result<Vec<_>>>()?;
        let named: Vec<(String, &Findings)> =
            found.iter().enumerate().map(|(rung, of)| (self.name(rung).to_owned(), of)).collect();
        let whole = LadderFindings {
            question: config.question.clone(),
            images: found.first().map(|of| of.images.clone()).unwrap_or_default(),
            rule: config.rule.to_string(),
            verdicts,
            confidence: config.rule.confidence,
            signs: config.judged().map(|[treatment, control]| sign(treatment, control, &budgets)).collect(),
            cheapest: budgets.iter().filter_map(|at| cheapest(&config.rule.treatment, at, &budgets)).collect(),
            prices: prices(&named),
            tried: config.tried.clone(),
            additions,
            budgets,
        };
        Ok((whole, found))
    }
}

fn arms(of: &Findings) -> Vec<ArmAt> {
    let most = of.arms.iter().map(|arm| arm.corners.len()).max().unwrap_or(0);
    let arm = |arm: &ArmFindings| ArmAt {
        arm: arm.name.clone(),
        tmacs: arm.budget.macs / 1e12,
        seeds: arm.seeds.len(),
        mean_top1: arm.mean_top1,
        trains_all: arm.corners.len() == most,
    };
    of.arms.iter().map(arm).collect()
}

impl AtBudget {
    /// The arm of this name, if it has a complete cell.
    pub fn arm(&self, name: &str) -> Option<&ArmAt> {
        self.arms.iter().find(|arm| arm.arm == name)
    }

    /// The judgement of this pair, with the cost in TMACs of training its treatment.
    pub fn judgement(&self, treatment: &str, control: &str) -> Option<(f64, &Judgement)> {
        let is_it = |judgement: &&Judgement| {
            (judgement.contrast.treatment.as_str(), judgement.contrast.control.as_str()) == (treatment, control)
        };
        Some((self.arm(treatment)?.tmacs, self.judgements.iter().find(is_it)?))
    }
}

/// How the gap between two arms changes over the budgets that have a verdict on it.
fn sign(treatment: &str, control: &str, budgets: &[AtBudget]) -> Sign {
    let judged = budgets.iter().filter_map(|at| at.judgement(treatment, control));
    let mut judged: Vec<(f64, f64, Verdict)> =
        judged.filter_map(|(tmacs, one)| Some((tmacs, one.contrast.gap.mean, one.verdict?))).collect();
    judged.sort_by(|a, b| a.0.total_cmp(&b.0));
    let pays = |verdict| matches!(verdict, Verdict::Reproduced | Verdict::DirectionOnly);
    let flips = judged.windows(2).find(|pair| pair[0].2 == Verdict::Reversed && pays(pair[1].2));
    Sign {
        treatment: treatment.into(),
        control: control.into(),
        flips_between: flips.map(|pair| [pair[0].0, pair[1].0]),
        up_to: judged.last().map_or(0.0, |last| last.0),
        per_doubling: slope(&judged.iter().map(|(tmacs, gap, _)| (tmacs.log2(), *gap)).collect::<Vec<_>>()),
    }
}

/// Slope of the least-squares line; `None` if all `x` are equal.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (spread > 0.0).then(|| points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread)
}

fn cheapest(treatment: &str, at: &AtBudget, budgets: &[AtBudget]) -> Option<Cheapest> {
    let treated = at.arm(treatment)?;
    let floor = treated.mean_top1.interval?.low;
    let all = budgets.iter().flat_map(|at| at.arms.iter().map(move |arm| (at, arm)));
    let good = all.filter(|(_, arm)| arm.trains_all && arm.mean_top1.mean >= floor);
    let (found_at, arm) = good.min_by(|(_, a), (_, b)| a.tmacs.total_cmp(&b.tmacs))?;
    Some(Cheapest { budget: at.name.clone(), treatment: treated.clone(), arm: arm.clone(), at: found_at.name.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::statistics::Interval;
    use crate::ablation::testing::{ablation, cells};
    use crate::ablation::verdict::Contrast;

    fn arm(name: &str, tmacs: f64, top1: f64) -> ArmAt {
        let interval = Some(Interval { low: top1 - 0.002, high: top1 + 0.002 });
        let mean_top1 = Gap { mean: top1, interval, p: None };
        ArmAt { arm: name.into(), tmacs, seeds: 3, mean_top1, trains_all: true }
    }

    fn at(name: &str, tmacs: f64, gap: f64, verdict: Option<Verdict>) -> AtBudget {
        let config = ablation();
        let contrast = Contrast::of(&config, &cells(&config, 0.0), "progressive", "none").unwrap();
        let contrast = Contrast { gap: Gap { mean: gap, ..contrast.gap }, ..contrast };
        AtBudget {
            name: name.into(),
            cells: [0, 0],
            seeds: vec![1, 2, 3],
            judgements: vec![Judgement { contrast, adjusted_p: None, verdict }],
            alone: Vec::new(),
            arms: vec![arm("progressive", tmacs, 0.9 + gap), arm("none", 0.9 * tmacs, 0.9)],
        }
    }

    #[test]
    fn a_sign_flips_between_a_reversed_budget_and_its_positive_neighbour() {
        let budgets = [
            at("C", 128.0, 0.01, Some(Verdict::DirectionOnly)),
            at("A", 8.0, -0.03, Some(Verdict::Reversed)),
            at("B", 32.0, -0.01, Some(Verdict::Reversed)),
            at("D", 512.0, 0.5, None),
        ];
        let found = sign("progressive", "none", &budgets);
        assert_eq!((found.flips_between, found.up_to), (Some([32.0, 128.0]), 128.0));
        assert!((found.per_doubling.unwrap() - 0.01).abs() < 1e-12, "{found:?}");
        let found = sign("progressive", "none", &budgets[1..2]);
        assert_eq!((found.flips_between, found.per_doubling), (None, None));
    }

    #[test]
    fn the_cheapest_training_that_keeps_up_may_be_of_another_budget() {
        let budgets = [at("A", 10.0, -0.02, None), at("B", 30.0, 0.001, None)];
        let found = cheapest("progressive", &budgets[1], &budgets).unwrap();
        assert_eq!((found.arm.arm.as_str(), found.at.as_str(), found.arm.tmacs), ("none", "A", 9.0));
    }
}
