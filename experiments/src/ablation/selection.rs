//! Selection of an arm's learning rate: on validation images, with a seed that is not reported.

use super::cell::Cell;
use super::config::Arm;
use super::runner::Ablation;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;

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

/// Index of the best score that did not diverge; the first one of equals.
pub(super) fn best(scores: &[Score]) -> Option<usize> {
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
}
