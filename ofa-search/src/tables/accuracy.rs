//! [`AccuracyTable`]: measured accuracies of archs, looked up instead of measured again.

mod combine;

use super::MeasuredNetworks;
use crate::SearchError;
use crate::cost::AdditiveCost;
use crate::tables::table_file::{self, Content, Format, invalid};
use ofa_model::{Arch, SearchSpace};
use serde::{Deserialize, Serialize};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The conditions under which a table was measured. A table resumes only under the same ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccuracyHeader {
    /// Name of the search space.
    pub space: String,
    /// Seed of the arch sample and of the data split.
    pub seed: u64,
    /// Number of images the accuracy is measured on.
    pub validation_images: usize,
    /// Number of images used to re-estimate the batch-norm statistics of each arch.
    pub calibration_images: usize,
    /// Fingerprint of the supernet weights and the data.
    pub source: String,
}

/// The measured accuracy and the static costs of one arch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccuracyRow {
    /// The arch.
    #[serde(with = "arch_text")]
    pub arch: Arch,
    /// Top-1 accuracy, a fraction in `[0, 1]`.
    pub top1: f64,
    /// Multiply-accumulate operations.
    pub macs: u64,
    /// Number of trainable parameters.
    pub parameters: u64,
}

/// Measured accuracies of archs of one space.
#[derive(Clone, Debug)]
pub struct AccuracyTable {
    header: AccuracyHeader,
    rows: Vec<AccuracyRow>,
    index: HashMap<Arch, usize>,
    dropped_line: Option<String>,
}

struct AccuracyFormat;

impl Format for AccuracyFormat {
    const TITLE: &'static str = "accuracy table 1";
    const COLUMNS: &'static [&'static str] = &["arch", "top1", "macs", "parameters"];
    type Header = AccuracyHeader;
    type Row = AccuracyRow;
}

impl AccuracyTable {
    /// Measures `archs` and appends each row to the CSV file `path` as soon as it is known.
    ///
    /// If the file exists, its rows are kept and only the missing archs are measured; a killed run loses only the row
    /// in progress. `measure` returns the top-1 accuracy of an arch as a fraction. After each measurement, `progress`
    /// receives the number of archs done, their total and the row.
    ///
    /// # Errors
    ///
    /// If the file was measured under conditions other than `header` (naming the field), is damaged (naming the line)
    /// or cannot be written; if an arch is outside `space`; or if `measure` fails or returns a value outside `[0, 1]`.
    pub fn measure<E>(
        path: &Path,
        header: &AccuracyHeader,
        space: &SearchSpace,
        archs: &[Arch],
        mut measure: impl FnMut(&Arch) -> Result<f64, E>,
        mut progress: impl FnMut(usize, usize, &AccuracyRow),
    ) -> Result<Self, SearchError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        archs.iter().try_for_each(|arch| space.check(arch))?;
        check_space(path, header, space)?;
        let (content, mut appender) = table_file::open::<AccuracyFormat>(path, header)?;
        let mut table = Self::from_content(path, space, content)?;

        let mut seen = HashSet::new();
        let wanted: Vec<&Arch> = archs.iter().filter(|arch| seen.insert(*arch)).collect();
        let missing: Vec<&Arch> = wanted.iter().copied().filter(|arch| table.get(arch).is_none()).collect();
        let resumed = wanted.len() - missing.len();
        for (measured, arch) in missing.into_iter().enumerate() {
            let top1 =
                measure(arch).map_err(|error| SearchError::Measure { arch: arch.to_string(), source: error.into() })?;
            if !(0.0..=1.0).contains(&top1) {
                return Err(SearchError::InvalidAccuracy { arch: arch.to_string(), top1 });
            }
            let cost = space.cost(arch);
            let row = AccuracyRow { arch: arch.clone(), top1, macs: cost.macs, parameters: cost.parameters };
            appender.append(&row)?;
            progress(resumed + measured + 1, wanted.len(), &row);
            table.push(row);
        }
        Ok(table)
    }

    /// Reads the table at `path`, measured on `space`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, belongs to another space, or has a malformed, contradictory or impossible row
    /// (naming the line).
    pub fn load(path: &Path, space: &SearchSpace) -> Result<Self, SearchError> {
        let content = table_file::read::<AccuracyFormat>(path)?;
        check_space(path, &content.header, space)?;
        Self::from_content(path, space, content)
    }

    /// A table of accuracies that others measured on `space`.
    ///
    /// # Errors
    ///
    /// If an arch is outside the space.
    pub fn from_measured(
        header: AccuracyHeader,
        space: &SearchSpace,
        measured: &MeasuredNetworks,
    ) -> Result<Self, SearchError> {
        let mut table = Self::empty(header);
        for network in &measured.networks {
            space.check(&network.arch)?;
            let cost = space.cost(&network.arch);
            let (arch, top1) = (network.arch.clone(), network.median);
            table.push(AccuracyRow { arch, top1, macs: cost.macs, parameters: cost.parameters });
        }
        Ok(table)
    }

    fn from_content(path: &Path, space: &SearchSpace, content: Content<AccuracyFormat>) -> Result<Self, SearchError> {
        let Content { header, rows, dropped, .. } = content;
        let mut table = Self { dropped_line: dropped, ..Self::empty(header) };
        let costs = Costs::new(space);
        for (line, row) in rows {
            check_row(path, line, &row, space, &costs)?;
            match table.index.entry(row.arch.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(table.rows.len());
                    table.rows.push(row);
                }
                Entry::Occupied(entry) => {
                    let before = table.rows[*entry.get()].top1;
                    if before != row.top1 {
                        return Err(SearchError::ConflictingRows {
                            path: path.to_owned(),
                            line,
                            key: row.arch.to_string(),
                            found: row.top1.to_string(),
                            before: before.to_string(),
                        });
                    }
                }
            }
        }
        Ok(table)
    }

    fn empty(header: AccuracyHeader) -> Self {
        Self { header, rows: Vec::new(), index: HashMap::new(), dropped_line: None }
    }

    /// Adds a row for an arch not yet in the table.
    fn push(&mut self, row: AccuracyRow) {
        self.index.insert(row.arch.clone(), self.rows.len());
        self.rows.push(row);
    }

    /// The conditions of measurement.
    pub fn header(&self) -> &AccuracyHeader {
        &self.header
    }

    /// All rows, in the order of measurement.
    pub fn rows(&self) -> &[AccuracyRow] {
        &self.rows
    }

    /// The unfinished last line left by a killed run, dropped on reading. `None` if absent.
    pub fn dropped_line(&self) -> Option<&str> {
        self.dropped_line.as_deref()
    }

    /// The measured top-1 accuracy of `arch`. `None` if it was not measured.
    pub fn get(&self, arch: &Arch) -> Option<f64> {
        self.index.get(arch).map(|&row| self.rows[row].top1)
    }

    /// All (arch, top-1) pairs, to fit a predictor on.
    pub fn samples(&self) -> Vec<(Arch, f64)> {
        self.rows.iter().map(|row| (row.arch.clone(), row.top1)).collect()
    }

    /// The row whose arch differs from `arch` in the fewest choices; a block that only one of them has counts as two.
    /// The first of equals. `None` if the table is empty.
    pub fn nearest(&self, arch: &Arch) -> Option<&AccuracyRow> {
        self.rows.iter().min_by_key(|row| differences(&row.arch, arch))
    }

    /// The most accurate arch whose cost is at most `limit`; of two equally accurate ones, the cheaper. This is the
    /// table look-up of the paper's first version. `None` if no row is cheap enough.
    pub fn best_under(&self, limit: f64, cost: impl Fn(&Arch) -> f64) -> Option<&AccuracyRow> {
        self.rows
            .iter()
            .map(|row| (row, cost(&row.arch)))
            .filter(|(_, cost)| *cost <= limit)
            .max_by(|(a, a_cost), (b, b_cost)| a.top1.total_cmp(&b.top1).then(b_cost.total_cmp(a_cost)))
            .map(|(row, _)| row)
    }
}

/// Number of choices in which two archs of a space differ.
fn differences(a: &Arch, b: &Arch) -> usize {
    let stages = a.stages.iter().zip(&b.stages).map(|(a, b)| {
        let blocks =
            a.blocks.iter().zip(&b.blocks).map(|(a, b)| {
                usize::from(a.kernel_size != b.kernel_size) + usize::from(a.expand_ratio != b.expand_ratio)
            });
        usize::from(a.width != b.width) + blocks.sum::<usize>() + 2 * a.blocks.len().abs_diff(b.blocks.len())
    });
    usize::from(a.resolution != b.resolution) + stages.sum::<usize>()
}

fn check_space(path: &Path, header: &AccuracyHeader, space: &SearchSpace) -> Result<(), SearchError> {
    if header.space == space.name {
        return Ok(());
    }
    Err(SearchError::HeaderMismatch {
        path: path.to_owned(),
        field: "space".into(),
        found: header.space.clone(),
        expected: space.name.clone(),
    })
}

/// MACs and parameters of the archs of a space, precomputed for thousands of rows.
struct Costs {
    macs: AdditiveCost,
    parameters: AdditiveCost,
}

impl Costs {
    fn new(space: &SearchSpace) -> Self {
        Self { macs: AdditiveCost::macs(space), parameters: AdditiveCost::parameters(space) }
    }
}

fn check_row(path: &Path, line: u64, row: &AccuracyRow, space: &SearchSpace, costs: &Costs) -> Result<(), SearchError> {
    let arch = &row.arch;
    space.check(arch).map_err(|source| SearchError::OutsideSpace {
        path: path.to_owned(),
        line,
        source: source.into(),
    })?;
    if !(0.0..=1.0).contains(&row.top1) {
        return Err(invalid(path, line, format!("top1 of `{arch}` is {}, not a fraction between 0 and 1", row.top1)));
    }
    let (macs, parameters) = (costs.macs.of(arch) as u64, costs.parameters.of(arch) as u64);
    if (row.macs, row.parameters) != (macs, parameters) {
        // The space has the same name but other widths, so the accuracies belong to other networks.
        let problem = format!(
            "`{arch}` has {} MACs and {} parameters here, but {} and {} in space `{}`",
            row.macs, row.parameters, macs, parameters, space.name
        );
        return Err(invalid(path, line, problem));
    }
    Ok(())
}

/// Serialises an arch in its text form.
mod arch_text {
    use ofa_model::Arch;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(arch: &Arch, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(arch)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arch, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
