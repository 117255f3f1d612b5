//! Selection of an arm's learning rate: on validation images, with a seed that is not reported.

use super::cell::Cell;
use super::config::Arm;
use super::runner::Ablation;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Trains every arm once with each factor and a seed that is not reported. The factor with the highest mean validation
/// accuracy over the reported corners becomes the arm's. With a single factor, nothing is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Seed of the selection; must not be a reporting seed.
    pub seed: u64,
    /// Factors on all learning rates of the arm, in rising order.
    pub factors: Vec<f64>,
    /// Maximum number of further factors for an arm whose best factor is the lowest or highest tried, added one at a
    /// time. Each lies as far beyond the best as the best lies beyond its neighbour, as a ratio. So no arm is held back
    /// by where the list happens to end.
    #[serde(default)]
    pub extensions: usize,
    /// Another ablation whose selected factors are reused, as a path relative to this one's directory; nothing is
    /// selected here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_in: Option<PathBuf>,
}

/// A factor, and the mean validation accuracy of the corners it led to; negative infinity if the training diverged.
type Score = (f64, f64);

/// For every arm, its factors in rising order, each with the mean validation accuracy it led to; negative infinity if
/// the training diverged.
pub type Selections = BTreeMap<String, Vec<Score>>;

/// State of an arm's selection.
pub(super) enum Choice {
    /// Selection cells are missing.
    Open,
    /// All selection cells diverged.
    Impossible,
    /// The selected factor.
    Made(f64),
}

impl Selection {
    /// Whether arms without factors of their own need a selection.
    pub(super) fn chooses(&self) -> bool {
        self.factors.len() > 1 && self.chosen_in.is_none()
    }

    /// The listed factors of an arm, without extensions.
    pub(super) fn factors<'a>(&'a self, arm: &'a Arm) -> &'a [f64] {
        arm.factors.as_deref().unwrap_or(&self.factors)
    }

    /// Whether selection cells of this arm are trained.
    pub(super) fn chooses_for(&self, arm: &Arm) -> bool {
        self.factors(arm).len() > 1 && self.chosen_in.is_none()
    }

    /// Rejects values that the types allow but that make no sense, for an ablation that reports `seeds`.
    ///
    /// # Errors
    ///
    /// If a value is impossible; the message names the key and the value.
    pub(super) fn validate(&self, seeds: &[u64]) -> Result<()> {
        ensure!(!seeds.contains(&self.seed), "seed {} is a reporting seed: select with another one", self.seed);
        check_factors(&self.factors)?;
        ensure!(self.extensions == 0 || self.factors.len() > 1, "extensions need at least two factors to go beyond");
        Ok(())
    }

    /// One-line description for plans and reports.
    pub(super) fn describe(&self) -> String {
        if let Some(elsewhere) = &self.chosen_in {
            return format!("those selected in {}", elsewhere.display());
        }
        if let [only] = self.factors[..] {
            return format!("fixed (times {only})");
        }
        let factors: Vec<String> = self.factors.iter().map(f64::to_string).collect();
        let beyond = match self.extensions {
            0 => String::new(),
            most => format!(" and, while the best is the lowest or highest, up to {most} beyond it"),
        };
        format!(
            "each arm's times {}{beyond}, by mean validation top-1 of the corners with seed {}",
            factors.join(", "),
            self.seed
        )
    }
}

/// Checks that factors are positive and in rising order.
pub(super) fn check_factors(factors: &[f64]) -> Result<()> {
    ensure!(!factors.is_empty(), "factors is empty: list at least 1.0");
    if let Some(factor) = factors.iter().find(|factor| !(**factor > 0.0 && factor.is_finite())) {
        bail!("factor {factor} must be positive");
    }
    ensure!(factors.windows(2).all(|pair| pair[0] < pair[1]), "factors must rise: {factors:?}");
    Ok(())
}

/// Index of the best score that did not diverge; the first one of equals.
fn best(scores: &[Score]) -> Option<usize> {
    let finite = scores.iter().enumerate().filter(|(_, (_, score))| score.is_finite());
    finite.reduce(|best, found| if found.1.1 > best.1.1 { found } else { best }).map(|(i, _)| i)
}

/// The factor beyond the best one, if that is the lowest or highest of `scores`, which are in rising order of factors.
fn beyond(scores: &[Score]) -> Option<f64> {
    let best = best(scores)?;
    let neighbour = match best {
        0 => 1,
        last if last + 1 == scores.len() => last - 1,
        _ => return None,
    };
    Some(scores[best].0 * scores[best].0 / scores[neighbour].0)
}

impl Ablation {
    /// The selection cells of an arm known so far, in rising order of factors. More may follow while the best factor is
    /// the lowest or highest.
    pub(super) fn selecting<'a>(&'a self, arm: &'a Arm) -> Result<Vec<Cell<'a>>> {
        let selection = &self.config().selection;
        let cell = |&factor: &f64| Cell { arm, seed: selection.seed, factor, selects: true };
        if !selection.chooses_for(arm) {
            return Ok(Vec::new());
        }
        let mut cells: Vec<Cell> = selection.factors(arm).iter().map(cell).collect();
        for _ in 0..selection.extensions {
            let scores = self.scores(&cells)?;
            // The best one is known only when all cells are complete.
            let Some(factor) = (scores.len() == cells.len()).then(|| beyond(&scores)).flatten() else { break };
            let place = cells.partition_point(|cell| cell.factor < factor);
            cells.insert(place, cell(&factor));
        }
        Ok(cells)
    }

    /// State of an arm's selection: the best factor is the one with the highest validation accuracy.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read.
    pub(super) fn choice(&self, arm: &Arm) -> Result<Choice> {
        let selection = &self.config().selection;
        if let Some(elsewhere) = &selection.chosen_in {
            return self.chosen_elsewhere(arm, elsewhere);
        }
        if let [only] = selection.factors(arm) {
            return Ok(Choice::Made(*only));
        }
        let cells = self.selecting(arm)?;
        let scores = self.scores(&cells)?;
        if scores.len() < cells.len() {
            return Ok(Choice::Open);
        }
        Ok(best(&scores).map_or(Choice::Impossible, |best| Choice::Made(scores[best].0)))
    }

    /// State of the selection in another ablation, for its arm of the same name.
    fn chosen_elsewhere(&self, arm: &Arm, elsewhere: &Path) -> Result<Choice> {
        let other = Self::reopen(&self.dir().root().join(elsewhere)).context("selection.chosen_in")?;
        let same = other.config().arm(&arm.name).with_context(|| {
            format!("selection.chosen_in: {} has no arm `{}`", other.dir().root().display(), arm.name)
        })?;
        other.choice(same)
    }

    /// The selected factor on an arm's learning rates; `None` while selection cells are missing, or if all diverged.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read.
    pub fn chosen_factor(&self, arm: &Arm) -> Result<Option<f64>> {
        Ok(match self.choice(arm)? {
            Choice::Made(factor) => Some(factor),
            Choice::Open | Choice::Impossible => None,
        })
    }

    /// Factors and accuracies of those of `cells` that are complete.
    fn scores(&self, cells: &[Cell]) -> Result<Vec<Score>> {
        let mut scores = Vec::new();
        for cell in cells {
            if let Some(done) = cell.read(self.dir().root())? {
                scores.push((cell.factor, done.validation_top1()));
            }
        }
        Ok(scores)
    }

    /// For every arm, each factor with the mean validation accuracy of the corners it led to; factors without a
    /// complete cell are skipped.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read.
    pub fn selections(&self) -> Result<Selections> {
        let scores = |arm: &Arm| Ok((arm.name.clone(), self.scores(&self.selecting(arm)?)?));
        self.config().arms.iter().map(scores).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_at_an_end_asks_for_one_beyond_it() {
        let diverged = f64::NEG_INFINITY;
        assert_eq!(beyond(&[(0.5, 0.8), (1.0, 0.9), (2.0, 0.7)]), None);
        assert_eq!(beyond(&[(0.5, 0.8), (1.0, 0.85), (2.0, 0.9)]), Some(4.0));
        assert_eq!(beyond(&[(0.5, 0.9), (1.0, 0.9), (2.0, diverged)]), Some(0.25), "the first of equal ones");
        assert_eq!(beyond(&[(1.0, diverged), (3.0, 0.1)]), Some(9.0));
        assert_eq!(beyond(&[(1.0, diverged), (3.0, diverged)]), None);
    }

    #[test]
    fn impossible_values_are_named() {
        let selection = Selection { seed: 9, factors: vec![0.5, 1.0], extensions: 1, chosen_in: None };
        selection.validate(&[1]).unwrap();
        let refused = |selection: Selection| selection.validate(&[1]).unwrap_err().to_string();
        assert!(refused(Selection { seed: 1, ..selection.clone() }).contains("seed 1 is a reporting seed"));
        assert!(refused(Selection { factors: vec![1.0, 0.5], ..selection.clone() }).contains("must rise"));
        assert!(refused(Selection { factors: vec![1.0], ..selection }).contains("extensions need at least two"));
    }
}
