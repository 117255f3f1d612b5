//! [`MeasuredTables`]: reopens the tables of a run, or of any directory.

use crate::console::say;
use crate::options::space::OptionalSpace;
use anyhow::{Context, Result, bail};
use clap::Args;
use ofa_model::{SearchSpace, read_text};
use ofa_search::predictors::MlpConfig;
use ofa_search::{AccuracyTable, LatencyTable};
use serde::Deserialize;
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.toml";
const ACCURACY: &str = "accuracy.csv";

/// An accuracy table, its space, and the files beside it.
pub struct MeasuredTables {
    /// The space that was measured.
    pub space: SearchSpace,
    /// Measured accuracies.
    pub accuracy: AccuracyTable,
    /// Path of the latency table beside it; `None` if absent.
    pub latency: Option<PathBuf>,
    /// The run's predictor settings; the default without a run.
    pub predictor: MlpConfig,
    /// Directory of the run the tables belong to; `None` if they belong to none.
    pub run: Option<PathBuf>,
}

/// The needed part of a run's configuration: the rest may be of another version.
#[derive(Deserialize)]
struct RunConfig {
    space: SearchSpace,
    #[serde(default)]
    tables: RunTables,
}

#[derive(Default, Deserialize)]
struct RunTables {
    #[serde(default)]
    predictor: MlpConfig,
}

impl MeasuredTables {
    /// Opens tables in a run directory, its `tables` directory, or any other directory with an `accuracy.csv`. The
    /// space is `space` if given, else that of the run or of a `space.json` beside the table.
    ///
    /// # Errors
    ///
    /// If there is no table, its space is unknown, or the table is damaged or of another space.
    pub fn open(dir: &Path, space: Option<SearchSpace>) -> Result<Self> {
        let is_run = |dir: &Path| dir.join(CONFIG).is_file();
        let (tables, run) = match dir.parent() {
            _ if is_run(dir) => (dir.join("tables"), Some(dir.to_owned())),
            Some(parent) if dir.join(ACCURACY).is_file() && is_run(parent) => (dir.to_owned(), Some(parent.to_owned())),
            _ => (dir.to_owned(), None),
        };
        let path = tables.join(ACCURACY);
        if !path.is_file() {
            bail!("{} is neither a run directory nor a directory with an {ACCURACY}", dir.display());
        }
        let config = run.as_deref().map(|run| read_config(&run.join(CONFIG))).transpose()?;
        let (of_run, predictor) = config.map_or((None, MlpConfig::default()), |c| (Some(c.space), c.tables.predictor));
        let space = match space.or(of_run) {
            Some(space) => space,
            None => read_space(&tables.join("space.json"))?,
        };
        let accuracy = AccuracyTable::load(&path, &space)?;
        if let Some(line) = accuracy.dropped_line() {
            say(&format!("{}: skipped an incomplete last line: `{line}`", path.display()));
        }
        let latency = Some(tables.join("latency.csv")).filter(|path| path.is_file());
        Ok(Self { space, accuracy, latency, predictor, run })
    }

    /// The latency table beside the accuracies.
    ///
    /// # Errors
    ///
    /// If there is no table, or it is damaged or of another space.
    pub fn latency(&self) -> Result<LatencyTable> {
        let path = self.latency.as_ref().context("there is no latency.csv beside the accuracies")?;
        Ok(LatencyTable::load(path, &self.space)?)
    }
}

/// The options that give a search space: by name, or by a run.
#[derive(Clone, Debug, Args)]
pub struct SpaceOrRun {
    /// Run directory that the search space is read from, instead of --space
    #[arg(long)]
    run: Option<PathBuf>,
    #[command(flatten)]
    space: OptionalSpace,
}

impl SpaceOrRun {
    /// The named space, else that of the run.
    ///
    /// # Errors
    ///
    /// If neither is given, or the space cannot be read.
    pub fn space(&self) -> Result<SearchSpace> {
        match (self.space.named()?, &self.run) {
            (Some(space), _) => Ok(space),
            (None, Some(run)) => Ok(read_config(&run.join(CONFIG))?.space),
            (None, None) => bail!("no space given: name one with --space, or a run with --run"),
        }
    }
}

fn read_config(path: &Path) -> Result<RunConfig> {
    let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} contains no search space", path.display()))
}

fn read_space(path: &Path) -> Result<SearchSpace> {
    let text = read_text(path)
        .with_context(|| format!("these tables have no run: give their space by --space or in {}", path.display()))?;
    let space: SearchSpace =
        serde_json::from_str(&text).with_context(|| format!("{} is not a search space", path.display()))?;
    space.validate()?;
    Ok(space)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run's record that is kept in the repository.
    fn record() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-24-default-14-epochs")
    }

    #[test]
    fn a_run_and_its_tables_are_the_same() {
        let run = MeasuredTables::open(&record(), None).unwrap();
        assert_eq!((run.accuracy.rows().len(), run.space.name.as_str()), (160, "small_mobilenet_v3"));
        let tables = MeasuredTables::open(&record().join("tables"), None).unwrap();
        assert_eq!((&tables.run, tables.accuracy.rows()), (&Some(record()), run.accuracy.rows()));
        assert_eq!(tables.latency, Some(record().join("tables/latency.csv")));
    }

    #[test]
    fn tables_without_a_run_need_their_space() {
        let dir = tempfile::tempdir().unwrap();
        let open = |space| MeasuredTables::open(dir.path(), space).map(|tables| tables.accuracy.rows().len());
        let message = format!("{:#}", open(None).unwrap_err());
        assert!(message.contains("neither a run directory nor a directory with an accuracy.csv"), "{message}");
        std::fs::copy(record().join("tables/accuracy.csv"), dir.path().join(ACCURACY)).unwrap();
        let message = format!("{:#}", open(None).unwrap_err());
        assert!(message.contains("give their space by --space"), "{message}");
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        assert_eq!(open(Some(space.clone())).unwrap(), 160);
        std::fs::write(dir.path().join("space.json"), serde_json::to_string(&space).unwrap()).unwrap();
        assert_eq!(open(None).unwrap(), 160);
        let message = format!("{:#}", open(Some(SearchSpace::resnet50d(10))).unwrap_err());
        assert!(message.contains("space is small_mobilenet_v3, not resnet50d"), "{message}");
    }
}
