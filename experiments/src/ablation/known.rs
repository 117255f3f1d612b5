//! The cells of an ablation: which are known so far, which are complete, and what they start from.

use super::cell::Cell;
use super::config::Arm;
use super::identity::Identity;
use super::record::DoneCell;
use super::runner::Ablation;
use super::selection::Choice;
use crate::config::ExperimentConfig;
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

/// The complete reporting cells, by arm and seed.
pub type Cells = BTreeMap<(String, u64), DoneCell>;

impl Ablation {
    /// Whether the cell can never be made, because a training that it starts or learns from diverged.
    pub(super) fn is_hopeless(&self, cell: &Cell) -> Result<bool> {
        for arm in cell.arm.start.iter().chain(&cell.arm.teacher).filter_map(|name| self.config().arm(name)) {
            if matches!(self.choice(arm)?, Choice::Impossible) {
                return Ok(true);
            }
        }
        for ancestor in self.ancestors(cell)?.unwrap_or_default() {
            let diverged = ancestor.read(self.dir().root())?.is_some_and(|done| done.record.diverged.is_some());
            if diverged || self.is_hopeless(&ancestor)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The cells that it starts or learns from; `None` while their learning rate is not selected yet.
    pub(super) fn ancestors<'c>(&'c self, cell: &Cell<'c>) -> Result<Option<Vec<Cell<'c>>>> {
        let mut ancestors = Vec::new();
        for arm in cell.arm.start.iter().chain(&cell.arm.teacher).filter_map(|name| self.config().arm(name)) {
            let Some(factor) = self.chosen_factor(arm)? else { return Ok(None) };
            ancestors.push(Cell { arm, factor, ..*cell });
        }
        Ok(Some(ancestors))
    }

    /// Checks that complete cells started and learned from the cells that they would use now.
    ///
    /// # Errors
    ///
    /// If one used another cell, because another learning rate was selected when it was made.
    pub(super) fn check_ancestors(&self) -> Result<()> {
        let directory = |path: &Path| path.file_name().map(OsStr::to_owned);
        for (cell, _) in self.done()? {
            let path = cell.path(self.dir().root());
            let training = ExperimentConfig::load(&path.join("config.toml"))?.training;
            let began = [training.start, training.teacher].into_iter().flatten();
            for (began, now) in began.zip(self.ancestors(&cell)?.unwrap_or_default()) {
                let (began, now) = (began.parent().and_then(directory), now.path(self.dir().root()));
                ensure!(
                    began == directory(&now),
                    "{} started or learned from {}, but {} is selected now: remove it to train it again",
                    path.display(),
                    began.unwrap_or_default().display(),
                    now.display()
                );
            }
        }
        Ok(())
    }

    /// All cells whose configuration is known so far: first those that the verdict needs, then the rest. In each group,
    /// selection cells come first, then reporting cells seed by seed, so complete cells are paired.
    pub(super) fn known_cells(&self) -> Result<Vec<Cell<'_>>> {
        let config = self.config();
        let needed: Vec<&Arm> = config.judged_arms().into_iter().flat_map(|arm| config.with_ancestors(arm)).collect();
        let (first, others): (Vec<&Arm>, Vec<&Arm>) = config.arms.iter().partition(|arm| needed.contains(arm));
        let mut cells = Vec::new();
        for arms in [first, others] {
            for arm in &arms {
                cells.extend(self.selecting(arm)?);
            }
            for &seed in &config.seeds {
                for arm in arms.iter().filter(|arm| config.seeds_of(arm).contains(&seed)) {
                    if let Some(factor) = self.chosen_factor(arm)? {
                        cells.push(Cell { arm, seed, factor, selects: false });
                    }
                }
            }
        }
        Ok(cells)
    }

    /// The complete reporting cells whose training did not diverge.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read, or was made by other code than the rest.
    pub fn cells(&self) -> Result<Cells> {
        let identity = Identity::read(self.dir())?;
        let mut cells = Cells::new();
        for cell in self.known_cells()?.into_iter().filter(|cell| !cell.selects) {
            let Some(done) = cell.read(self.dir().root())? else { continue };
            if let Some(identity) = &identity {
                ensure!(
                    done.record.code == identity.code,
                    "{} was made by code that computes differently ({}) from the rest of the ablation ({}): remove it, \
                     or start a new ablation",
                    cell.path(self.dir().root()).display(),
                    done.record.code,
                    identity.code
                );
            }
            if done.record.diverged.is_none() {
                cells.insert((cell.arm.name.clone(), cell.seed), done);
            }
        }
        Ok(cells)
    }

    /// All complete cells, including selection cells and those that diverged.
    pub(super) fn done(&self) -> Result<Vec<(Cell<'_>, DoneCell)>> {
        let mut done = Vec::new();
        for cell in self.known_cells()? {
            done.extend(cell.read(self.dir().root())?.map(|found| (cell, found)));
        }
        Ok(done)
    }

    /// Number of complete cells, and of all cells known so far.
    pub(super) fn counts(&self) -> Result<[usize; 2]> {
        let known = self.known_cells()?;
        let done = known.iter().filter(|cell| cell.is_done(self.dir().root())).count();
        let selecting = known.iter().filter(|cell| cell.selects).count();
        let reported: usize = self.config().arms.iter().map(|arm| self.config().seeds_of(arm).len()).sum();
        Ok([done, selecting + reported])
    }

    /// How many of all cells are complete, as text.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read.
    pub fn progress(&self) -> Result<String> {
        let [done, all] = self.counts()?;
        Ok(format!("{done} of {all} cells complete"))
    }
}
