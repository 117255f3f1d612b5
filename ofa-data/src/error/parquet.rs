//! Typed errors for parquet files of images.

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
    /// The file is damaged, not parquet, or uses unsupported compression.
    #[error("damaged, or not a parquet file that can be read: {reason}")]
    Format {
        /// What the parser reported.
        reason: String,
    },
    /// None of the columns that could hold the images or the labels exists.
    #[error("no column {expected}; the columns are {found}")]
    Column {
        /// Accepted names for the column.
        expected: String,
        /// Names of the columns in the file.
        found: String,
    },
    /// A column has the wrong type.
    #[error("column {name} does not hold {expected}, one per row")]
    ColumnType {
        /// The column.
        name: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A row has no valid class index; the Hub writes -1 where labels are withheld.
    #[error("label of row {row} is {found}, expected 0 to {last}{note}", found = label_text(*label), last = end - 1,
        note = if *label == Some(-1) { " (-1 means unlabelled: this split has no labels)" } else { "" })]
    Label {
        /// Row in the file, from 0.
        row: usize,
        /// The label, or `None` if it is null.
        label: Option<i64>,
        /// Exclusive upper bound of labels: the number of class names, or 2^20 if the files name none.
        end: i64,
    },
    /// The class names differ from those of the first file.
    #[error("the class names are not those of {other}", other = .other.display())]
    Names {
        /// The first file.
        other: PathBuf,
    },
    /// The file's length changed after it was opened.
    #[error("changed since it was opened: {then} bytes then, {now} now")]
    Changed {
        /// Length in bytes when it was first opened.
        then: u64,
        /// Length in bytes now.
        now: u64,
    },
    /// A row has no image.
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
