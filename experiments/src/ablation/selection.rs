//! How an arm's learning rate is chosen: on validation images, with a seed that is not reported.

use super::cell::Cell;
use super::config::Arm;
use super::runner::Ablation;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every arm is trained once with each factor and a seed that is not reported; the factor with the highest mean
/// validation accuracy of the reported corners becomes the arm's. With one factor there is nothing to choose and
/// nothing is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// The seed.
    pub seed: u64,
    /// Factors on all learning rates of the arm.
    pub factors: Vec<f64>,
    /// Further factors of an arm whose best is the lowest or highest tried, one after another, at most; each lies as far
    /// beyond the best as the best beyond its neighbour. So no arm is held back by where the list happens to end.
    #[serde(default)]
    pub extensions: usize,
    /// Another ablation whose chosen factors are taken, as a path from the directory of this one: nothing is chosen here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_in: Option<PathBuf>,
}

/// A factor with the mean validation accuracy of the corners that it led to; negative infinity if the training
/// diverged.
type Score = (f64, f64);

/// For every arm, its factors in rising order with the mean validation accuracy they led to; negative infinity if the
/// training diverged.
pub type Selections = BTreeMap<String, Vec<Score>>;

/// What is known of an arm's choice.
pub(super) enum Choice {
    /// Cells are missing.
    Open,
    /// All trainings diverged.
    Impossible,
    /// The factor.
    Made(f64),
}

impl Selection {
    /// Whether there is something to choose for arms without factors of their own.
    pub(super) fn chooses(&self) -> bool {
        self.factors.len() > 1 && self.chosen_in.is_none()
    }

    /// The factors of an arm, before any beyond them.
    pub(super) fn factors<'a>(&'a self, arm: &'a Arm) -> &'a [f64] {
        arm.factors.as_deref().unwrap_or(&self.factors)
    }

    /// Whether cells of an arm choose its factor.
    pub(super) fn chooses_for(&self, arm: &Arm) -> bool {
        self.factors(arm).len() > 1 && self.chosen_in.is_none()
    }

    /// Checks values that the types allow but that make no sense, for an ablation that reports `seeds`.
    ///
    /// # Errors
    ///
    /// Names the key and the value.
    pub(super) fn validate(&self, seeds: &[u64]) -> Result<()> {
        ensure!(!seeds.contains(&self.seed), "seed {} is one of the report: choose another", self.seed);
        check_factors(&self.factors)?;
        ensure!(self.extensions == 0 || self.factors.len() > 1, "extensions go beyond two factors at least");
        Ok(())
    }

    /// In words.
    pub(super) fn describe(&self) -> String {
        if let Some(elsewhere) = &self.chosen_in {
            return format!("those chosen in {}", elsewhere.display());
        }
        if let [only] = self.factors[..] {
            return format!("fixed (times {only})");
        }
        let factors: Vec<String> = self.factors.iter().map(f64::to_string).collect();
        let beyond = match self.extensions {
            0 => String::new(),
            most => format!(" and, while the best lies at an end, up to {most} beyond it"),
        };
        format!(
            "each arm's times {}{beyond}, by mean validation top-1 of the corners with seed {}",
            factors.join(", "),
            self.seed
        )
    }
}

/// Makes sure that factors are positive and rise.
pub(super) fn check_factors(factors: &[f64]) -> Result<()> {
    ensure!(!factors.is_empty(), "factors is empty: leave 1.0 in it");
    if let Some(factor) = factors.iter().find(|factor| !(**factor > 0.0 && factor.is_finite())) {
        bail!("factor {factor} must be positive");
    }
    ensure!(factors.windows(2).all(|pair| pair[0] < pair[1]), "factors must rise: {factors:?}");
    Ok(())
}

/// The best that did not diverge, the first of equal ones.
fn best(scores: &[Score]) -> Option<usize> {
    let finite = scores.iter().enumerate().filter(|(_, (_, score))| score.is_finite());
    finite.reduce(|best, found| if found.1.1 > best.1.1 { found } else { best }).map(|(i, _)| i)
}

/// The factor beyond the best one, if that is the lowest or highest of `scores`, which rise.
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
    /// The cells that choose the learning rate of an arm, in rising order of factors, as far as known by now: while the
    /// best lies at an end there will be more.
    pub(super) fn selecting<'a>(&'a self, arm: &'a Arm) -> Result<Vec<Cell<'a>>> {
        let selection = &self.config().selection;
        let cell = |&factor: &f64| Cell { arm, seed: selection.seed, factor, selects: true };
        if !selection.chooses_for(arm) {
            return Ok(Vec::new());
        }
        let mut cells: Vec<Cell> = selection.factors(arm).iter().map(cell).collect();
        for _ in 0..selection.extensions {
            let scores = self.scores(&cells)?;
            // Which is best is known when all are there.
            let Some(factor) = (scores.len() == cells.len()).then(|| beyond(&scores)).flatten() else { break };
            let place = cells.partition_point(|cell| cell.factor < factor);
            cells.insert(place, cell(&factor));
        }
        Ok(cells)
    }

    /// What is known of the factor on the learning rates of an arm: the one that is best on validation images.
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

    /// What another ablation has chosen for its arm of the same name.
    fn chosen_elsewhere(&self, arm: &Arm, elsewhere: &Path) -> Result<Choice> {
        let other = Self::reopen(&self.dir().root().join(elsewhere)).context("selection.chosen_in")?;
        let same = other.config().arm(&arm.name).with_context(|| {
            format!("selection.chosen_in: {} has no arm `{}`", other.dir().root().display(), arm.name)
        })?;
        other.choice(same)
    }

    /// The chosen factor on the learning rates of an arm; `None` while its cells are missing, or if all diverged.
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

    /// The factors of these cells with their accuracies, as far as measured.
    fn scores(&self, cells: &[Cell]) -> Result<Vec<Score>> {
        let mut scores = Vec::new();
        for cell in cells {
            if let Some(done) = cell.read(self.dir().root())? {
                scores.push((cell.factor, done.validation_top1()));
            }
        }
        Ok(scores)
    }

    /// For every arm, each factor with the mean validation accuracy of the corners it led to, as far as measured.
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
        assert!(refused(Selection { seed: 1, ..selection.clone() }).contains("seed 1 is one of the report"));
        assert!(refused(Selection { factors: vec![1.0, 0.5], ..selection.clone() }).contains("must rise"));
        assert!(refused(Selection { factors: vec![1.0], ..selection }).contains("extensions go beyond two"));
    }
}
