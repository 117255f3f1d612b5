//! What can be wrong with parquet files of images.

use std::path::PathBuf;

use parquet::errors::ParquetError;

/// What is wrong with a parquet file of images.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParquetProblem {
    /// Not a regular file (a directory, a FIFO, a device, a socket).
    #[error("not a regular file")]
    NotAFile,
    /// The file cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file is damaged, no parquet at all, or compressed in a way that is not supported.
    #[error("damaged, or not a parquet file that can be read: {reason}")]
    Format {
        /// What the parser ran into.
        reason: String,
    },
    /// None of the columns that could hold the images, or the labels.
    #[error("no column {expected}; the columns are {found}")]
    Column {
        /// Names the column may have.
        expected: String,
        /// Names of the columns there are.
        found: String,
    },
    /// A column with another kind of data.
    #[error("column {name} does not hold {expected}, one a row")]
    ColumnType {
        /// The column.
        name: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A row without the number of a class; the hub writes -1 where labels are withheld.
    #[error("label of row {row} is {found}, expected 0 to {last}{note}", found = label_text(*label), last = end - 1,
        note = if *label == Some(-1) { " (-1 stands for no label: this part of the set has none)" } else { "" })]
    Label {
        /// Position in the file, from 0.
        row: usize,
        /// The label there, if there is one.
        label: Option<i64>,
        /// Labels are less: the number of names, or what 32 bits hold where there are no names.
        end: i64,
    },
    /// The class names are not those of the first file.
    #[error("the class names are not those of {other}", other = .other.display())]
    Names {
        /// The first file.
        other: PathBuf,
    },
    /// The file has another length than when it was opened first.
    #[error("changed since it was opened: {then} bytes then, {now} now")]
    Changed {
        /// Its length when it was opened first, in bytes.
        then: u64,
        /// Its length now.
        now: u64,
    },
    /// A row without an image.
    #[error("no image in this row: its bytes are null")]
    Null,
}

impl From<ParquetError> for ParquetProblem {
    fn from(error: ParquetError) -> Self {
        Self::Format { reason: error.to_string() }
    }
}

fn label_text(label: Option<i64>) -> String {
    label.map_or("missing".into(), |label| label.to_string())
}
