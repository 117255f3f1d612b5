//! [`OriginalLatencyTable`]: latency tables in the PyTorch original's format, as published for phones.

mod grammar;

use super::LatencyTable;
use crate::SearchError;
use crate::cost::{AdditiveCost, distinct_units};
use crate::tables::table_file::invalid;
use atomic_write_file::AtomicWriteFile;
use grammar::Grammar;
use ofa_model::{Arch, SearchSpace, Unit, read_text};
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// File name after the resolution.
const FILE_NAME: &str = "_lookup_table.yaml";

/// Latency tables of the original for one device: a directory with one YAML file per resolution, e.g.
/// `224_lookup_table.yaml`, with milliseconds by layer.
///
/// The latency of an arch is the plain sum over its layers. Keys of MobileNetV3 tables spell blocks by their middle
/// channels, those of ProxylessNAS tables by their expand ratio; the space decides which keys are used. Its resolutions
/// must be among those of the files.
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
    /// Directory or device, for messages.
    source: String,
    /// Entries by resolution and key.
    entries: BTreeMap<usize, BTreeMap<String, Entry>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Entry {
    /// Number of measurements.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// Mean latency, in milliseconds.
    mean: f64,
}

/// An [`Entry`] in a file. Other fields are ignored.
#[derive(Deserialize)]
struct EntryInFile {
    count: Option<u64>,
    mean: Spanned<f64>,
}

impl OriginalLatencyTable {
    /// Reads every `{resolution}_lookup_table.yaml` in `directory`.
    ///
    /// # Errors
    ///
    /// If `directory` holds no such file, or a file cannot be read, is malformed, or has a negative or non-finite latency (naming file,
    /// line and key).
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
            let problem = "no latency table of the original found here: there is no file like `224_lookup_table.yaml`";
            return Err(io_error(directory)(io::Error::new(io::ErrorKind::NotFound, problem)));
        }
        Ok(Self { source: directory.display().to_string(), entries })
    }

    /// Writes one file per resolution to `directory`, which is created if missing.
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

    /// Resolutions of the tables in pixels, ascending.
    pub fn resolutions(&self) -> impl ExactSizeIterator<Item = usize> {
        self.entries.keys().copied()
    }

    /// Latency of `arch` in milliseconds, summed as in the original.
    ///
    /// For many archs, use [`OriginalLatencyTable::cost`].
    ///
    /// # Errors
    ///
    /// If `arch` is outside `space`, the original's format does not support the space, there is no file for the
    /// resolution, or the file lacks layers of the arch (naming all of them).
    pub fn latency_ms(&self, space: &SearchSpace, arch: &Arch) -> Result<f64, SearchError> {
        space.check(arch)?;
        let grammar = Grammar::of(space)?;
        self.require_resolutions(space, &[arch.resolution])?;
        let mut missing = BTreeSet::new();
        let sum = |unit: &Unit| self.sum(grammar, arch.resolution, unit, &mut missing);
        let latency_ms = space.units(arch).iter().map(sum).sum();
        self.require_keys(space, missing).map(|()| latency_ms)
    }

    /// Latency in milliseconds as an additive cost, precomputed for millions of look-ups.
    ///
    /// # Errors
    ///
    /// If the original's format does not support the space, some of its resolutions have no file (naming all of them),
    /// or the files lack layers of it (naming all of them).
    pub fn cost(&self, space: &SearchSpace) -> Result<AdditiveCost, SearchError> {
        let grammar = Grammar::of(space)?;
        self.require_resolutions(space, &space.resolutions)?;
        let mut missing = BTreeSet::new();
        let sum = |resolution, unit: &Unit| self.sum(grammar, resolution, unit, &mut missing);
        let cost = AdditiveCost::by_resolution(space, sum);
        self.require_keys(space, missing).map(|()| cost)
    }

    /// Milliseconds of a unit. Keys without an entry are added to `missing`.
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
    /// This table of `space` in the original's format, which cannot hold a fitted overhead: it is dropped.
    ///
    /// Heads are measured as a whole here but per layer in the original. The first layer gets all the time and the
    /// others 0, so sums equal those of this table.
    ///
    /// # Errors
    ///
    /// If the original's format does not support the space, or this table lacks units of it (naming all of them).
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

/// Reads the entries of a file.
fn read(path: &Path) -> Result<BTreeMap<String, Entry>, SearchError> {
    let text = read_text(path).map_err(io_error(path))?;
    let rows: BTreeMap<String, EntryInFile> = serde_saphyr::from_str(&text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        // The advice that follows is for who calls the library.
        let problem =
            error.without_snippet().to_string().replace(", set DuplicateKeyPolicy in Options if acceptable", "");
        invalid(path, line, problem)
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
