//! [`Examined`]: a trained supernet that an ablation of searches examines.

use super::Contestant;
use crate::config::ExperimentConfig;
use crate::console::say;
use crate::machine::device;
use crate::run::images::Images;
use crate::run::run_dir::RunDir;
use crate::run::{records, supernet_file};
use crate::tables;
use anyhow::{Result, ensure};
use burn::tensor::Device;
use ofa_data::random::{Purpose, stream};
use ofa_model::{Arch, Supernet};
use ofa_search::cost::AdditiveCost;
use ofa_search::{AccuracyTable, Budget, Constraint, Predictor, Problem, SearchError};
use ofa_train::{Evaluator, OneRank};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// A supernet to search.
pub struct Examined {
    /// Name in records: the last two parts of its path, such as `none/seed-1`.
    pub name: String,
    /// Configuration of its run, with the size of the table and the number of queries.
    pub config: ExperimentConfig,
    /// Images to measure on.
    pub images: Images,
    /// The supernet with its weights.
    pub supernet: Supernet,
    /// Device to measure on.
    pub device: Device,
    /// Directory of its accuracy table.
    pub dir: RunDir,
}

impl Examined {
    /// Opens the supernet of a run or a cell, with `data` in place of its images. `configure` sets the size of the table
    /// and the like; tables are kept below `out`, with the configuration.
    ///
    /// # Errors
    ///
    /// If `path` has no supernet, the configuration is invalid, the images cannot be read, or a directory cannot be
    /// written.
    pub fn open(
        path: &Path,
        data: Option<&Path>,
        out: &Path,
        configure: impl FnOnce(&mut ExperimentConfig),
    ) -> Result<Self> {
        let opened = supernet_file::open(path, &device::by_name("flex")?)?;
        let mut config = opened.configuration(data)?;
        configure(&mut config);
        config.validate()?;
        let parts: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy().into_owned()).collect();
        let name = parts.into_iter().rev().collect::<Vec<_>>().join("/");
        let dir = RunDir::create_or_open(&out.join("tables-of").join(name.replace('/', "-")))?;
        dir.write("config.toml", &config.to_toml()?)?;
        let (device, images) = (device::by_name(&config.device)?, Images::load(&config, None)?);
        say(&format!("{name}: {}", images.description));
        Ok(Self { name, config, images, supernet: opened.supernet, device, dir })
    }

    /// Refuses limits that are no shares of the way from the smallest to the largest subnet.
    ///
    /// # Errors
    ///
    /// If one is below 0 or above 1.
    pub fn check_limits(limits: &[f64]) -> Result<()> {
        ensure!(
            limits.iter().all(|limit| (0.0..=1.0).contains(limit)),
            "--limits must be shares between 0 and 1, but are {limits:?}"
        );
        Ok(())
    }

    /// Measures its accuracy table, or resumes it.
    pub(super) fn table(&self, validation: &mut Evaluator, stop: &AtomicBool) -> Result<AccuracyTable> {
        let source = records::source(&self.supernet, &self.images);
        tables::accuracy(&self.config, &self.supernet, validation, source, &self.dir, stop, &OneRank)
    }

    /// Searches within a limit on MACs, as a share of the way from the smallest to the largest subnet: the best arch and
    /// its score.
    pub(super) fn search(
        &self,
        contestant: Contestant,
        limit: f64,
        table: &AccuracyTable,
        objective: &dyn Predictor,
    ) -> Result<(Arch, f64), SearchError> {
        let space = &self.config.space;
        let limit = AdditiveCost::macs(space).at_share(space, limit);
        let problem = Problem { space, objective, constraints: vec![Constraint::macs(space, limit)] };
        let budget = Budget::new(self.config.search.queries);
        // Random search must not draw the archs of the accuracy table again.
        let rng = &mut stream(self.config.seed, Purpose::FreshSearch, &[]);
        let (_, outcome) = contestant.search(&problem, table, budget, rng)?;
        Ok((outcome.best.arch, outcome.best.score))
    }
}
