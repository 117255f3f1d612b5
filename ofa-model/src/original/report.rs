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
    /// What the tensors would fit, by their shapes, or come nearest to; `None` if nothing is near.
    pub nearest: Option<String>,
}

/// The most names of a sort that a report spells out.
const NAMED: usize = 10;

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
        self.missing.is_empty() && self.unused.is_empty() && self.mis_shaped.is_empty()
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
        let below = shared_prefix(&self.unused).map(|prefix| format!(" (all under `{prefix}.`)")).unwrap_or_default();
        let parts =
            [("missing", &self.missing, ""), ("unused", &self.unused, below.as_str()), ("mis-shaped", &mis_shaped, "")];
        let mut separator = "";
        for (title, names, below) in parts.into_iter().filter(|(_, names, _)| !names.is_empty()) {
            write!(f, "{separator}{} {title}{below}: {}", names.len(), names[..names.len().min(NAMED)].join(", "))?;
            if let Some(more @ 1..) = names.len().checked_sub(NAMED) {
                write!(f, " and {more} more")?;
            }
            separator = "; ";
        }
        if let Some(nearest) = &self.nearest {
            write!(f, "; {nearest}")?;
        }
        if self.is_complete() { f.write_str("everything fits") } else { Ok(()) }
    }
}

/// The parts of dotted names that all of them begin with; `None` for a single name or nothing shared.
fn shared_prefix(names: &[String]) -> Option<String> {
    let [first, others @ ..] = names else { return None };
    let mut shared: Vec<&str> = first.split('.').collect();
    shared.pop();
    for name in others {
        let same = shared.iter().zip(name.split('.')).take_while(|(a, b)| *a == b).count();
        shared.truncate(same);
    }
    (!others.is_empty() && !shared.is_empty()).then(|| shared.join("."))
}

impl fmt::Display for MisShaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}, expected {:?}", self.key, self.found, self.expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_report_names_ten_of_a_sort_and_the_prefix_of_what_is_unused() {
        let names = |prefix: &str, count| (0..count).map(|i| format!("{prefix}{i}.weight")).collect::<Vec<_>>();
        let report = ImportReport {
            missing: names("blocks.", 411),
            unused: names("some.module.blocks.", 12),
            ..ImportReport::default()
        };
        let text = report.to_string();
        assert!(text.starts_with("411 missing: blocks.0.weight, ") && text.contains("blocks.9.weight and 401 more; "));
        assert!(text.contains("12 unused (all under `some.module.blocks.`): some.module.blocks.0.weight"), "{text}");
        assert!(text.ends_with("blocks.9.weight and 2 more") && text.len() < 1000, "{text}");
    }
}
