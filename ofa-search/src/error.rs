//! The error type of this crate.

use ofa_model::ModelError;
use std::path::PathBuf;

/// An error caused by bad input, never by a bug.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system reported.
        source: std::io::Error,
    },
    /// Another process is appending to the table.
    #[error("{path}: another process is building this table", path = path.display())]
    TableInUse {
        /// The file.
        path: PathBuf,
    },
    /// A line of a table is malformed.
    #[error("{path}:{line}: {problem}", path = path.display())]
    InvalidLine {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What is wrong, with the values.
        problem: String,
    },
    /// An existing table was measured under conditions other than those requested.
    #[error(
        "{path}: the table's {field} is {found}, not {expected}: choose another file or the same conditions",
        path = path.display()
    )]
    HeaderMismatch {
        /// The file.
        path: PathBuf,
        /// Which condition differs.
        field: String,
        /// Its value in the file.
        found: String,
        /// The requested value.
        expected: String,
    },
    /// A table holds a cost other than the one requested.
    #[error("the table's quantity is {found}, not {expected}: choose another file")]
    OtherQuantity {
        /// The quantity in the table.
        found: String,
        /// The requested quantity.
        expected: String,
    },
    /// A row of a table holds no arch, or one that its space does not offer.
    #[error("{path}:{line}: {source}", path = path.display())]
    OutsideSpace {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// Names the choice, its value and the allowed values, or what is no arch.
        source: Box<ModelError>,
    },
    /// Two rows of a table contradict each other.
    #[error("{path}:{line}: `{key}` has {found} here, but {before} in an earlier row", path = path.display())]
    ConflictingRows {
        /// The file.
        path: PathBuf,
        /// Line number of the second row, from 1.
        line: u64,
        /// The arch or unit both rows are about.
        key: String,
        /// The value in this row.
        found: String,
        /// The value in the first row.
        before: String,
    },
    /// Two tables to be merged contradict each other.
    #[error(
        "tables disagree about `{arch}`: {first} ({first_top1}) and {second} ({second_top1})",
        first = first.display(),
        second = second.display()
    )]
    ConflictingTables {
        /// The arch in its text form.
        arch: String,
        /// The file read first.
        first: PathBuf,
        /// Its top-1 accuracy there.
        first_top1: f64,
        /// The other file.
        second: PathBuf,
        /// Its top-1 accuracy there.
        second_top1: f64,
    },
    /// The accuracy table has no measurement of an arch.
    #[error("arch `{arch}` is not in the accuracy table of {rows} rows")]
    NotInTable {
        /// The arch in its text form.
        arch: String,
        /// Number of archs in the table.
        rows: usize,
    },
    /// The accuracy table has no accuracies in 8-bit integers.
    #[error(
        "the accuracy table has no column int8_top1: measure one with [tables.int8] in the configuration of the run, \
         or ask for top1"
    )]
    NoInt8,
    /// A latency table lacks units used by archs of a space.
    #[error(
        "the latency table of {device} lacks {count} units of space `{space}`: {list}",
        count = missing.len(),
        list = missing.join(", ")
    )]
    MissingUnits {
        /// Device of the table.
        device: String,
        /// Name of the space.
        space: String,
        /// The units in their text form.
        missing: Vec<String>,
    },
    /// Latency tables in the original format lack resolutions.
    #[error(
        "the latency tables of {device} lack resolutions {missing:?} of space `{space}`, they have {found:?}: restrict \
         the space to those"
    )]
    MissingResolutions {
        /// Directory or device of the tables.
        device: String,
        /// Name of the space.
        space: String,
        /// The resolutions asked for, in pixels.
        missing: Vec<usize>,
        /// The resolutions available, in pixels.
        found: Vec<usize>,
    },
    /// The original format has no keys for the layers of a space.
    #[error(
        "space `{space}` has layers other than one convolution followed by inverted bottlenecks: the latency tables of \
         the original have no keys for them"
    )]
    NotInOriginalTables {
        /// Name of the space.
        space: String,
    },
    /// An arch is outside its space, or the space is invalid.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The closure that measures an arch failed.
    #[error("measuring arch `{arch}`: {source}")]
    Measure {
        /// The arch in its text form.
        arch: String,
        /// The closure's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A measured accuracy is not a fraction.
    #[error("measured top-1 of arch `{arch}` is {top1}, not a fraction between 0 and 1")]
    InvalidAccuracy {
        /// The arch in its text form.
        arch: String,
        /// The value.
        top1: f64,
    },
    /// A predictor, cost or measurement returned a value that is not a finite number.
    #[error("{quantity} of arch `{arch}` is {value}")]
    NotFinite {
        /// The predictor, cost or measurement.
        quantity: String,
        /// The arch in its text form.
        arch: String,
        /// The value.
        value: f64,
    },
    /// A measured latency is not a positive number.
    #[error("measured latency of arch `{arch}` is {latency_ms} ms, not a positive number")]
    InvalidLatency {
        /// The arch in its text form.
        arch: String,
        /// The value.
        latency_ms: f64,
    },
    /// The device failed during timing.
    #[error("device {device}: {problem}")]
    Device {
        /// The device.
        device: String,
        /// What it reported.
        problem: String,
    },
    /// The progress callback asked to stop. The same call resumes.
    #[error(
        "stopped after {done} of {total} rows; measurements so far are in {path}: rerun to resume",
        path = path.display()
    )]
    Stopped {
        /// The table.
        path: PathBuf,
        /// Units or networks measured so far.
        done: usize,
        /// All that were to be measured.
        total: usize,
    },
    /// A setting has an impossible value.
    #[error("{setting} is {value}: {problem}")]
    InvalidSetting {
        /// Name of the setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A fit has too few samples.
    #[error("{purpose} needs at least {needed} {what}, found {found}")]
    TooFewSamples {
        /// What is being fitted.
        purpose: &'static str,
        /// What is counted, in the plural.
        what: &'static str,
        /// Number needed.
        needed: usize,
        /// Number found.
        found: usize,
    },
    /// The measured latencies do not increase with the sums of the table.
    #[error("fitting the overhead gives a slope of {slope}: measured latencies do not increase with the table's sums")]
    OverheadFit {
        /// The slope.
        slope: f64,
    },
    /// No arch meets a constraint.
    #[error("no arch has {constraint} <= {limit} {unit}: the cheapest found, `{arch}`, has {cost} {unit}")]
    Infeasible {
        /// Name of the constraint.
        constraint: String,
        /// Its unit.
        unit: String,
        /// Its limit.
        limit: f64,
        /// The cheapest arch found, in its text form.
        arch: String,
        /// Its cost.
        cost: f64,
    },
    /// Every arch costs less than the lower bound of a constraint.
    #[error("no arch has {constraint} >= {lower} {unit}: the most expensive found, `{arch}`, has {cost} {unit}")]
    TooCheap {
        /// Name of the constraint.
        constraint: String,
        /// Its unit.
        unit: String,
        /// Its lower bound.
        lower: f64,
        /// The most expensive arch found, in its text form.
        arch: String,
        /// Its cost.
        cost: f64,
    },
    /// A search ended before it found an arch that meets every constraint.
    #[error(
        "strategy `{strategy}` found no arch that meets every constraint in {proposals} proposals: \
         loosen a constraint or use a strategy that starts from a known feasible arch"
    )]
    NothingFeasible {
        /// Name of the strategy.
        strategy: String,
        /// Number of archs it proposed.
        proposals: u64,
    },
}
