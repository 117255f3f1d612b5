//! Arms times seeds as resumable cells. Several processes may work in one directory: a cell is claimed by a lock on a
//! file.

use super::cell::{Cell, Workshop};
use super::config::AblationConfig;
use super::identity::Identity;
use crate::dashboard::say;
use crate::interrupt::{self, Interrupted};
use crate::run_dir::RunDir;
use anyhow::{Context, Result, bail};
use ofa_train::Ranks;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Between two looks at the cells of other processes.
const PATIENCE: Duration = Duration::from_secs(2);

/// An ablation in its directory.
pub struct Ablation {
    config: AblationConfig,
    dir: RunDir,
}

/// What the ranks of a job do next, as rank 0 tells them.
#[derive(Serialize, Deserialize)]
enum Next {
    Cell { arm: String, seed: u64, factor: f64, selects: bool },
    Nothing,
    Stop,
}

impl Ablation {
    /// A new one, or one that was begun with the same configuration.
    ///
    /// # Errors
    ///
    /// If the directory holds an ablation of another configuration: a rule, an arm or a seed that changes after the
    /// first result would be chosen by it.
    pub fn open(config: AblationConfig, root: &Path) -> Result<Self> {
        let text = config.to_toml()?;
        let dir = match RunDir::open(root) {
            Err(_) => RunDir::create(root, &text)?,
            Ok((dir, noted)) => {
                let changed = text.lines().zip(noted.lines()).find(|(ours, theirs)| ours != theirs);
                match changed {
                    Some((ours, theirs)) => bail!(
                        "{} was begun with another configuration (`{theirs}`, now `{ours}`): a rule, an arm or a seed \
                         that changes after the first result would be chosen by it; begin another ablation",
                        root.display()
                    ),
                    None if text != noted => bail!("{} was begun with another configuration", root.display()),
                    None => dir,
                }
            }
        };
        Ok(Self { config, dir })
    }

    /// One that was begun.
    ///
    /// # Errors
    ///
    /// If there is none, or its configuration is bad.
    pub fn reopen(root: &Path) -> Result<Self> {
        let (dir, text) = RunDir::open(root)?;
        let config = AblationConfig::parse(&text).with_context(|| dir.path("config.toml").display().to_string())?;
        Ok(Self { config, dir })
    }

    /// What it is.
    pub fn config(&self) -> &AblationConfig {
        &self.config
    }

    /// Where it is.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Trains and measures cells that are missing, until none is or `most` are done, and after that of other processes.
    /// The ranks of a job make each cell together.
    ///
    /// # Errors
    ///
    /// Those of training, or an interruption; what is complete stays, and a cell in progress goes on from its
    /// checkpoint.
    pub fn run(&self, most: Option<usize>, ranks: &dyn Ranks, stop: &Arc<AtomicBool>) -> Result<()> {
        if ranks.is_first() {
            self.check_ancestors()?;
        }
        // What other code or another processor computed can still be reported.
        let trains = most != Some(0);
        let code = match ranks.is_first() {
            true => Identity::noted(&self.config.base, &self.dir, trains)?.code,
            false => String::new(),
        };
        let code = String::from_utf8(ranks.broadcast(0, code.into_bytes()))?;
        let root = self.dir.root();
        let shop = Workshop { ablation: &self.config, root, code: &code, ranks, stop };
        let mut done = 0;
        while most.is_none_or(|most| done < most) {
            let claimed = if ranks.is_first() { self.next(stop)? } else { (Next::Nothing, None) };
            let next: Next = serde_json::from_slice(&ranks.broadcast(0, serde_json::to_vec(&claimed.0)?))?;
            let cell = match &next {
                Next::Cell { arm, seed, factor, selects } => {
                    let arm = self.config.arm(arm).with_context(|| format!("there is no arm `{arm}`"))?;
                    Cell { arm, seed: *seed, factor: *factor, selects: *selects }
                }
                Next::Nothing => break,
                Next::Stop => return Err(Interrupted.into()),
            };
            let ancestors = if ranks.is_first() { self.ancestors(&cell)?.unwrap_or_default() } else { Vec::new() };
            cell.run(&shop, |arm| place(&ancestors, arm, root))?;
            done += 1;
        }
        Ok(())
    }

    /// What is to be done next, with the lock on it; waits while other processes have all that can be begun.
    fn next(&self, stop: &AtomicBool) -> Result<(Next, Option<File>)> {
        loop {
            if interrupt::check(stop).is_err() {
                return Ok((Next::Stop, None));
            }
            let missing = self.missing()?;
            if missing.is_empty() {
                return Ok((Next::Nothing, None));
            }
            if let Some((cell, lock)) = self.claim(&missing)? {
                say(&format!("cell {} ({})", cell.path(self.dir.root()).display(), self.progress()?));
                let Cell { arm, seed, factor, selects } = cell;
                return Ok((Next::Cell { arm: arm.name.clone(), seed, factor, selects }, Some(lock)));
            }
            std::thread::sleep(PATIENCE);
        }
    }

    /// The cells that can be made and are not complete, and complete ones that these begin with or learn from but whose
    /// weights were not kept.
    fn missing(&self) -> Result<Vec<Cell<'_>>> {
        let (known, root) = (self.known_cells()?, self.dir.root());
        let mut missing = vec![false; known.len()];
        let mut needed: Vec<PathBuf> = Vec::new();
        // A later arm says what it takes of earlier ones.
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

    /// A cell that can begin and that no other process has.
    fn claim<'c>(&self, missing: &[Cell<'c>]) -> Result<Option<(Cell<'c>, File)>> {
        let root = self.dir.root();
        for cell in missing {
            if !self.is_ready(cell)? {
                continue;
            }
            let path = cell.path(root);
            std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
            let file = File::create(path.join("lock")).with_context(|| path.display().to_string())?;
            match file.try_lock() {
                // Another process may have completed it since.
                Ok(()) if self.missing()?.iter().any(|missing| missing.path(root) == path) => {
                    return Ok(Some((*cell, file)));
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error).with_context(|| path.display().to_string()),
            }
        }
        Ok(None)
    }

    /// Whether the weights that it begins with or learns from are known and there.
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
