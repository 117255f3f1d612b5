//! The cells: which networks are designed, in which order, and where.

use super::config::{DesignConfig, Method};
use super::designer::{Desk, SEARCH, SEARCHED, TRAINING};
use super::meter::Meter;
use super::ofa;
use super::record::{DesignRecord, Designed, RECORD, Spent};
use super::setting::Setting;
use crate::console::say;
use crate::machine::environment;
use crate::run::records;
use crate::run::run_dir::{RunDir, remove_dir, remove_file};
use crate::run::supernet_file::CHECKPOINTS;
use anyhow::{Context, Result, ensure};
use ofa_train::{OneRank, TrainError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A cell of the comparison.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<'a> {
    /// `None` for the once-for-all network.
    pub(super) method: Option<&'a Method>,
    pub(super) budget: f64,
    /// Index of the target; 0 for cells that serve all.
    pub(super) target: usize,
    pub(super) seed: u64,
    /// The factor on its rates that it tries; `None` for the cells that are reported.
    pub(super) trial: Option<f64>,
}

/// All cells, in the order in which they are made: trials, then the first seeds, at budget 1 before others and the
/// once-for-all network before the methods; then further seeds.
pub(super) fn cells(design: &DesignConfig) -> Vec<Cell<'_>> {
    let seeds = [design.seeds.as_slice(), &design.more_seeds].concat();
    let ofa = |seed| Cell { method: None, budget: 1.0, target: 0, seed, trial: None };
    let mut cells: Vec<Cell> = seeds.into_iter().map(ofa).collect();
    for method in &design.methods {
        for &budget in &method.budgets {
            for target in design.targets_at(method, budget) {
                let seeds = design.seeds_at(method, target, budget).into_iter();
                cells.extend(seeds.map(|seed| Cell { method: Some(method), budget, target, seed, trial: None }));
            }
        }
    }
    // Stable, so that within one of these all stay in the order of the configuration.
    cells.sort_by_key(|cell| (!design.seeds.contains(&cell.seed), cell.budget != 1.0, cell.method.is_some()));
    let methods = [None].into_iter().chain(design.methods.iter().map(Some));
    methods.flat_map(|method| trials(design, method)).chain(cells).collect()
}

/// The trials of a method, or of the once-for-all network.
pub(super) fn trials<'a>(design: &'a DesignConfig, method: Option<&'a Method>) -> Vec<Cell<'a>> {
    let factors = method.map_or(&design.ofa.factors, |method| &method.factors);
    let target = method.map_or(0, |_| design.repeated_target);
    let trial = |&factor| Cell { method, budget: 1.0, target, seed: design.trial_seed, trial: Some(factor) };
    factors.iter().map(trial).collect()
}

impl Cell<'_> {
    pub(super) fn name(&self) -> &str {
        self.method.map_or(DesignConfig::OFA, |method| &method.name)
    }

    /// Its directory, below that of the comparison.
    pub(super) fn path(&self, root: &Path) -> PathBuf {
        let Self { budget, target, seed, .. } = self;
        let all = root.join("cells").join(self.name());
        if let Some(factor) = self.trial {
            return all.join(format!("trial-{factor}"));
        }
        match self.method {
            Some(method) if !method.is_once() => {
                all.join(format!("budget-{budget}")).join(format!("target-{target}")).join(format!("seed-{seed}"))
            }
            Some(_) | None => all.join(format!("seed-{seed}")),
        }
    }

    /// Whether the cell is complete.
    pub(super) fn is_done(&self, root: &Path) -> bool {
        self.path(root).join(RECORD).exists()
    }

    /// Reads the cell; `None` if it is not complete.
    ///
    /// # Errors
    ///
    /// If the file is damaged, or of another cell.
    pub(super) fn read(&self, root: &Path) -> Result<Option<DesignRecord>> {
        let path = self.path(root);
        let Some(record) = DesignRecord::read(&path)? else { return Ok(None) };
        let is_own = record.method == self.name() && record.budget == self.budget && record.seed == self.seed;
        ensure!(
            is_own && self.trial.is_none_or(|factor| factor == record.factor),
            "{} holds the cell of {} at budget {} with seed {} and factor {}: restore the right one, or remove it",
            path.display(),
            record.method,
            record.budget,
            record.seed,
            record.factor
        );
        Ok(Some(record))
    }

    /// Makes the cell, or resumes an interrupted attempt. A diverged training is recorded as such.
    ///
    /// # Errors
    ///
    /// If it fails, or a stop was requested; what was done is then kept.
    pub(super) fn make(&self, design: &DesignConfig, root: &Path, code: &str, stop: &Arc<AtomicBool>) -> Result<()> {
        let machine = environment::machine(&design.base.device);
        environment::reset_peak_memory();
        let factor = self.factor(design, root)?.context("cells that try rates are missing")?;
        let mut setting = Setting::open(design, root, self.seed)?;
        let dir = RunDir::create_or_open(&self.path(root))?;
        if self.method.is_none() {
            // The once-for-all network is an ordinary run.
            setting.config.training.schedule.phases.iter_mut().for_each(|phase| phase.learning_rate *= factor);
            if self.trial.is_some() {
                setting.config.fine_tune.epochs = 0;
            }
            dir.configure(&setting.config.to_toml()?)?;
        }
        records::same_images(&dir, &setting.images, &OneRank)?;
        let made = match self.method {
            None => ofa::networks(design, &setting, &dir, stop),
            Some(method) => {
                let desk = Desk { design, setting: &setting, dir: &dir, stop };
                let network = desk.design(method, self.target, [self.budget, factor]);
                network.map(|network| self.charged(network))
            }
        };
        let (once, networks, diverged) = match made {
            Ok((once, networks)) => (once, networks, None),
            Err(error) => {
                if !is_divergence(&error) {
                    return Err(error);
                }
                let diverged = format!("{error:#}");
                say(&format!("{} diverged: {diverged}", dir.root().display()));
                (Meter::start(&dir, "search")?.spent(0.0), Vec::new(), Some(diverged))
            }
        };
        let record = DesignRecord {
            method: self.name().into(),
            budget: self.budget,
            seed: self.seed,
            factor,
            once,
            networks,
            peak_mib: environment::peak_memory_mib(),
            code: code.to_owned(),
            machine,
            diverged,
        };
        dir.write_json(RECORD, &record).context("the record of a cell")?;
        // What is only needed to resume.
        [SEARCH, TRAINING, CHECKPOINTS].iter().try_for_each(|name| remove_dir(&dir.path(name)))?;
        remove_file(&dir.path(SEARCHED))
    }

    /// A network that serves all targets is charged once.
    fn charged(&self, network: Designed) -> (Spent, Vec<Designed>) {
        match self.method {
            Some(method) if method.is_once() => {
                let once = network.search + network.training;
                (once, vec![Designed { search: Spent::default(), training: Spent::default(), ..network }])
            }
            Some(_) | None => (Spent::default(), vec![network]),
        }
    }
}

/// Whether the error is that of a training or a search that diverged.
fn is_divergence(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        use TrainError::{NonFiniteFineTuning, NonFiniteLoss, NonFiniteSearch};
        let cause = cause.downcast_ref();
        matches!(cause, Some(NonFiniteLoss { .. } | NonFiniteFineTuning { .. } | NonFiniteSearch { .. }))
    })
}
