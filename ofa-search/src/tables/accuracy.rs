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
    /// How networks are quantised for the column `int8_top1`; `None` if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8: Option<String>,
}

/// Accuracies of an arch, fractions in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracies {
    /// Top-1 accuracy.
    pub top1: f64,
    /// Top-1 accuracy in 8-bit integers; `None` if it was not measured.
    pub int8_top1: Option<f64>,
}

impl From<f64> for Accuracies {
    fn from(top1: f64) -> Self {
        Self { top1, int8_top1: None }
    }
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
    /// Top-1 accuracy in 8-bit integers, a fraction in `[0, 1]`; `None` if it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8_top1: Option<f64>,
}

impl AccuracyRow {
    fn new(arch: &Arch, Accuracies { top1, int8_top1 }: Accuracies, space: &SearchSpace) -> Self {
        let cost = space.cost(arch);
        Self { arch: arch.clone(), top1, macs: cost.macs, parameters: cost.parameters, int8_top1 }
    }

    /// What was measured.
    pub fn accuracies(&self) -> Accuracies {
        Accuracies { top1: self.top1, int8_top1: self.int8_top1 }
    }
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

    fn columns(header: &AccuracyHeader) -> Vec<&'static str> {
        let int8 = header.int8.as_ref().map(|_| "int8_top1");
        Self::COLUMNS.iter().copied().chain(int8).collect()
    }

    type Row = AccuracyRow;
}

impl AccuracyTable {
    /// Measures `archs` and appends each row to the CSV file `path` as soon as it is known.
    ///
    /// If the file exists, its rows are kept and only the missing archs are measured; a killed run loses only the row
    /// in progress. `measure` returns the [`Accuracies`] of an arch, or its top-1 accuracy alone. After each measurement, `progress`
    /// receives the number of archs done, their total and the row.
    ///
    /// # Errors
    ///
    /// If the file was measured under conditions other than `header` (naming the field), is damaged (naming the line)
    /// or cannot be written; if an arch is outside `space`; or if `measure` fails, returns a value outside `[0, 1]`, or one in
    /// integers although the header has none, or the other way round.
    pub fn measure<A, E>(
        path: &Path,
        header: &AccuracyHeader,
        space: &SearchSpace,
        archs: &[Arch],
        mut measure: impl FnMut(&Arch) -> Result<A, E>,
        mut progress: impl FnMut(usize, usize, &AccuracyRow),
    ) -> Result<Self, SearchError>
    where
        A: Into<Accuracies>,
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
            let accuracies: Accuracies = measure(arch)
                .map_err(|error| SearchError::Measure { arch: arch.to_string(), source: error.into() })?
                .into();
            let row = AccuracyRow::new(arch, accuracies, space);
            if let Some(top1) = impossible(&row) {
                return Err(SearchError::InvalidAccuracy { arch: arch.to_string(), top1 });
            }
            if let Some(problem) = in_integers(&row, header) {
                return Err(SearchError::Measure { arch: arch.to_string(), source: problem.into() });
            }
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
            table.push(AccuracyRow::new(&network.arch, network.median.into(), space));
        }
        Ok(table)
    }

    fn from_content(path: &Path, space: &SearchSpace, content: Content<AccuracyFormat>) -> Result<Self, SearchError> {
        let Content { header, rows, dropped, .. } = content;
        let mut table = Self { dropped_line: dropped, ..Self::empty(header) };
        let costs = Costs::new(space);
        for (line, row) in rows {
            check_row(path, line, &row, &table.header, space, &costs)?;
            match table.index.entry(row.arch.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(table.rows.len());
                    table.rows.push(row);
                }
                Entry::Occupied(entry) => {
                    let before = &table.rows[*entry.get()];
                    if *before != row {
                        return Err(SearchError::ConflictingRows {
                            path: path.to_owned(),
                            line,
                            key: row.arch.to_string(),
                            found: said(&row),
                            before: said(before),
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

    /// The accuracies in 8-bit integers as a table of their own, so that whatever works on accuracies works on them.
    ///
    /// # Errors
    ///
    /// [`SearchError::NoInt8`] if they were not measured.
    pub fn in_int8(&self) -> Result<Self, SearchError> {
        let Some(settings) = &self.header.int8 else { return Err(SearchError::NoInt8) };
        let source = format!("{} in int8 ({settings})", self.header.source);
        let mut table = Self::empty(AccuracyHeader { source, int8: None, ..self.header.clone() });
        for row in &self.rows {
            let top1 = row.int8_top1.ok_or(SearchError::NoInt8)?;
            table.push(AccuracyRow { top1, int8_top1: None, ..row.clone() });
        }
        Ok(table)
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

/// The accuracies of a row as text.
fn said(row: &AccuracyRow) -> String {
    match row.int8_top1 {
        Some(int8) => format!("{} ({int8} in int8)", row.top1),
        None => row.top1.to_string(),
    }
}

/// The first accuracy of a row that is no fraction.
fn impossible(row: &AccuracyRow) -> Option<f64> {
    std::iter::once(row.top1).chain(row.int8_top1).find(|top1| !(0.0..=1.0).contains(top1))
}

/// What is wrong if a row has an accuracy in integers and the header does not say how, or the other way round.
fn in_integers(row: &AccuracyRow, header: &AccuracyHeader) -> Option<&'static str> {
    match (row.int8_top1, &header.int8) {
        (None, Some(_)) => Some("int8_top1 is missing"),
        (Some(_), None) => Some("int8_top1 has no place in a table whose header does not say how it was quantised"),
        _ => None,
    }
}

fn check_row(
    path: &Path,
    line: u64,
    row: &AccuracyRow,
    header: &AccuracyHeader,
    space: &SearchSpace,
    costs: &Costs,
) -> Result<(), SearchError> {
    let arch = &row.arch;
    space.check(arch).map_err(|source| SearchError::OutsideSpace {
        path: path.to_owned(),
        line,
        source: source.into(),
    })?;
    if let Some(top1) = impossible(row) {
        return Err(invalid(path, line, format!("top1 of `{arch}` is {top1}, not a fraction between 0 and 1")));
    }
    if let Some(problem) = in_integers(row, header) {
        return Err(invalid(path, line, format!("`{arch}`: {problem}")));
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
