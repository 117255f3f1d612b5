//! [`ModelError`]: errors in spaces, archs and weights.

use crate::ImportReport;
use std::path::PathBuf;

/// Errors of this crate. They report bad input, never a bug.
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
    /// A mask names a value its space does not offer, or leaves a choice without values.
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
        /// The choice, e.g. `stage 2 block 1 kernel size`.
        choice: String,
        /// The value found.
        found: String,
        /// The values the space offers.
        allowed: String,
    },
    /// A text does not parse as an arch.
    #[error("`{text}` is not an arch: {problem} (expected e.g. `r28-k7e6.k5e4-k3e3.k3e3`)")]
    ParseArch {
        /// The text.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A text or a file describes no arch in any form.
    #[error("this is no arch: {problem}")]
    WrittenArch {
        /// What is wrong with it, and what is expected.
        problem: String,
    },
    /// A number is not a valid channel ratio.
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
        /// The reason the operating system gave.
        source: std::io::Error,
    },
    /// A file's content is invalid.
    #[error("{path}: {problem}", path = path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A list in one of the original's arch dictionaries has the wrong length.
    #[error("`{list}` of the original's arch has {found} entries, `{space}` needs {expected}")]
    InvalidOriginalArch {
        /// The list: `ks`, `e`, `d` or `w`.
        list: &'static str,
        /// Number of entries found.
        found: usize,
        /// Number of entries required: one per block at the greatest depth, or one per stage.
        expected: usize,
        /// Name of the space.
        space: String,
    },
    /// A static-net configuration of the original does not describe a network of the space.
    #[error("the original's configuration does not describe a network of `{space}`: {problem}")]
    InvalidOriginalConfig {
        /// Name of the space.
        space: String,
        /// What is wrong.
        problem: String,
    },
    /// A tensor of a checkpoint cannot be imported.
    #[error("tensor `{key}`: {problem}")]
    InvalidTensor {
        /// Key of the tensor in the state dict.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A subnet cannot be exported as ONNX.
    #[error("cannot export subnet `{arch}` as ONNX: {problem}")]
    Onnx {
        /// The arch in its text form.
        arch: String,
        /// What the exporter could not do.
        problem: String,
    },
    /// Settings of a quantisation make no sense.
    #[error("quantisation: {problem}")]
    InvalidQuantization {
        /// What is wrong, and what is expected.
        problem: String,
    },
    /// A subnet cannot be quantised.
    #[error("cannot quantise subnet `{arch}`: {problem}")]
    Quantize {
        /// The arch in its text form.
        arch: String,
        /// What is wrong, and what is expected.
        problem: String,
    },
    /// The tensors do not match the parameters.
    #[error("the weights do not fit: {report}")]
    IncompleteImport {
        /// Everything that does not match.
        report: ImportReport,
    },
}
