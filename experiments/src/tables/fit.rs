//! Predicted against measured values.

use serde::{Deserialize, Deserializer, Serialize};

/// Predicted against measured values, with measures of agreement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// Predicted and measured values.
    pub points: Vec<PredictedMeasured>,
    /// Root mean square error, in the unit of the values.
    #[serde(deserialize_with = "nan_if_null")]
    pub rmse: f64,
    /// Mean absolute relative error, as a fraction.
    #[serde(deserialize_with = "nan_if_null")]
    pub mape: f64,
    /// Kendall's rank correlation.
    #[serde(deserialize_with = "nan_if_null")]
    pub kendall_tau: f64,
}

/// Predicted and measured value of one arch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictedMeasured {
    /// The arch as text.
    pub arch: String,
    /// Predicted value: top-1 (0 to 1) or latency in milliseconds.
    pub predicted: f64,
    /// Measured value, in the same unit.
    pub measured: f64,
}

/// JSON has no NaN: undefined values, such as a correlation of equal values, are written as `null`.
pub(crate) fn nan_if_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
