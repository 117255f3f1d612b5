//! [`Predictor`]: what a search maximises.

use crate::SearchError;
use ofa_model::Arch;

/// A score of archs that is cheap to ask for: a learned accuracy predictor, a table, or any function of an arch.
///
/// A closure `Fn(&Arch) -> f64` is a predictor too.
pub trait Predictor {
    /// Scores of `archs`, in their order; larger is better. Archs come in batches so that a network can run batched.
    ///
    /// # Errors
    ///
    /// If an arch cannot be scored.
    fn predict(&self, archs: &[Arch]) -> Result<Vec<f64>, SearchError>;
}

impl<F: Fn(&Arch) -> f64> Predictor for F {
    fn predict(&self, archs: &[Arch]) -> Result<Vec<f64>, SearchError> {
        Ok(archs.iter().map(self).collect())
    }
}
