//! A cell made again, to see whether its numbers can be had twice.

use super::cell::{Cell, Workshop};
use super::identity::Identity;
use super::runner::Ablation;
use anyhow::{Context, Result, ensure};
use ofa_train::Ranks;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A cell that came out the same.
#[derive(Clone, Debug)]
pub struct Again {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its weights.
    pub weights: String,
    /// Subnets whose accuracies are the same.
    pub subnets: usize,
}

impl Ablation {
    /// Makes the complete cell `name` (`ARM/seed-N`) again below `again`, from random weights on, with all cells that
    /// it begins with or learns from; nothing is read of the ablation but its configuration and the chosen learning
    /// rates. Rank 0 compares and gets what came out.
    ///
    /// # Errors
    ///
    /// Those of training, or if there is no such cell, or if a weight or an accuracy is another than in its record.
    pub fn make_again(&self, name: &str, ranks: &dyn Ranks, stop: &Arc<AtomicBool>) -> Result<Option<Again>> {
        let (root, again) = (self.dir().root(), self.dir().path("again"));
        let is_named = |cell: &Cell| cell.path(root) == root.join("cells").join(name);
        let done = self.done()?;
        let (cell, record) = done
            .iter()
            .find(|(cell, _)| is_named(cell))
            .with_context(|| format!("{} holds no complete cell `{name}`, such as `none/seed-1`", root.display()))?;
        let code = Identity::read(self.dir())?.map(|identity| identity.code).unwrap_or_default();
        let shop = Workshop { ablation: self.config(), root: &again, code: &code, ranks, stop };
        let of_arm = |arm| -> Result<Cell> {
            let factor =
                self.chosen_factor(arm)?.with_context(|| format!("the rate of `{}` is not chosen", arm.name))?;
            Ok(Cell { arm, factor, ..*cell })
        };
        for arm in self.config().with_ancestors(cell.arm) {
            let needed = if arm == cell.arm { *cell } else { of_arm(arm)? };
            let is_made = ranks.is_first() && needed.is_done(&again) && needed.has_supernet(&again);
            if arm != cell.arm && ranks.any(is_made) {
                continue;
            }
            // Paths of cells do not depend on factors but for those that choose them, of which all are chosen.
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
            "{name} ends with weights {}, its record has {}",
            found.record.weights,
            record.record.weights
        );
        let other = found.subnets.iter().zip(&record.subnets).find(|(found, record)| found != record);
        if let Some((found, record)) = other {
            anyhow::bail!(
                "{name}: subnet {} reaches {:?}, its record has {:?}",
                found.arch,
                found.test_top1,
                record.test_top1
            );
        }
        ensure!(
            found.subnets.len() == record.subnets.len(),
            "{name} reports another number of subnets than its record"
        );
        Ok(Some(Again { path: cell.path(&again), weights: found.record.weights, subnets: found.subnets.len() }))
    }
}
