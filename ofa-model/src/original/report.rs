//! [`ImportReport`]: what in a state dict or a network was left unmatched by an import.

use crate::ModelError;
use std::fmt;

/// What did not fit in an import. Parameters named here keep their old values.
///
/// Importing with another number of classes, for example, leaves the classifier in [`ImportReport::mis_shaped`], to be
/// trained from scratch. Where everything must fit, call [`ImportReport::check`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "parameters that the report names were not imported"]
pub struct ImportReport {
    /// Parameters without a tensor, by the original's canonical name.
    pub missing: Vec<String>,
    /// Keys of tensors without a parameter.
    pub unused: Vec<String>,
    /// Tensors whose parameter has another shape.
    pub mis_shaped: Vec<MisShaped>,
}

/// A tensor whose parameter has another shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MisShaped {
    /// Key of the tensor.
    pub key: String,
    /// Shape of the tensor.
    pub found: Vec<usize>,
    /// Shape of the parameter.
    pub expected: Vec<usize>,
}

impl ImportReport {
    /// Whether every parameter got a tensor and every tensor a parameter.
    pub fn is_complete(&self) -> bool {
        *self == Self::default()
    }

    /// Requires a complete import.
    ///
    /// # Errors
    ///
    /// [`ModelError::IncompleteImport`] lists everything that did not fit.
    pub fn check(&self) -> Result<(), ModelError> {
        if self.is_complete() { Ok(()) } else { Err(ModelError::IncompleteImport { report: self.clone() }) }
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mis_shaped: Vec<String> = self.mis_shaped.iter().map(MisShaped::to_string).collect();
        let parts = [("missing", &self.missing), ("unused", &self.unused), ("mis-shaped", &mis_shaped)];
        let mut separator = "";
        for (title, names) in parts.into_iter().filter(|(_, names)| !names.is_empty()) {
            write!(f, "{separator}{} {title}: {}", names.len(), names.join(", "))?;
            separator = "; ";
        }
        if self.is_complete() { f.write_str("everything fits") } else { Ok(()) }
    }
}

impl fmt::Display for MisShaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}, expected {:?}", self.key, self.found, self.expected)
    }
}
