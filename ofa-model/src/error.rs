//! What can go wrong with spaces, archs and weights.

use crate::ImportReport;
use std::path::PathBuf;

/// Errors of this crate: bad input, never a bug.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A search space contradicts itself.
    #[error("search space `{space}`: {problem}")]
    InvalidSpace {
        /// Name of the space.
        space: String,
        /// What is wrong, with the values.
        problem: String,
    },
    /// A mask names what its space does not offer, or leaves nothing to choose.
    #[error("mask of search space `{space}`: {problem}")]
    InvalidMask {
        /// Name of the space.
        space: String,
        /// What is wrong, with the values.
        problem: String,
    },
    /// An arch makes a choice that its space does not offer.
    #[error("arch `{arch}` is outside the space `{space}`: {choice} is {found}, allowed: {allowed}")]
    OutsideSpace {
        /// The arch in its text form.
        arch: String,
        /// Name of the space.
        space: String,
        /// Which choice, e.g. `stage 2 block 1 kernel size`.
        choice: String,
        /// The value found.
        found: String,
        /// The values the space offers.
        allowed: String,
    },
    /// A text is not an arch.
    #[error("`{text}` is not an arch: {problem} (expected e.g. `r28-k7e6.k5e4-k3e3.k3e3`)")]
    ParseArch {
        /// The text.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A number is not a ratio of channels.
    #[error("ratio {value} is not a number between 0.001 and 1000")]
    InvalidRatio {
        /// The value.
        value: f64,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A file's content is not what it should be.
    #[error("{path}: {problem}", path = path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An arch of the original has a list of a wrong length.
    #[error("`{list}` of an arch of the original has {found} entries, `{space}` needs {expected}")]
    InvalidOriginalArch {
        /// The list: `ks`, `e`, `d` or `w`.
        list: &'static str,
        /// Its length.
        found: usize,
        /// The length it must have: one entry for every block of the greatest depth, or for every stage.
        expected: usize,
        /// Name of the space.
        space: String,
    },
    /// A configuration of a static net of the original describes no network of a space.
    #[error("the configuration of the original describes no network of `{space}`: {problem}")]
    InvalidOriginalConfig {
        /// Name of the space.
        space: String,
        /// What is wrong.
        problem: String,
    },
    /// A tensor of a checkpoint cannot be imported.
    #[error("tensor `{key}`: {problem}")]
    InvalidTensor {
        /// Key of the tensor.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A subnet cannot be written as ONNX.
    #[error("subnet `{arch}` as ONNX: {problem}")]
    Onnx {
        /// The arch in its text form.
        arch: String,
        /// What is wrong.
        problem: String,
    },
    /// Tensors and parameters do not fit each other.
    #[error("the weights do not fit this supernet (another space, width or number of classes?): {report}")]
    IncompleteImport {
        /// Everything that does not fit.
        report: ImportReport,
    },
}
