//! What can go wrong with tables, predictors and searches.

use ofa_model::ModelError;
use std::path::PathBuf;

/// Errors of this crate: bad input, never a bug.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Another process is appending to the table.
    #[error("{path}: another process is building this table", path = path.display())]
    TableInUse {
        /// The file.
        path: PathBuf,
    },
    /// A line of a table is not what it should be.
    #[error("{path}:{line}: {problem}", path = path.display())]
    InvalidLine {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What is wrong, with the values.
        problem: String,
    },
    /// An existing table was measured under other conditions than asked for.
    #[error(
        "{path}: the table's {field} is {found}, not {expected}: choose another file or measure under the same conditions",
        path = path.display()
    )]
    HeaderMismatch {
        /// The file.
        path: PathBuf,
        /// Which condition differs.
        field: String,
        /// Its value in the file.
        found: String,
        /// Its value asked for.
        expected: String,
    },
    /// A table is of another cost than asked for.
    #[error("the table's quantity is {found}, not {expected}: choose another file")]
    OtherQuantity {
        /// What the table is of.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// A row of a table is about an arch that its space does not offer.
    #[error("{path}:{line}: {source}", path = path.display())]
    OutsideSpace {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// Which choice, its value and the allowed ones.
        source: Box<ModelError>,
    },
    /// Two rows of a table contradict each other.
    #[error("{path}:{line}: `{key}` has {found} here and {before} before", path = path.display())]
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
    /// Two tables that are to be one contradict each other.
    #[error(
        "tables disagree about `{arch}`: {first} ({first_top1}) and {second} ({second_top1})",
        first = first.display(),
        second = second.display()
    )]
    ConflictingTables {
        /// The arch in its text form.
        arch: String,
        /// The file whose row came first.
        first: PathBuf,
        /// Its top-1 accuracy there.
        first_top1: f64,
        /// The other file.
        second: PathBuf,
        /// Its top-1 accuracy there.
        second_top1: f64,
    },
    /// The accuracy of an arch was asked for that was not measured.
    #[error("arch `{arch}` is not in the accuracy table of {rows} rows")]
    NotInTable {
        /// The arch in its text form.
        arch: String,
        /// Number of archs in the table.
        rows: usize,
    },
    /// A latency table lacks units that the archs of a space run through.
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
    /// Latency tables of the original lack resolutions.
    #[error(
        "the latency tables of {device} lack resolutions {missing:?} of space `{space}`, they have {found:?}: give the \
         space those only"
    )]
    MissingResolutions {
        /// Directory or device of the tables.
        device: String,
        /// Name of the space.
        space: String,
        /// The resolutions in pixels that are asked for.
        missing: Vec<usize>,
        /// Those that are there.
        found: Vec<usize>,
    },
    /// The original has no keys for the layers of a space.
    #[error(
        "space `{space}` has other layers than one convolution and inverted bottlenecks behind it: latency tables of the \
         original have no keys for them"
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
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An accuracy was measured that is not a fraction.
    #[error("measured top-1 of arch `{arch}` is {top1}, not a fraction between 0 and 1")]
    InvalidAccuracy {
        /// The arch in its text form.
        arch: String,
        /// The value.
        top1: f64,
    },
    /// A predictor or a cost gave a value that is not a finite number.
    #[error("{quantity} of arch `{arch}` is {value}")]
    NotFinite {
        /// Which predictor or cost.
        quantity: String,
        /// The arch in its text form.
        arch: String,
        /// The value.
        value: f64,
    },
    /// A measured latency is not a positive number.
    #[error("measured latency of arch `{arch}` is {latency_ms} ms")]
    InvalidLatency {
        /// The arch in its text form.
        arch: String,
        /// The value.
        latency_ms: f64,
    },
    /// The device failed while it was being timed.
    #[error("device {device}: {problem}")]
    Device {
        /// The device.
        device: String,
        /// What it reported.
        problem: String,
    },
    /// Whoever listened to the progress of a table wanted it to stop; it is gone on with by the same call.
    #[error("stopped after {done} of {total} units; what was measured is in {path}", path = path.display())]
    Stopped {
        /// The table.
        path: PathBuf,
        /// Units that are measured.
        done: usize,
        /// Units of the space.
        total: usize,
    },
    /// A setting makes no sense.
    #[error("{setting} is {value}: {problem}")]
    InvalidSetting {
        /// Name of the setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There are too few samples for a fit.
    #[error("{purpose} needs at least {needed} {what}, found {found}")]
    TooFewSamples {
        /// What is to be fitted.
        purpose: &'static str,
        /// What is counted.
        what: &'static str,
        /// Number needed.
        needed: usize,
        /// Number found.
        found: usize,
    },
    /// Measured latencies do not grow with the sums of the table.
    #[error("fitting the overhead gives a slope of {slope}: measured latencies do not grow with the table's sums")]
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
    /// Every arch costs less than a constraint demands.
    #[error("no arch has {constraint} >= {lower} {unit}: the dearest found, `{arch}`, has {cost} {unit}")]
    TooCheap {
        /// Name of the constraint.
        constraint: String,
        /// Its unit.
        unit: String,
        /// Its lowest cost.
        lower: f64,
        /// The dearest arch found, in its text form.
        arch: String,
        /// Its cost.
        cost: f64,
    },
    /// A search ended before it found an arch that meets every constraint.
    #[error(
        "strategy `{strategy}` found no arch that meets every constraint: it made {proposals} proposals; \
         loosen a constraint or use a strategy that starts from a known feasible arch"
    )]
    NothingFeasible {
        /// Name of the strategy.
        strategy: String,
        /// Number of archs it proposed.
        proposals: u64,
    },
}
