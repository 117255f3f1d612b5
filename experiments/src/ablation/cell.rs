//! A cell: one arm trained with one seed, and measured.

use super::budget::{Budget, trained_macs};
use super::config::{AblationConfig, Arm};
use super::measure::measure;
use super::record::{CellRecord, DoneCell, RECORD, SUBNETS};
use super::{first_steps, parcel};
use crate::config::ExperimentConfig;
use crate::console::interrupt;
use crate::machine::environment::Machine;
use crate::machine::{device, environment};
use crate::run::images::Images;
use crate::run::run_dir::{RunDir, remove_dir};
use crate::run::supernet_file::{self, CHECKPOINTS, SUPERNET};
use crate::run::{records, training};
use anyhow::{Context, Result, ensure};
use burn::module::Module;
use ofa_model::Supernet;
use ofa_train::{EpochRecord, Ranks, TrainError, weights_sha256};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Specification of a cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<'a> {
    pub(super) arm: &'a Arm,
    pub(super) seed: u64,
    /// Factor on the arm's learning rates.
    pub(super) factor: f64,
    /// Learning-rate selection run; never sees test images.
    pub(super) selects: bool,
}

/// Identifies a cell within its ablation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CellName {
    arm: String,
    seed: u64,
    factor: f64,
    selects: bool,
}

impl CellName {
    /// The cell with this name.
    pub(super) fn of<'a>(&self, ablation: &'a AblationConfig) -> Result<Cell<'a>> {
        let arm = ablation.arm(&self.arm).with_context(|| format!("there is no arm `{}`", self.arm))?;
        Ok(Cell { arm, seed: self.seed, factor: self.factor, selects: self.selects })
    }
}

/// Context in which cells are made: directory, code and ranks.
pub(super) struct Workshop<'a> {
    pub(super) ablation: &'a AblationConfig,
    pub(super) root: &'a Path,
    /// Digest of what the code computes, see [`Identity`](super::identity::Identity).
    pub(super) code: &'a str,
    pub(super) ranks: &'a dyn Ranks,
    pub(super) stop: &'a Arc<AtomicBool>,
}

impl Cell<'_> {
    pub(super) fn name(&self) -> CellName {
        CellName { arm: self.arm.name.clone(), seed: self.seed, factor: self.factor, selects: self.selects }
    }

    /// Its directory, below that of the ablation.
    pub(super) fn path(&self, root: &Path) -> PathBuf {
        let name = if self.selects { format!("select-{}", self.factor) } else { format!("seed-{}", self.seed) };
        root.join("cells").join(&self.arm.name).join(name)
    }

    /// Reads the cell; `None` if it is not complete.
    ///
    /// # Errors
    ///
    /// If a file is damaged, or the directory holds another cell.
    pub(super) fn read(&self, root: &Path) -> Result<Option<DoneCell>> {
        let path = self.path(root);
        let Some(done) = DoneCell::read(&path)? else { return Ok(None) };
        done.check(&self.arm.name, self.seed, self.factor, &path)?;
        Ok(Some(done))
    }

    /// Whether the cell is complete.
    pub(super) fn is_done(&self, root: &Path) -> bool {
        self.path(root).join(RECORD).exists()
    }

    /// Whether its weights are there, so later arms can start from them.
    pub(super) fn has_supernet(&self, root: &Path) -> bool {
        Supernet::is_saved_in(&self.path(root).join(SUPERNET))
    }

    /// The configuration of the ordinary run that this cell is. `supernet_of` gives the path of an earlier arm's
    /// supernet.
    pub(super) fn config(&self, ablation: &AblationConfig, supernet_of: impl Fn(&str) -> PathBuf) -> ExperimentConfig {
        let mut config = ablation.base.clone();
        config.seed = self.seed;
        config.training.start = self.arm.start.as_deref().map(&supernet_of);
        config.training.teacher = self.arm.teacher.as_deref().map(&supernet_of);
        config.training.schedule = self.arm.schedule.clone();
        for phase in &mut config.training.schedule.phases {
            phase.learning_rate *= self.factor;
        }
        config
    }

    /// Trains and measures the cell, or resumes an interrupted attempt. A complete cell is made again, since records
    /// may be kept without weights. A diverged training is recorded as such. `cell_of` gives the directory of an
    /// earlier arm's cell.
    ///
    /// # Errors
    ///
    /// If training fails, or a complete cell ends with other weights than before.
    pub(super) fn run(&self, shop: &Workshop, cell_of: impl Fn(&str) -> PathBuf) -> Result<()> {
        let first = shop.ranks.is_first();
        // Taken here because the record states when this attempt started.
        let machine = environment::machine(&shop.ablation.base.device);
        // Only rank 0 has looked up the ancestors' cells; the others receive the configuration from it.
        let text = if first {
            self.config(shop.ablation, |arm| cell_of(arm).join(SUPERNET)).to_toml()?
        } else {
            String::new()
        };
        let config = ExperimentConfig::parse(&String::from_utf8(shop.ranks.broadcast(0, text.into_bytes()))?)?;
        let dir = self.open(&config, shop)?;
        let device = device::by_name(&config.device)?;
        let images = Images::load(&config, None)?;
        records::same_images(&dir, &images, shop.ranks)?;
        let mut validation = images.validation(&config, &device);
        let begun = first_steps::noted((&config, &images, &mut validation, &device), &dir, shop.ranks);
        let begun = match begun {
            Ok(begun) => begun,
            Err(error) => return self.diverged(error, machine, &dir, shop),
        };
        let trained = training::train(&config, &images, &mut validation, &device, &dir, shop.ranks, shop.stop);
        let trained = match trained {
            Ok(trained) => trained,
            Err(error) if first && interrupt::is_interruption(&error) => {
                parcel::pack(&dir)?;
                return Err(error);
            }
            Err(error) => return self.diverged(error, machine, &dir, shop),
        };
        let supernet = trained.supernet.valid();
        let weights = weights_sha256(&supernet);
        self.same_as_before(&weights, shop)?;
        let started = Instant::now();
        let bench = (&config, &images, &mut validation, &device);
        let subnets = measure((self.arm, self.selects), shop.ablation, &supernet, bench, shop.ranks)?;
        if !first {
            return Ok(());
        }
        dir.write_csv(SUBNETS, &subnets)?;
        let starts_others = |arm: &Arm| [&arm.start, &arm.teacher].contains(&&Some(self.arm.name.clone()));
        if !self.selects || shop.ablation.arms.iter().any(starts_others) {
            supernet_file::write(&supernet, &dir)?;
        }
        let seconds = started.elapsed().as_secs_f64();
        let training = trained.epochs.iter().map(|epoch| epoch.seconds).sum();
        let record = self.record(self.spent(&trained.epochs, &config), [training, seconds], machine, shop);
        dir.write_json(RECORD, &CellRecord { weights, first_steps: begun, ..record })?;
        without_leftovers(&dir)
    }

    /// Opens the directory of the cell, new or left by an interrupted attempt.
    fn open(&self, config: &ExperimentConfig, shop: &Workshop) -> Result<RunDir> {
        let path = self.path(shop.root);
        if shop.ranks.is_first() {
            let text = config.to_toml()?;
            match RunDir::open(&path) {
                Err(_) => drop(RunDir::create(&path, &text)?),
                Ok((dir, noted)) if noted != text => {
                    let noted =
                        ExperimentConfig::parse(&noted).with_context(|| format!("{}/config.toml", path.display()))?;
                    ensure!(
                        anywhere(noted) == anywhere(config.clone()),
                        "{} was started with another configuration than that of the ablation: remove it to train it \
                         again",
                        path.display()
                    );
                    // Only paths differ: the ablation has moved.
                    dir.write("config.toml", &text)?;
                }
                Ok(_) => {}
            }
        }
        if shop.ranks.is_first() {
            parcel::unpack(&RunDir::open(&path)?.0)?;
        }
        shop.ranks.broadcast(0, Vec::new());
        Ok(RunDir::open(&path).context("all ranks need a shared file system")?.0)
    }

    fn same_as_before(&self, weights: &str, shop: &Workshop) -> Result<()> {
        let before = if shop.ranks.is_first() { self.read(shop.root)? } else { None };
        match before {
            Some(before) if before.record.weights != weights => anyhow::bail!(
                "{} ends with weights {weights}, but its record has {}: it was made by other code",
                self.path(shop.root).display(),
                before.record.weights
            ),
            _ => Ok(()),
        }
    }

    /// Records a loss or weight that is not finite; passes on any other error.
    fn diverged(&self, error: anyhow::Error, machine: Machine, dir: &RunDir, shop: &Workshop) -> Result<()> {
        let diverged = match error.downcast_ref() {
            Some(TrainError::NonFiniteLoss { loss, phase, epoch, step, .. }) => {
                let what = if loss.is_finite() { "a weight is not finite".into() } else { format!("loss is {loss}") };
                format!("{what} in phase `{phase}`, epoch {epoch}, step {step}")
            }
            _ => return Err(error),
        };
        self.same_as_before("none", shop)?;
        if !shop.ranks.is_first() {
            return Ok(());
        }
        crate::console::say(&format!("{} diverged: {diverged}", self.path(shop.root).display()));
        let record = self.record(Budget::default(), [0.0; 2], machine, shop);
        dir.write_json(RECORD, &CellRecord { diverged: Some(diverged), weights: "none".into(), ..record })?;
        without_leftovers(dir)
    }

    fn record(&self, budget: Budget, seconds: [f64; 2], machine: Machine, shop: &Workshop) -> CellRecord {
        CellRecord {
            arm: self.arm.name.clone(),
            seed: self.seed,
            factor: self.factor,
            code: shop.code.to_owned(),
            first_steps: None,
            weights: String::new(),
            budget,
            seconds,
            machine,
            diverged: None,
        }
    }

    /// What the training cost, according to its epoch records.
    fn spent(&self, epochs: &[EpochRecord], config: &ExperimentConfig) -> Budget {
        let epoch = |record: &EpochRecord| {
            let phase = self.arm.schedule.phases.iter().find(|phase| phase.name == record.phase);
            phase.map_or_else(Budget::default, |phase| Budget {
                subnet_epochs: phase.subnets_per_step as f64,
                macs: trained_macs(record.images, record.mean_macs, phase, &config.space),
            })
        };
        epochs.iter().map(epoch).sum()
    }
}

/// The configuration without the paths of earlier arms.
fn anywhere(mut config: ExperimentConfig) -> ExperimentConfig {
    config.training.start = config.training.start.and(Some(PathBuf::new()));
    config.training.teacher = config.training.teacher.and(Some(PathBuf::new()));
    config
}

/// Removes what is only needed to resume: the cell is complete.
fn without_leftovers(dir: &RunDir) -> Result<()> {
    first_steps::remove(dir)?;
    parcel::remove(dir)?;
    remove_dir(&dir.path(CHECKPOINTS))
}
