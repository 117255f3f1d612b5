//! Predicted against measured values.

use serde::{Deserialize, Deserializer, Serialize};

/// Predicted against measured values with the usual figures of agreement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// The pairs.
    pub points: Vec<PredictedMeasured>,
    /// Root mean square error, in the unit of the values.
    #[serde(deserialize_with = "nan_if_null")]
    pub rmse: f64,
    /// Mean absolute percentage error, as a share.
    #[serde(deserialize_with = "nan_if_null")]
    pub mape: f64,
    /// Kendall rank correlation.
    #[serde(deserialize_with = "nan_if_null")]
    pub kendall_tau: f64,
}

/// One pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictedMeasured {
    /// The arch as text.
    pub arch: String,
    /// Predicted value.
    pub predicted: f64,
    /// Measured value.
    pub measured: f64,
}

/// JSON has no NaN: what could not be computed, such as a correlation of equal values, is written as `null`.
pub(crate) fn nan_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
