//! Trials: the cells that choose the rate of a method, on validation images and with a seed that is not reported.

use super::cell::{Cell, trials};
use super::config::{DesignConfig, Method};
use super::curves::Charged;
use super::record::{DesignRecord, Spent};
use crate::ablation::record::DoneCell;
use crate::ablation::selection::best;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What the trials of a method tried, and what they cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trials {
    /// Name of the method.
    pub method: String,
    /// Factors in rising order, each with the mean validation top-1 of its networks; `None` if it diverged.
    pub tried: Vec<(f64, Option<f64>)>,
    /// Sum of their charges.
    pub charged: Charged,
}

impl Cell<'_> {
    /// The factor on its rates: its own in a trial, else the one that the trials chose, 1 without trials. `None` while
    /// trials are missing.
    ///
    /// # Errors
    ///
    /// If the record of a trial is damaged, or all of them diverged.
    pub(super) fn factor(&self, design: &DesignConfig, root: &Path) -> Result<Option<f64>> {
        if self.trial.is_some() {
            return Ok(self.trial);
        }
        let wanted = trials(design, self.method).len();
        if wanted == 0 {
            return Ok(Some(1.0));
        }
        let made = made(design, self.method, root)?;
        if made.len() < wanted {
            return Ok(None);
        }
        let chosen = chosen(&tried(&made)).with_context(|| {
            format!("all trials of `{}` diverged: list lower factors in a new comparison", self.name())
        })?;
        Ok(Some(chosen))
    }
}

/// The complete trials of a method.
fn made(design: &DesignConfig, method: Option<&Method>, root: &Path) -> Result<Vec<DesignRecord>> {
    trials(design, method).iter().filter_map(|cell| cell.read(root).transpose()).collect()
}

/// Factors, and the accuracies they led to.
fn tried(made: &[DesignRecord]) -> Vec<(f64, Option<f64>)> {
    made.iter().map(|record| (record.factor, plain_top1(record))).collect()
}

/// The factor with the highest accuracy; the first of equals.
fn chosen(tried: &[(f64, Option<f64>)]) -> Option<f64> {
    let scores: Vec<_> = tried.iter().map(|(factor, top1)| (*factor, top1.unwrap_or(f64::NEG_INFINITY))).collect();
    best(&scores).map(|i| scores[i].0)
}

/// Mean validation top-1 of the networks of a cell before fine-tuning.
fn plain_top1(record: &DesignRecord) -> Option<f64> {
    let plain = record.networks.iter().filter(|network| network.trained != "fine_tuned");
    let top1: Vec<f64> = plain.map(|network| network.validation_top1).collect();
    (!top1.is_empty()).then(|| top1.iter().sum::<f64>() / top1.len() as f64)
}

/// The complete trials of every method that has some, the once-for-all network first.
///
/// # Errors
///
/// If a record is damaged.
pub(super) fn all(design: &DesignConfig, root: &Path) -> Result<Vec<Trials>> {
    let taken = design.ofa.supernets.as_deref().map(of_supernets).transpose()?.flatten();
    let mut all: Vec<Trials> = taken.into_iter().collect();
    for method in [None].into_iter().chain(design.methods.iter().map(Some)) {
        let made = made(design, method, root)?;
        if let Some(first) = made.first() {
            all.push(Trials {
                method: first.method.clone(),
                tried: tried(&made),
                charged: made.iter().map(DesignRecord::spent).sum::<Spent>().into(),
            });
        }
    }
    Ok(all)
}

/// The cells `select-F` of an arm of `ablate_shrinking`, whose weights are not needed.
fn of_supernets(arm: &Path) -> Result<Option<Trials>> {
    let context = || format!("ofa.supernets: {}", arm.display());
    let mut cells: Vec<DoneCell> = Vec::new();
    for entry in std::fs::read_dir(arm).with_context(context)? {
        let path = entry.with_context(context)?.path();
        let is_trial = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("select-"));
        if is_trial {
            cells.extend(DoneCell::read(&path)?);
        }
    }
    cells.sort_by(|a, b| a.record.factor.total_cmp(&b.record.factor));
    let spent = cells.iter().map(|cell| Spent::from(&cell.record)).sum::<Spent>();
    let top1 = |cell: &DoneCell| Some(cell.validation_top1()).filter(|top1| top1.is_finite());
    Ok((!cells.is_empty()).then(|| Trials {
        method: DesignConfig::OFA.into(),
        tried: cells.iter().map(|cell| (cell.record.factor, top1(cell))).collect(),
        charged: spent.into(),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::cell::cells;
    use super::*;

    #[test]
    fn the_best_factor_is_the_first_of_equals_and_none_if_all_diverged() {
        assert_eq!(chosen(&[(0.5, Some(0.8)), (1.0, Some(0.9)), (2.0, Some(0.9)), (4.0, None)]), Some(1.0));
        assert_eq!(chosen(&[(1.0, None)]), None);
    }

    #[test]
    fn trials_come_first_at_the_repeated_target_with_their_own_seed() {
        let mut design = DesignConfig::preset("default").unwrap();
        (design.ofa.factors, design.methods[0].factors) = (vec![1.0, 2.0], vec![0.5, 1.0]);
        let cells = cells(&design);
        let first: Vec<_> =
            cells.iter().take(4).map(|cell| (cell.name(), cell.target, cell.seed, cell.trial)).collect();
        let seed = design.trial_seed;
        assert_eq!(
            first,
            [
                ("ofa", 0, seed, Some(1.0)),
                ("ofa", 0, seed, Some(2.0)),
                ("proxyless_nas", 1, seed, Some(0.5)),
                ("proxyless_nas", 1, seed, Some(1.0))
            ]
        );
        assert!(cells[4..].iter().all(|cell| cell.trial.is_none() || cell.name() == "fbnet"));
        let root = tempfile::tempdir().unwrap();
        assert_eq!(cells[0].factor(&design, root.path()).unwrap(), Some(1.0));
        let reported = cells.iter().find(|cell| cell.trial.is_none()).unwrap();
        assert_eq!(reported.factor(&design, root.path()).unwrap(), None, "its trials are missing");
    }
}
