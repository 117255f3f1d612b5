//! Makes a cell again to check that its numbers are reproducible.

use super::cell::{Cell, Workshop};
use super::first_steps;
use super::identity::Identity;
use super::ladder::Ladder;
use super::record::{DoneCell, FirstSteps};
use super::runner::Ablation;
use crate::config::ExperimentConfig;
use crate::machine::device;
use crate::run::images::Images;
use crate::run::run_dir::RunDir;
use anyhow::{Context, Result, ensure};
use ofa_train::Ranks;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A cell that was reproduced.
#[derive(Clone, Debug)]
pub struct Again {
    /// Directory of the new cell.
    pub path: PathBuf,
    /// SHA-256 of its weights.
    pub weights: String,
    /// Number of subnets with the same accuracies.
    pub subnets: usize,
}

impl Ladder {
    /// Makes a complete cell again, see [`Ablation::make_again`]. If there are budgets, the name starts with that of a
    /// budget.
    ///
    /// # Errors
    ///
    /// As for [`Ablation::make_again`], or if there is no such budget.
    pub fn make_again(&self, name: &str, ranks: &dyn Ranks, stop: &Arc<AtomicBool>) -> Result<Option<Again>> {
        let (rung, name) = self.rung_of(name)?;
        rung.make_again(name, ranks, stop)
    }

    /// Repeats the first steps of a complete cell and compares the weights with those in its record. The cells that it
    /// starts or learns from must be present. Only rank 0 gets the result.
    ///
    /// # Errors
    ///
    /// If training fails, there is no such cell, its record has no first steps, or the weights differ.
    pub fn repeat_first_steps(&self, name: &str, ranks: &dyn Ranks) -> Result<Option<FirstSteps>> {
        let (rung, name) = self.rung_of(name)?;
        rung.repeat_first_steps(name, ranks)
    }

    fn rung_of<'n>(&self, name: &'n str) -> Result<(&Ablation, &'n str)> {
        if self.config().budgets.is_empty() {
            return Ok((&self.rungs()[0], name));
        }
        let found = (0..self.rungs().len()).find_map(|rung| {
            let cell = name.strip_prefix(self.name(rung))?.strip_prefix('/')?;
            Some((&self.rungs()[rung], cell))
        });
        found.with_context(|| format!("`{name}` does not start with a budget, as {}/none/seed-1 does", self.name(0)))
    }
}

impl Ablation {
    fn repeat_first_steps(&self, name: &str, ranks: &dyn Ranks) -> Result<Option<FirstSteps>> {
        let done = self.done()?;
        let (cell, record) = self.complete(name, &done)?;
        let noted = record.record.first_steps.as_ref();
        let noted = noted.with_context(|| format!("{name} was made by a version that does not record first steps"))?;
        let again = cell.path(&self.dir().path("again"));
        let config = ExperimentConfig::load(&cell.path(self.dir().root()).join("config.toml"))?;
        let device = device::by_name(&config.device)?;
        let images = Images::load(&config, None)?;
        let mut validation = images.validation(&config, &device);
        let dir = RunDir::create_or_open(&again)?;
        let bench = (&config, &images, &mut validation, &device);
        let Some(found) = first_steps::computed(noted.steps, bench, &dir, ranks)? else { return Ok(None) };
        ensure!(
            found == *noted,
            "{name} has weights {} after {} steps, but its record has {}",
            found.weights,
            noted.steps,
            noted.weights
        );
        Ok(Some(found))
    }

    fn complete<'d>(&self, name: &str, done: &'d [(Cell<'d>, DoneCell)]) -> Result<&'d (Cell<'d>, DoneCell)> {
        let root = self.dir().root();
        let found = done.iter().find(|(cell, _)| cell.path(root) == root.join("cells").join(name));
        found.with_context(|| format!("{} holds no complete cell `{name}`, such as `none/seed-1`", root.display()))
    }

    /// Makes the complete cell `name` (`ARM/seed-N`) again below `again`, from random weights, with all cells that it
    /// starts or learns from. Of the ablation it reads only the configuration and the selected learning rates. Rank 0
    /// compares, and only rank 0 gets the result.
    ///
    /// # Errors
    ///
    /// If training fails, there is no such cell, or a weight or an accuracy differs from its record.
    pub fn make_again(&self, name: &str, ranks: &dyn Ranks, stop: &Arc<AtomicBool>) -> Result<Option<Again>> {
        let again = self.dir().path("again");
        let done = self.done()?;
        let (cell, record) = self.complete(name, &done)?;
        let code = Identity::read(self.dir())?.map(|identity| identity.code).unwrap_or_default();
        let shop = Workshop { ablation: self.config(), root: &again, code: &code, ranks, stop };
        let of_arm = |arm| -> Result<Cell> {
            let factor = self
                .chosen_factor(arm)?
                .with_context(|| format!("the learning rate of `{}` is not selected yet", arm.name))?;
            Ok(Cell { arm, factor, ..*cell })
        };
        for arm in self.config().with_ancestors(cell.arm) {
            let needed = if arm == cell.arm { *cell } else { of_arm(arm)? };
            let is_made = ranks.is_first() && needed.is_done(&again) && needed.has_supernet(&again);
            if arm != cell.arm && ranks.any(is_made) {
                continue;
            }
            // Only paths of selection cells depend on factors, and those factors are all selected.
            let place = |name: &str| {
                let arm = self.config().arm(name).and_then(|arm| of_arm(arm).ok());
                arm.map_or_else(PathBuf::new, |cell| cell.path(&again))
            };
            needed.run(&shop, place)?;
        }
        if !ranks.is_first() {
            return Ok(None);
        }
        let found = cell.read(&again)?.context("the cell that was just made is not complete")?;
        ensure!(
            found.record.weights == record.record.weights,
            "{name} ends with weights {}, but its record has {}",
            found.record.weights,
            record.record.weights
        );
        let other = found.subnets.iter().zip(&record.subnets).find(|(found, record)| found != record);
        if let Some((found, record)) = other {
            anyhow::bail!(
                "{name}: subnet {} has test top-1 {:?}, but its record has {:?}",
                found.arch,
                found.test_top1,
                record.test_top1
            );
        }
        ensure!(found.subnets.len() == record.subnets.len(), "{name} does not report as many subnets as its record");
        Ok(Some(Again { path: cell.path(&again), weights: found.record.weights, subnets: found.subnets.len() }))
    }
}
