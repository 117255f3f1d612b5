//! [`DesignAblation`]: the comparison in its directory.

use super::cell::{Cell, cells};
use super::config::DesignConfig;
use super::record::{DesignRecord, DesignedRow};
use super::setting::measure_table;
use crate::ablation::identity::Identity;
use crate::ablation::runner::PATIENCE;
use crate::console::{interrupt, say};
use crate::run::lock::RunLock;
use crate::run::run_dir::{RunDir, make_dir};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A comparison of design costs in its directory.
pub struct DesignAblation {
    config: DesignConfig,
    dir: RunDir,
}

impl DesignAblation {
    /// Creates the directory of a new comparison, or opens one that was begun with the same configuration.
    ///
    /// # Errors
    ///
    /// If the directory holds another comparison or cannot be written.
    pub fn open(config: DesignConfig, root: &Path) -> Result<Self> {
        config.validate()?;
        let text = config.to_toml()?;
        let dir = match RunDir::open(root) {
            Err(_) => RunDir::create(root, &text)?,
            Ok((dir, noted)) => {
                ensure!(
                    noted == text,
                    "{} holds a comparison with another configuration: resume it with --resume, or choose another --out",
                    root.display()
                );
                dir
            }
        };
        Ok(Self { config, dir })
    }

    /// Opens an existing comparison.
    ///
    /// # Errors
    ///
    /// If `root` holds none, or its configuration is invalid.
    pub fn reopen(root: &Path) -> Result<Self> {
        let (dir, text) = RunDir::open(root)?;
        let config = DesignConfig::parse(&text).with_context(|| dir.path("config.toml").display().to_string())?;
        Ok(Self { config, dir })
    }

    /// Its configuration.
    pub fn config(&self) -> &DesignConfig {
        &self.config
    }

    /// Its directory.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Makes missing cells until `most` are done or none is left, also those that other processes hold. With `only`,
    /// cells of this method alone.
    ///
    /// # Errors
    ///
    /// If a cell fails or a stop was requested; what was done stays.
    pub fn run(&self, most: Option<usize>, only: Option<&str>, stop: &Arc<AtomicBool>) -> Result<()> {
        let all = cells(&self.config);
        let is_asked =
            |cell: &&Cell| only.is_none_or(|only| cell.path("".as_ref()).starts_with(Path::new("cells").join(only)));
        let asked: Vec<&Cell> = all.iter().filter(is_asked).collect();
        if let Some(only) = only {
            let names: Vec<&str> = self.config.methods.iter().map(|method| method.name.as_str()).collect();
            ensure!(
                !asked.is_empty(),
                "there is no method `{only}`; there are {} and {}",
                DesignConfig::OFA,
                names.join(", ")
            );
        }
        if most == Some(0) {
            return Identity::check_images(&self.config.base, &self.dir);
        }
        self.table(stop)?;
        let code = Identity::noted(&self.config.base, &self.dir)?.code;
        let mut done = 0;
        while most.is_none_or(|most| done < most) {
            interrupt::check(stop)?;
            let missing: Vec<&&Cell> = asked.iter().filter(|cell| !cell.is_done(self.dir.root())).collect();
            if missing.is_empty() {
                break;
            }
            match self.claim(&missing)? {
                Some((cell, _lock)) => {
                    say(&format!("cell {} ({})", cell.path(self.dir.root()).display(), self.progress()));
                    cell.make(&self.config, self.dir.root(), &code, stop)?;
                    done += 1;
                }
                None => std::thread::sleep(PATIENCE),
            }
        }
        Ok(())
    }

    /// Measures the latency table if needed, in one process.
    fn table(&self, stop: &Arc<AtomicBool>) -> Result<()> {
        let place = self.dir.path("tables");
        make_dir(&place)?;
        loop {
            if let Some(_lock) = RunLock::try_take(&place)? {
                return measure_table(&self.config, &self.dir, stop);
            }
            interrupt::check(stop)?;
            std::thread::sleep(PATIENCE);
        }
    }

    /// A missing cell that no other process holds, and whose rate is chosen.
    fn claim<'c>(&self, missing: &[&&'c Cell<'c>]) -> Result<Option<(&'c Cell<'c>, RunLock)>> {
        for cell in missing {
            if cell.factor(&self.config, self.dir.root())?.is_none() {
                continue;
            }
            let path = cell.path(self.dir.root());
            make_dir(&path)?;
            // Another process may have completed it in the meantime.
            if let Some(lock) = RunLock::try_take(&path)?.filter(|_| !cell.is_done(self.dir.root())) {
                return Ok(Some((cell, lock)));
            }
        }
        Ok(None)
    }

    /// How many of all cells are complete, as text.
    pub fn progress(&self) -> String {
        let all = cells(&self.config);
        let done = all.iter().filter(|cell| cell.is_done(self.dir.root())).count();
        format!("{done} of {} cells complete", all.len())
    }

    /// The complete cells that are reported, without trials.
    ///
    /// # Errors
    ///
    /// If one is damaged.
    pub fn records(&self) -> Result<Vec<DesignRecord>> {
        self.read(|cell| cell.trial.is_none())
    }

    /// The complete cells, trials among them.
    pub(super) fn all_records(&self) -> Result<Vec<DesignRecord>> {
        self.read(|_| true)
    }

    fn read(&self, asked: impl Fn(&Cell) -> bool) -> Result<Vec<DesignRecord>> {
        let read = cells(&self.config).into_iter().filter(asked).map(|cell| cell.read(self.dir.root()));
        Ok(read.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// One row per network of all complete cells.
    ///
    /// # Errors
    ///
    /// If a cell is damaged.
    pub fn rows(&self) -> Result<Vec<DesignedRow>> {
        Ok(self.records()?.iter().flat_map(DesignRecord::rows).collect())
    }
}
