//! Arms times seeds as resumable cells. Several processes may work in one directory: a cell is claimed by a lock on a file.

use super::cell::{Cell, DoneCell};
use super::config::{AblationConfig, Arm};
use super::identity::Identity;
use crate::dashboard::say;
use crate::interrupt;
use crate::run_dir::RunDir;
use crate::supernet_file::SUPERNET;
use anyhow::{Context, Result, bail};
use ofa_model::Supernet;
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::PathBuf;
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

/// The complete cells of the report, by arm and seed.
pub type Cells = BTreeMap<(String, u64), DoneCell>;

/// For every arm, the factors on its learning rates with the mean validation accuracy they led to.
pub type Selections = BTreeMap<String, Vec<(f64, f64)>>;

impl Ablation {
    /// A new one, or one that was begun with the same configuration.
    ///
    /// # Errors
    ///
    /// If the directory holds an ablation of another configuration: a rule, an arm or a seed that changes after the first
    /// result would be chosen by it.
    pub fn open(config: AblationConfig, root: &std::path::Path) -> Result<Self> {
        let text = config.to_toml()?;
        let dir = match RunDir::open(root) {
            Err(_) => RunDir::create(root, &text)?,
            Ok((dir, noted)) => {
                let changed = text.lines().zip(noted.lines()).find(|(ours, theirs)| ours != theirs);
                match changed {
                    Some((ours, theirs)) => bail!(
                        "{} was begun with another configuration (`{theirs}`, now `{ours}`): a rule, an arm or a seed that \
                         changes after the first result would be chosen by it; begin another ablation",
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
    pub fn reopen(root: &std::path::Path) -> Result<Self> {
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
    ///
    /// # Errors
    ///
    /// Those of training, or an interruption; what is complete stays, and a cell in progress goes on from its checkpoint.
    pub fn run(&self, most: Option<usize>, stop: &Arc<AtomicBool>) -> Result<()> {
        let identity = Identity::noted(&self.config.base, &self.dir)?;
        let mut done = 0;
        while most.is_none_or(|most| done < most) {
            interrupt::check(stop)?;
            let missing = self.missing()?;
            if missing.is_empty() {
                break;
            }
            match self.claim(&missing)? {
                Some((cell, _lock)) => {
                    let place = self.progress()?;
                    say(&format!("cell {} ({place})", cell.path(self.dir.root()).display()));
                    cell.run(&self.config, self.dir.root(), &identity.code, |arm| self.ancestor(arm, &cell), stop)?;
                    done += 1;
                }
                // Other processes have all that can be begun.
                None => std::thread::sleep(PATIENCE),
            }
        }
        Ok(())
    }

    /// The cells that are not complete, and complete ones that these begin with or learn from but whose weights were not kept.
    fn missing(&self) -> Result<Vec<Cell<'_>>> {
        let (known, root) = (self.known_cells()?, self.dir.root());
        let mut missing = vec![false; known.len()];
        let mut needed: Vec<PathBuf> = Vec::new();
        // A later arm says what it takes of earlier ones.
        for arm in self.config.arms.iter().rev() {
            for (cell, missing) in known.iter().zip(&mut missing).filter(|(cell, _)| cell.arm.name == arm.name) {
                *missing = !self.is_done(cell) || (needed.contains(&cell.path(root)) && !cell.has_supernet(root));
                if *missing {
                    needed.extend(self.ancestors(cell));
                }
            }
        }
        Ok(known.into_iter().zip(missing).filter_map(|(cell, missing)| missing.then_some(cell)).collect())
    }

    /// A cell that can begin and that no other process has.
    fn claim<'c>(&self, missing: &[Cell<'c>]) -> Result<Option<(Cell<'c>, File)>> {
        let root = self.dir.root();
        for cell in missing.iter().filter(|cell| self.is_ready(cell)) {
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

    fn is_done(&self, cell: &Cell) -> bool {
        cell.is_done(self.dir.root())
    }

    /// Whether the weights that it begins with or learns from are there.
    fn is_ready(&self, cell: &Cell) -> bool {
        self.ancestors(cell).all(|path| Supernet::is_saved_in(&path.join(SUPERNET)))
    }

    /// Directories of the cells that it begins with or learns from.
    fn ancestors(&self, cell: &Cell) -> impl Iterator<Item = PathBuf> {
        let arms = cell.arm.start.iter().chain(&cell.arm.teacher);
        arms.map(|arm| self.ancestor(arm, cell))
    }

    /// Directory of the cell of an earlier arm that `cell` begins with or learns from.
    fn ancestor(&self, arm: &str, cell: &Cell) -> PathBuf {
        let arm = self.config.arm(arm).unwrap_or(cell.arm);
        let factor = self.chosen_factor(arm).ok().flatten().unwrap_or(1.0);
        Cell { arm, factor, ..*cell }.path(self.dir.root())
    }

    /// All cells whose configuration is known by now: first those that the verdict takes, then the others; of each, those that
    /// choose learning rates, then those of the report, seed by seed, so that what is complete is paired.
    fn known_cells(&self) -> Result<Vec<Cell<'_>>> {
        let config = &self.config;
        let rule = [&config.rule.treatment, &config.rule.control];
        let needed: Vec<&Arm> =
            rule.into_iter().filter_map(|name| config.arm(name)).flat_map(|arm| config.with_ancestors(arm)).collect();
        let (first, others): (Vec<&Arm>, Vec<&Arm>) = config.arms.iter().partition(|arm| needed.contains(arm));
        let mut cells = Vec::new();
        for arms in [first, others] {
            if config.selection.factors.len() > 1 {
                cells.extend(arms.iter().flat_map(|arm| self.selecting(arm)));
            }
            for &seed in &config.seeds {
                for arm in &arms {
                    if let Some(factor) = self.chosen_factor(arm)? {
                        cells.push(Cell { arm, seed, factor, selects: false });
                    }
                }
            }
        }
        Ok(cells)
    }

    fn selecting<'a>(&'a self, arm: &'a Arm) -> impl Iterator<Item = Cell<'a>> {
        let selection = &self.config.selection;
        selection.factors.iter().map(move |&factor| Cell { arm, seed: selection.seed, factor, selects: true })
    }

    /// The factor on the learning rates of an arm that is best on validation images; `None` while its cells are missing.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read.
    pub fn chosen_factor(&self, arm: &Arm) -> Result<Option<f64>> {
        if let [only] = self.config.selection.factors[..] {
            return Ok(Some(only));
        }
        let mut best: Option<(f64, f64)> = None;
        for cell in self.selecting(arm) {
            let Some(done) = cell.read(self.dir.root())? else { return Ok(None) };
            let score = done.validation_top1();
            if best.is_none_or(|(_, found)| score > found) {
                best = Some((cell.factor, score));
            }
        }
        Ok(best.map(|(factor, _)| factor))
    }

    /// For every arm, each factor with the mean validation accuracy of the corners it led to, as far as measured.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read.
    pub fn selections(&self) -> Result<Selections> {
        let mut selections = Selections::new();
        for arm in &self.config.arms {
            let scores = selections.entry(arm.name.clone()).or_default();
            for cell in self.selecting(arm) {
                if let Some(done) = cell.read(self.dir.root())? {
                    scores.push((cell.factor, done.validation_top1()));
                }
            }
        }
        Ok(selections)
    }

    /// The complete cells of the report.
    ///
    /// # Errors
    ///
    /// If one cannot be read.
    pub fn cells(&self) -> Result<Cells> {
        let mut cells = Cells::new();
        for cell in self.known_cells()?.into_iter().filter(|cell| !cell.selects) {
            if let Some(done) = cell.read(self.dir.root())? {
                cells.insert((cell.arm.name.clone(), cell.seed), done);
            }
        }
        Ok(cells)
    }

    /// How many of all cells are complete, in words.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read.
    pub fn progress(&self) -> Result<String> {
        let factors = self.config.selection.factors.len();
        let per_arm = self.config.seeds.len() + if factors > 1 { factors } else { 0 };
        let done = self.known_cells()?.iter().filter(|cell| self.is_done(cell)).count();
        Ok(format!("{done} of {} cells complete", per_arm * self.config.arms.len()))
    }
}

impl DoneCell {
    /// Mean validation accuracy of the corners.
    fn validation_top1(&self) -> f64 {
        let found: Vec<f64> = self.subnets.iter().filter_map(|row| row.validation_top1).collect();
        found.iter().sum::<f64>() / found.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ablation::testing::ablation;

    #[test]
    fn a_rule_that_changes_after_the_start_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Ablation::open(ablation(), dir.path()).unwrap();
        Ablation::open(ablation(), dir.path()).unwrap();
        let mut other = ablation();
        other.rule.margin = 0.001;
        let message = Ablation::open(other, dir.path()).err().unwrap().to_string();
        assert!(message.contains("margin = 0.014") && message.contains("margin = 0.001"), "{message}");
        assert_eq!(Ablation::reopen(dir.path()).unwrap().config(), &ablation());
    }

    #[test]
    fn the_arms_of_the_verdict_come_first_and_a_factor_is_chosen_before_its_report() {
        let dir = tempfile::tempdir().unwrap();
        let config = AblationConfig::shrinking("default").unwrap();
        let ablation = Ablation::open(config, dir.path()).unwrap();
        let cells = ablation.known_cells().unwrap();
        assert_eq!(cells.len(), 16 * 3, "{}", cells.len());
        assert!(cells.iter().all(|cell| cell.selects && cell.seed == 101));
        let order: Vec<&str> = cells.iter().step_by(3).map(|cell| cell.arm.name.as_str()).take(4).collect();
        assert_eq!(order, ["full", "progressive", "none", "progressive_untaught"]);
        assert_eq!(ablation.progress().unwrap(), "0 of 128 cells complete");
        // Only what needs no other arm can begin.
        let ready: Vec<&str> =
            cells.iter().filter(|cell| ablation.is_ready(cell)).map(|cell| cell.arm.name.as_str()).collect();
        assert!(!ready.contains(&"progressive") && ready.contains(&"full") && ready.contains(&"none"), "{ready:?}");
    }

    #[test]
    fn a_claimed_cell_is_left_to_its_process() {
        let dir = tempfile::tempdir().unwrap();
        let ablation = Ablation::open(ablation(), dir.path()).unwrap();
        let cells = ablation.known_cells().unwrap();
        let (first, _lock) = ablation.claim(&cells).unwrap().unwrap();
        let (second, _other) = ablation.claim(&cells).unwrap().unwrap();
        assert_eq!((first.arm.name.as_str(), first.seed), ("full", 1));
        assert_ne!(second.path(dir.path()), first.path(dir.path()));
    }
}
