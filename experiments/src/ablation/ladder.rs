//! The ladder: an ablation at several compute budgets, from little to much, with one configuration and one record.

mod findings;
mod price;

pub use findings::{ArmAt, AtBudget, Cheapest, LadderFindings, Sign};
pub use price::{AloneCost, CornerPrice, Price};

use super::additions::Addition;
use super::cell::CellName;
use super::config::AblationConfig;
use super::runner::{Ablation, Look, PATIENCE};
use crate::console::interrupt::{self, Interrupted};
use crate::console::say;
use crate::machine::environment;
use crate::run::lock::RunLock;
use crate::run::run_dir::RunDir;
use anyhow::{Context, Result, bail};
use ofa_train::Ranks;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const ADDITIONS: &str = "additions.json";

/// An ablation in its directory: one per budget, or a single one if there are no budgets.
pub struct Ladder {
    config: AblationConfig,
    dir: RunDir,
    rungs: Vec<Ablation>,
}

/// What the ranks of a job do next; rank 0 decides and broadcasts it.
#[derive(Serialize, Deserialize)]
enum Next {
    Cell { rung: usize, cell: CellName },
    Nothing,
    Stop,
}

impl Ladder {
    /// Creates an ablation, or opens one that was started with the same configuration or with less. Arms, budgets and
    /// contrasts may be added; additions are recorded.
    ///
    /// # Errors
    ///
    /// If the directory holds an ablation of another configuration: a rule, an arm or a seed that changes after the
    /// first result could be chosen to fit it.
    pub fn open(config: AblationConfig, root: &Path) -> Result<Self> {
        match RunDir::open(root) {
            Err(_) => drop(RunDir::create(root, &config.to_toml()?)?),
            Ok(_) => Self::reopen(root)?.extend(&config)?,
        }
        Self::with_rungs(config, root)
    }

    /// Opens an existing ablation.
    ///
    /// # Errors
    ///
    /// If `root` holds no ablation, or its configuration is invalid.
    pub fn reopen(root: &Path) -> Result<Self> {
        let (dir, text) = RunDir::open(root)?;
        let config = AblationConfig::parse(&text).with_context(|| dir.path("config.toml").display().to_string())?;
        Self::with_rungs(config, root)
    }

    fn with_rungs(config: AblationConfig, root: &Path) -> Result<Self> {
        let (dir, _) = RunDir::open(root)?;
        let rungs = match config.budgets.is_empty() {
            true => vec![Ablation::new(config.clone(), dir.clone())],
            false => config
                .budgets
                .iter()
                .map(|budget| Ablation::in_place(config.at(budget), &root.join(&budget.name)))
                .collect::<Result<_>>()?,
        };
        Ok(Self { config, dir, rungs })
    }

    /// Configuration of the whole ladder.
    pub fn config(&self) -> &AblationConfig {
        &self.config
    }

    /// Directory of the whole ladder.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// The ablation at each budget, in configuration order.
    pub fn rungs(&self) -> &[Ablation] {
        &self.rungs
    }

    /// Name of a budget by its index; empty if there are no budgets.
    pub fn name(&self, rung: usize) -> &str {
        self.config.budgets.get(rung).map_or("", |budget| &budget.name)
    }

    /// Trains and measures missing cells, budget by budget, until `most` are done or none is left, including those that
    /// other processes hold. With `only`, works at this budget alone. The ranks of a job make each cell together.
    ///
    /// # Errors
    ///
    /// If training fails or is interrupted, or the budget is unknown. Complete cells stay, and a cell in progress
    /// resumes from its checkpoint.
    pub fn run(
        &self,
        most: Option<usize>,
        only: Option<&str>,
        ranks: &dyn Ranks,
        stop: &Arc<AtomicBool>,
    ) -> Result<()> {
        let chosen = self.chosen(only)?;
        // Results of other code or another processor can still be reported.
        let trains = most != Some(0);
        if ranks.is_first() {
            self.rungs.iter().try_for_each(Ablation::check_ancestors)?;
        }
        if !trains {
            return if ranks.is_first() { self.rungs.iter().try_for_each(Ablation::check_images) } else { Ok(()) };
        }
        let mut codes: BTreeMap<usize, String> = BTreeMap::new();
        let mut done = 0;
        while most.is_none_or(|most| done < most) {
            let claimed = if ranks.is_first() { self.next(&chosen, stop)? } else { (Next::Nothing, None) };
            let next: Next = serde_json::from_slice(&ranks.broadcast(0, serde_json::to_vec(&claimed.0)?))?;
            let (rung, cell) = match next {
                Next::Cell { rung, cell } => (rung, cell),
                Next::Nothing => break,
                Next::Stop => return Err(Interrupted.into()),
            };
            if let Entry::Vacant(entry) = codes.entry(rung) {
                entry.insert(self.rungs[rung].code(ranks)?);
            }
            self.rungs[rung].make(&cell, &codes[&rung], ranks, stop)?;
            done += 1;
        }
        Ok(())
    }

    fn chosen(&self, only: Option<&str>) -> Result<Vec<usize>> {
        let all = 0..self.rungs.len();
        let Some(only) = only else { return Ok(all.collect()) };
        let chosen: Vec<usize> = all.filter(|&rung| self.name(rung) == only).collect();
        if chosen.is_empty() {
            let names: Vec<&str> = self.config.budgets.iter().map(|budget| budget.name.as_str()).collect();
            bail!("there is no budget `{only}`; this ablation has: {}", names.join(", "));
        }
        Ok(chosen)
    }

    /// The next task, with the lock on its cell; waits while other processes hold all cells that can start.
    fn next(&self, chosen: &[usize], stop: &AtomicBool) -> Result<(Next, Option<RunLock>)> {
        loop {
            if interrupt::check(stop).is_err() {
                return Ok((Next::Stop, None));
            }
            let mut busy = false;
            for &rung in chosen {
                match self.rungs[rung].look()? {
                    Look::Nothing => {}
                    Look::Busy => busy = true,
                    Look::Cell(cell, lock) => {
                        let place = cell.path(self.rungs[rung].dir().root());
                        say(&format!("cell {} ({})", place.display(), self.progress()?));
                        return Ok((Next::Cell { rung, cell: cell.name() }, Some(lock)));
                    }
                }
            }
            if !busy {
                return Ok((Next::Nothing, None));
            }
            std::thread::sleep(PATIENCE);
        }
    }

    /// How many of all cells are complete, as text.
    ///
    /// # Errors
    ///
    /// If a cell cannot be read.
    pub fn progress(&self) -> Result<String> {
        let counts = self.rungs.iter().map(Ablation::counts).collect::<Result<Vec<_>>>()?;
        let [done, all] = [0, 1].map(|i| counts.iter().map(|counts| counts[i]).sum::<usize>());
        Ok(format!("{done} of {all} cells complete"))
    }

    /// Number of complete cells.
    pub(super) fn complete(&self) -> Result<usize> {
        self.rungs.iter().map(|rung| Ok(rung.counts()?[0])).sum()
    }
}

impl Ladder {
    /// Additions since the start, oldest first.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is damaged.
    pub fn additions(&self) -> Result<Vec<Addition>> {
        let path = self.dir().path(ADDITIONS);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| path.display().to_string()),
            Err(_) if !path.exists() => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Adopts a configuration that has more, and records what was added.
    pub(super) fn extend(&self, config: &AblationConfig) -> Result<()> {
        let added = config.beyond(self.config()).with_context(|| self.dir().root().display().to_string())?;
        if added.is_empty() {
            return Ok(());
        }
        let machine = environment::machine(&config.base.device);
        let complete = self.complete()?;
        let mut additions = self.additions()?;
        additions.push(Addition { moment: machine.started, revision: machine.revision, complete, added });
        // Recorded first: an addition that is recorded but not made is made next time; one that is made but not
        // recorded would stay hidden.
        self.dir().write_json(ADDITIONS, &additions)?;
        self.dir().write("config.toml", &config.to_toml()?)
    }
}

#[cfg(test)]
mod tests;
