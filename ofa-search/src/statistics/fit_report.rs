//! [`FitReport`]: how well a predictor does on unseen archs.

use crate::statistics::{kendall_tau, rmse, spearman};
use crate::{Predictor, SearchError};
use ofa_model::Arch;
use serde::{Deserialize, Serialize};

/// Agreement of a predictor with measurements it was not fitted on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// Number of samples the predictor was fitted on.
    pub training_rows: usize,
    /// The held-out samples, with their predictions.
    pub held_out: Vec<HeldOut>,
    /// Root mean squared error, in the unit of the targets.
    pub rmse: f64,
    /// Kendall's tau-b between predicted and measured values.
    pub kendall_tau: f64,
    /// Spearman's rho between predicted and measured values.
    pub spearman: f64,
}

/// A sample the predictor has not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// The arch.
    pub arch: Arch,
    /// The predicted value.
    pub predicted: f64,
    /// The measured value.
    pub measured: f64,
}

impl FitReport {
    /// Compares `predictor`, fitted on `training_rows` samples, with the `held_out` (arch, measured) samples.
    ///
    /// # Errors
    ///
    /// If the predictor cannot score an arch.
    pub fn new(predictor: &dyn Predictor, training_rows: usize, held_out: &[(Arch, f64)]) -> Result<Self, SearchError> {
        let (archs, measured): (Vec<Arch>, Vec<f64>) = held_out.iter().cloned().unzip();
        let predicted = predictor.predict(&archs)?;
        let (rmse, kendall_tau, spearman) =
            (rmse(&predicted, &measured), kendall_tau(&predicted, &measured), spearman(&predicted, &measured));
        let pairs = archs.into_iter().zip(predicted).zip(measured);
        let held_out = pairs.map(|((arch, predicted), measured)| HeldOut { arch, predicted, measured }).collect();
        Ok(Self { training_rows, held_out, rmse, kendall_tau, spearman })
    }
}

/// Fails if there are fewer than `needed` samples or if a target is not finite.
pub(crate) fn require_samples(
    purpose: &'static str,
    samples: &[(Arch, f64)],
    needed: usize,
) -> Result<(), SearchError> {
    let found = samples.len();
    if found < needed {
        return Err(SearchError::TooFewSamples { purpose, what: "samples", needed, found });
    }
    match samples.iter().find(|(_, target)| !target.is_finite()) {
        Some((arch, value)) => {
            Err(SearchError::NotFinite { quantity: "target".into(), arch: arch.to_string(), value: *value })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{additive_accuracy, all_archs, tiny_space};

    fn samples() -> Vec<(Arch, f64)> {
        all_archs(&tiny_space()).into_iter().map(|arch| (arch.clone(), additive_accuracy(&arch))).collect()
    }

    #[test]
    fn a_perfect_predictor_has_a_perfect_report() {
        let report = FitReport::new(&additive_accuracy, 0, &samples()).unwrap();
        assert_eq!((report.rmse, report.held_out.len()), (0.0, 40));
        let right = |held_out: &HeldOut| held_out.predicted == additive_accuracy(&held_out.arch);
        assert!(report.held_out.iter().all(|held_out| right(held_out) && held_out.predicted == held_out.measured));
        assert!((report.kendall_tau - 1.0).abs() < 1e-12 && (report.spearman - 1.0).abs() < 1e-12, "{report:?}");
    }
}
