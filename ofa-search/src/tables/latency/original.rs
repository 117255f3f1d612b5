//! [`OriginalLatencyTable`]: the latency tables of the PyTorch original, as published for phones.

mod grammar;

use super::LatencyTable;
use crate::tables::table_file::invalid;
use crate::{AdditiveCost, SearchError, distinct_units};
use atomic_write_file::AtomicWriteFile;
use grammar::Grammar;
use ofa_model::{Arch, SearchSpace, Unit};
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// End of the name of a file, after its resolution.
const FILE_NAME: &str = "_lookup_table.yaml";

/// Latency tables of the original for one device: a directory with a YAML file a resolution,
/// `224_lookup_table.yaml`, of milliseconds by layer.
///
/// The latency of an arch is the plain sum over its layers. Tables for MobileNetV3 spell blocks by their middle
/// channels, those for ProxylessNAS by their expand ratio; the space decides which are looked for. Its resolutions must
/// be among those of the files.
///
/// ```no_run
/// use ofa_model::SearchSpace;
/// use ofa_search::{Constraint, OriginalLatencyTable};
///
/// let table = OriginalLatencyTable::load("note10_lookup_tables".as_ref())?;
/// let resolutions = table.resolutions().collect();
/// let space = SearchSpace { resolutions, ..SearchSpace::mobilenet_v3(1.2, 1000) };
/// let cost = table.cost(&space)?;
/// let constraint = Constraint::at_most("latency", 25.0, "ms", move |arch| cost.of(arch));
/// # Ok::<(), ofa_search::SearchError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OriginalLatencyTable {
    /// Where it is from, for messages.
    source: String,
    /// Entries by resolution and key.
    entries: BTreeMap<usize, BTreeMap<String, Entry>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Entry {
    /// Measurements.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// Milliseconds.
    mean: f64,
}

/// An [`Entry`] in a file; what else it may say is not needed.
#[derive(Deserialize)]
struct EntryInFile {
    count: Option<u64>,
    mean: Spanned<f64>,
}

impl OriginalLatencyTable {
    /// Reads every `{resolution}_lookup_table.yaml` of a directory.
    ///
    /// # Errors
    ///
    /// If there is none, or one cannot be read, is no table, or has a latency that is negative or no finite number
    /// (naming file, line and key).
    pub fn load(directory: &Path) -> Result<Self, SearchError> {
        let mut entries = BTreeMap::new();
        for file in std::fs::read_dir(directory).map_err(io_error(directory))? {
            let name = file.map_err(io_error(directory))?.file_name();
            let resolution = name.to_str().and_then(|name| name.strip_suffix(FILE_NAME)).map(str::parse);
            if let Some(Ok(resolution)) = resolution {
                entries.insert(resolution, read(&directory.join(name))?);
            }
        }
        if entries.is_empty() {
            let problem = "no latency table of the original is here, i.e. no file like `224_lookup_table.yaml`";
            return Err(io_error(directory)(io::Error::new(io::ErrorKind::NotFound, problem)));
        }
        Ok(Self { source: directory.display().to_string(), entries })
    }

    /// Writes a file a resolution into `directory`, which is created if need be.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), SearchError> {
        std::fs::create_dir_all(directory).map_err(io_error(directory))?;
        for (resolution, entries) in &self.entries {
            let path = directory.join(format!("{resolution}{FILE_NAME}"));
            let text = serde_saphyr::to_string(entries).expect("keys and numbers are YAML");
            let write = || -> io::Result<()> {
                let mut file = AtomicWriteFile::open(&path)?;
                file.write_all(text.as_bytes())?;
                file.commit()
            };
            write().map_err(io_error(&path))?;
        }
        Ok(())
    }

    /// Resolutions of the table in pixels, ascending.
    pub fn resolutions(&self) -> impl ExactSizeIterator<Item = usize> {
        self.entries.keys().copied()
    }

    /// Latency of `arch` in milliseconds, as the original sums it.
    ///
    /// For many archs prepare an [`OriginalLatencyTable::cost`].
    ///
    /// # Errors
    ///
    /// If `arch` is outside `space`, the original has no tables for such a space, there is no file for the resolution,
    /// or the file lacks layers of the arch (naming them all).
    pub fn latency_ms(&self, space: &SearchSpace, arch: &Arch) -> Result<f64, SearchError> {
        space.check(arch)?;
        let grammar = Grammar::of(space)?;
        self.require_resolutions(space, &[arch.resolution])?;
        let mut missing = BTreeSet::new();
        let sum = |unit: &Unit| self.sum(grammar, arch.resolution, unit, &mut missing);
        let latency_ms = space.units(arch).iter().map(sum).sum();
        self.require_keys(space, missing).map(|()| latency_ms)
    }

    /// Latency in milliseconds as a cost of archs, prepared for millions of look-ups.
    ///
    /// # Errors
    ///
    /// If the original has no tables for such a space, there are no files for some of its resolutions (naming them
    /// all), or the files lack layers of it (naming them all).
    pub fn cost(&self, space: &SearchSpace) -> Result<AdditiveCost, SearchError> {
        let grammar = Grammar::of(space)?;
        self.require_resolutions(space, &space.resolutions)?;
        let mut missing = BTreeSet::new();
        let sum = |resolution, unit: &Unit| self.sum(grammar, resolution, unit, &mut missing);
        let cost = AdditiveCost::by_resolution(space, sum);
        self.require_keys(space, missing).map(|()| cost)
    }

    /// Milliseconds of a unit; keys without an entry go to `missing`.
    fn sum(&self, grammar: Grammar, resolution: usize, unit: &Unit, missing: &mut BTreeSet<(usize, String)>) -> f64 {
        let mut sum = 0.0;
        for key in grammar.keys(unit) {
            match self.entries[&resolution].get(&key) {
                Some(entry) => sum += entry.mean,
                None => {
                    missing.insert((resolution, key));
                }
            }
        }
        sum
    }

    fn require_resolutions(&self, space: &SearchSpace, resolutions: &[usize]) -> Result<(), SearchError> {
        let missing: Vec<usize> = resolutions.iter().copied().filter(|r| !self.entries.contains_key(r)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (device, space, found) = (self.source.clone(), space.name.clone(), self.resolutions().collect());
        Err(SearchError::MissingResolutions { device, space, missing, found })
    }

    fn require_keys(&self, space: &SearchSpace, missing: BTreeSet<(usize, String)>) -> Result<(), SearchError> {
        if missing.is_empty() {
            return Ok(());
        }
        let missing =
            missing.into_iter().map(|(resolution, key)| format!("{key} in {resolution}{FILE_NAME}")).collect();
        Err(SearchError::MissingUnits { device: self.source.clone(), space: space.name.clone(), missing })
    }
}

impl LatencyTable {
    /// This table of `space` in the original's format, without a fitted overhead, for which it has no place.
    ///
    /// Heads are measured as a whole here and by layer there: the first layer gets all, the others nothing, so that
    /// sums are those of this table.
    ///
    /// # Errors
    ///
    /// If the original has no tables for such a space, or this one lacks units of it (naming them all).
    pub fn to_original(&self, space: &SearchSpace) -> Result<OriginalLatencyTable, SearchError> {
        let grammar = Grammar::of(space)?;
        self.require(space, &distinct_units(space))?;
        let of_resolution = |&resolution: &usize| {
            let mut entries = BTreeMap::new();
            for unit in distinct_units(&SearchSpace { resolutions: vec![resolution], ..space.clone() }) {
                let latency = &self.units[&unit];
                let count = Some(latency.samples as u64);
                for (k, key) in grammar.keys(&unit).into_iter().enumerate() {
                    let mean = if k == 0 { latency.median_ms } else { 0.0 };
                    entries.insert(key, Entry { count, mean });
                }
            }
            (resolution, entries)
        };
        let entries = space.resolutions.iter().map(of_resolution).collect();
        Ok(OriginalLatencyTable { source: self.header.device.clone(), entries })
    }
}

/// The entries of a file.
fn read(path: &Path) -> Result<BTreeMap<String, Entry>, SearchError> {
    let text = std::fs::read_to_string(path).map_err(io_error(path))?;
    let rows: BTreeMap<String, EntryInFile> = serde_saphyr::from_str(&text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        invalid(path, line, error.without_snippet().to_string())
    })?;
    let check = |(key, row): (String, EntryInFile)| {
        let EntryInFile { count, mean: Spanned { value: mean, referenced, .. } } = row;
        if mean.is_finite() && mean >= 0.0 {
            return Ok((key, Entry { count, mean }));
        }
        Err(invalid(path, referenced.line(), format!("`{key}` has a mean of {mean} ms")))
    };
    rows.into_iter().map(check).collect()
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> SearchError {
    let path: PathBuf = path.to_owned();
    move |source| SearchError::Io { path: path.clone(), source }
}

#[cfg(test)]
mod tests;
