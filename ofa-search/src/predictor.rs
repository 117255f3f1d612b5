//! [`Predictor`]: the objective of a search.

use crate::SearchError;
use ofa_model::Arch;

/// A cheap score of archs: a learned accuracy predictor, a table, or any function of an arch.
///
/// Every closure `Fn(&Arch) -> f64` implements it.
pub trait Predictor {
    /// The scores of `archs`, in their order; larger is better. A batch per call lets networks run batched.
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
