//! An ablation at one budget: arms times seeds, as resumable cells. Several processes may work in one directory: each
//! claims a cell with a file lock.

use super::cell::{Cell, CellName, Workshop};
use super::config::AblationConfig;
use super::identity::Identity;
use crate::run::lock::RunLock;
use crate::run::run_dir::RunDir;
use anyhow::{Context, Result};
use ofa_train::Ranks;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Interval at which to check on cells that other processes hold.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// An ablation in its directory, at one budget.
pub struct Ablation {
    config: AblationConfig,
    dir: RunDir,
}

/// What is left to do.
pub(super) enum Look<'a> {
    /// A cell claimed by this process until the lock is dropped.
    Cell(Cell<'a>, RunLock),
    /// Other processes hold all cells that can start.
    Busy,
    /// All cells are complete or can never be made.
    Nothing,
}

impl Ablation {
    pub(super) fn new(config: AblationConfig, dir: RunDir) -> Self {
        Self { config, dir }
    }

    /// The ablation at one budget. Creates its directory if needed, and updates the configuration there when the
    /// ladder's has grown.
    pub(super) fn in_place(config: AblationConfig, root: &Path) -> Result<Self> {
        let text = config.to_toml()?;
        let dir = match RunDir::open(root) {
            Err(_) => RunDir::create(root, &text)?,
            Ok((dir, noted)) if noted == text => dir,
            Ok((dir, noted)) => {
                let noted =
                    AblationConfig::parse(&noted).with_context(|| dir.path("config.toml").display().to_string())?;
                config.beyond(&noted).with_context(|| root.display().to_string())?;
                dir.write("config.toml", &text)?;
                dir
            }
        };
        Ok(Self { config, dir })
    }

    /// Opens an existing ablation.
    ///
    /// # Errors
    ///
    /// If `root` holds no ablation, or its configuration is invalid.
    pub fn reopen(root: &Path) -> Result<Self> {
        let (dir, text) = RunDir::open(root)?;
        let config = AblationConfig::parse(&text).with_context(|| dir.path("config.toml").display().to_string())?;
        Ok(Self { config, dir })
    }

    /// Configuration of the ablation.
    pub fn config(&self) -> &AblationConfig {
        &self.config
    }

    /// Directory of the ablation.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Checks that the images are those that the ablation was started with.
    pub(super) fn check_images(&self) -> Result<()> {
        Identity::check_images(&self.config.base, &self.dir)
    }

    /// Digest of what the code computes: recorded with the first cell, it must not change. Rank 0 computes it.
    pub(super) fn code(&self, ranks: &dyn Ranks) -> Result<String> {
        let code = match ranks.is_first() {
            true => Identity::noted(&self.config.base, &self.dir)?.code,
            false => String::new(),
        };
        Ok(String::from_utf8(ranks.broadcast(0, code.into_bytes()))?)
    }

    /// Makes one cell, on all ranks together.
    pub(super) fn make(&self, name: &CellName, code: &str, ranks: &dyn Ranks, stop: &Arc<AtomicBool>) -> Result<()> {
        let root = self.dir.root();
        let shop = Workshop { ablation: &self.config, root, code, ranks, stop };
        let cell = name.of(&self.config)?;
        let ancestors = if ranks.is_first() { self.ancestors(&cell)?.unwrap_or_default() } else { Vec::new() };
        cell.run(&shop, |arm| place(&ancestors, arm, root))
    }

    /// Looks for the next cell to make, and claims it.
    pub(super) fn look(&self) -> Result<Look<'_>> {
        let missing = self.missing()?;
        if missing.is_empty() {
            return Ok(Look::Nothing);
        }
        Ok(match self.claim(&missing)? {
            Some((cell, lock)) => Look::Cell(cell, lock),
            None => Look::Busy,
        })
    }

    /// The cells to make: incomplete ones, and complete ones whose weights were not kept but are needed by those.
    fn missing(&self) -> Result<Vec<Cell<'_>>> {
        let (known, root) = (self.known_cells()?, self.dir.root());
        let mut missing = vec![false; known.len()];
        let mut needed: Vec<PathBuf> = Vec::new();
        // Later arms determine which earlier weights are needed.
        for arm in self.config.arms.iter().rev() {
            for (cell, missing) in known.iter().zip(&mut missing).filter(|(cell, _)| cell.arm.name == arm.name) {
                let lacks_weights = needed.contains(&cell.path(root)) && !cell.has_supernet(root);
                *missing = (!cell.is_done(root) || lacks_weights) && !self.is_hopeless(cell)?;
                if *missing {
                    needed.extend(self.ancestors(cell)?.unwrap_or_default().iter().map(|cell| cell.path(root)));
                }
            }
        }
        Ok(known.into_iter().zip(missing).filter_map(|(cell, missing)| missing.then_some(cell)).collect())
    }

    /// Claims a cell that can start and that no other process holds.
    fn claim<'c>(&self, missing: &[Cell<'c>]) -> Result<Option<(Cell<'c>, RunLock)>> {
        let root = self.dir.root();
        for cell in missing {
            if !self.is_ready(cell)? {
                continue;
            }
            let path = cell.path(root);
            std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
            // Another process may have completed it in the meantime.
            if let Some(lock) = RunLock::try_take(&path)?
                && self.missing()?.iter().any(|missing| missing.path(root) == path)
            {
                return Ok(Some((*cell, lock)));
            }
        }
        Ok(None)
    }

    /// Whether the cells that it starts or learns from are known and have their weights.
    fn is_ready(&self, cell: &Cell) -> Result<bool> {
        let root = self.dir.root();
        Ok(self.ancestors(cell)?.is_some_and(|all| all.iter().all(|cell| cell.has_supernet(root))))
    }
}

/// Directory of the cell of an earlier arm.
fn place(ancestors: &[Cell], arm: &str, root: &Path) -> PathBuf {
    let found = ancestors.iter().find(|cell| cell.arm.name == arm);
    found.unwrap_or_else(|| panic!("`{arm}` is not among the {} ancestors", ancestors.len())).path(root)
}

#[cfg(test)]
mod tests;
