//! [`Quantization`]: how a network is quantised.

use crate::ModelError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How a network is quantised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quantization {
    /// Number of images that ranges are calibrated on; the first ones count.
    pub images: usize,
    /// How the range of an activation follows from what the calibration images give.
    pub range: RangeRule,
    /// Integers of the activations.
    pub activations: ActivationFormat,
    /// Bits of the weights. With 8, x86-64 processors without VNNI compute other numbers: they add two products of 8
    /// bits in 16 bits, which overflow. With 7 every processor computes the same.
    pub weight_bits: u8,
}

impl Default for Quantization {
    fn default() -> Self {
        Self { images: 256, range: RangeRule::MinMax, activations: ActivationFormat::Asymmetric, weight_bits: 7 }
    }
}

/// How the range of an activation follows from what the calibration images give.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RangeRule {
    /// From the smallest to the largest value.
    MinMax,
    /// The middle this many percent of the values; the same share is cut off at both ends.
    Percentile(f64),
}

/// Integers of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationFormat {
    /// `uint8` with a zero point: what ONNX Runtime computes with on processors of the kind x86-64.
    Asymmetric,
    /// `int8` whose zero is 0: what accelerators ask for that know no zero points.
    Symmetric,
}

impl Quantization {
    /// Checks the values.
    ///
    /// # Errors
    ///
    /// [`ModelError::InvalidQuantization`] names the value.
    pub fn validate(&self) -> Result<(), ModelError> {
        let problem = match *self {
            Self { images: 0, .. } => "ranges need at least one image to be calibrated on".into(),
            Self { weight_bits, .. } if !(7..=8).contains(&weight_bits) => {
                format!("weights of {weight_bits} bits: expected 7 or 8")
            }
            Self { range: RangeRule::Percentile(percent), .. } if !(50.0..=100.0).contains(&percent) => {
                format!("a range of {percent} percent of the values: expected 50 to 100")
            }
            _ => return Ok(()),
        };
        Err(ModelError::InvalidQuantization { problem })
    }
}

impl fmt::Display for Quantization {
    /// The settings in a few words, as in the headers of tables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.activations {
            ActivationFormat::Asymmetric => "asymmetric",
            ActivationFormat::Symmetric => "symmetric",
        };
        write!(f, "{} of {} images, {format}, {}-bit weights", self.range, self.images, self.weight_bits)
    }
}

impl fmt::Display for RangeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinMax => write!(f, "min-max"),
            Self::Percentile(percent) => write!(f, "percentile-{percent}"),
        }
    }
}

impl FromStr for RangeRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = || text.strip_prefix("percentile-")?.parse().ok().filter(|p| (50.0..=100.0).contains(p));
        match text {
            "min-max" => Ok(Self::MinMax),
            _ => percent().map(Self::Percentile).ok_or_else(|| {
                format!("`{text}` is no rule for ranges: expected min-max, or percentile-P with P from 50 to 100")
            }),
        }
    }
}

impl TryFrom<String> for RangeRule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RangeRule> for String {
    fn from(rule: RangeRule) -> Self {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written() {
        for rule in [RangeRule::MinMax, RangeRule::Percentile(99.99), RangeRule::Percentile(50.0)] {
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        for text in ["", "max", "percentile", "percentile-40", "percentile-NaN", "percentile-101"] {
            assert!(text.parse::<RangeRule>().unwrap_err().contains("expected min-max"), "{text}");
        }
        let settings = Quantization { range: RangeRule::Percentile(99.9), ..Quantization::default() };
        assert_eq!(settings.to_string(), "percentile-99.9 of 256 images, asymmetric, 7-bit weights");
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Quantization>(&text).unwrap(), settings);
    }
}
