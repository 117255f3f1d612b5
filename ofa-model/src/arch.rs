//! [`Arch`]: one network of a search space, every choice made.

use crate::ModelError;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// One network of a [`SearchSpace`](crate::SearchSpace), with the resolution it runs at.
///
/// Only live choices are stored, so equal archs are equal networks: a stage's depth is its number of blocks. (The
/// original's flat dictionary also holds choices of skipped blocks, so many dictionaries describe one network.) The
/// text form is the key of every table. In `r28-k7e6.k5e4-w0_8:k3e3.k3e3`, the resolution is 28, the first stage has
/// two blocks (kernel size 7, expand ratio 6; kernel size 5, expand ratio 4) at full width, and the second has two
/// blocks at 0.8 of its width.
///
/// ```
/// use ofa_model::Arch;
///
/// let arch: Arch = "r28-k7e6.k5e4-w0_8:k3e3.k3e3".parse()?;
/// assert_eq!(arch.depths(), [2, 2]);
/// assert_eq!(arch.stages[1].width.value(), 0.8);
/// assert_eq!(arch.to_string(), "r28-k7e6.k5e4-w0_8:k3e3.k3e3");
/// # Ok::<(), ofa_model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arch {
    /// Height and width of the input in pixels.
    pub resolution: usize,
    /// The stages, first to last.
    pub stages: Vec<StageArch>,
}

/// The blocks of one stage; their number is the stage's depth.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageArch {
    /// Output channels of the blocks as a multiple of [`StageSpace::channels`](crate::StageSpace::channels).
    #[serde(default, skip_serializing_if = "Ratio::is_one")]
    pub width: Ratio,
    /// The blocks, first to last.
    pub blocks: Vec<BlockArch>,
}

/// Kernel size and expand ratio of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockArch {
    /// Size of the block's one spatial kernel; its other convolutions are 1x1.
    pub kernel_size: usize,
    /// Middle channels as a multiple of the block's input channels, or of its output channels in a ResNet bottleneck.
    pub expand_ratio: Ratio,
}

impl Arch {
    /// Number of blocks in each stage.
    pub fn depths(&self) -> Vec<usize> {
        self.stages.iter().map(|stage| stage.blocks.len()).collect()
    }

    /// The same network at another resolution.
    pub fn at_resolution(&self, resolution: usize) -> Self {
        Self { resolution, ..self.clone() }
    }
}

/// A channel ratio, exact to a thousandth so that archs can be compared and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Ratio(u32);

impl Ratio {
    /// Ratio 1: the number of channels stays the same.
    pub const ONE: Self = Self(1000);

    /// Whether this is [`Ratio::ONE`].
    pub fn is_one(&self) -> bool {
        *self == Self::ONE
    }

    /// The ratio in thousandths, exact.
    pub fn thousandths(self) -> u32 {
        self.0
    }

    /// The ratio as a floating-point number.
    pub fn value(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl Default for Ratio {
    /// [`Ratio::ONE`].
    fn default() -> Self {
        Self::ONE
    }
}

impl From<u16> for Ratio {
    fn from(ratio: u16) -> Self {
        Self(u32::from(ratio) * 1000)
    }
}

impl TryFrom<f64> for Ratio {
    type Error = ModelError;

    fn try_from(value: f64) -> Result<Self, ModelError> {
        let thousandths = (value * 1000.0).round();
        if (1.0..=1_000_000.0).contains(&thousandths) {
            Ok(Self(thousandths as u32))
        } else {
            Err(ModelError::InvalidRatio { value })
        }
    }
}

impl From<Ratio> for f64 {
    fn from(ratio: Ratio) -> Self {
        ratio.value()
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.resolution)?;
        for stage in &self.stages {
            f.write_str("-")?;
            if !stage.width.is_one() {
                write!(f, "w{}:", without_dot(stage.width))?;
            }
            for (i, block) in stage.blocks.iter().enumerate() {
                let dot = if i == 0 { "" } else { "." };
                write!(f, "{dot}k{}e{}", block.kernel_size, without_dot(block.expand_ratio))?;
            }
        }
        Ok(())
    }
}

impl FromStr for Arch {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let fail = |problem: String| ModelError::ParseArch { text: text.to_owned(), problem };
        let mut parts = text.split('-');
        let resolution = parts
            .next()
            .and_then(|part| part.strip_prefix('r'))
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| fail("it does not start with a resolution".into()))?;
        let stages: Vec<StageArch> = parts.map(parse_stage).collect::<Result<_, _>>().map_err(fail)?;
        if stages.is_empty() {
            return Err(fail("it has no stages".into()));
        }
        Ok(Self { resolution, stages })
    }
}

/// Text form of a ratio inside an arch: `_` as the decimal point, because dots separate blocks.
fn without_dot(ratio: Ratio) -> String {
    ratio.to_string().replace('.', "_")
}

fn parse_stage(text: &str) -> Result<StageArch, String> {
    let (width, blocks) = match text.split_once(':') {
        Some((width, blocks)) => {
            let ratio = width.strip_prefix('w').ok_or_else(|| format!("`{width}` is not a width"))?;
            (parse_ratio(ratio)?, blocks)
        }
        None => (Ratio::ONE, text),
    };
    Ok(StageArch { width, blocks: blocks.split('.').map(parse_block).collect::<Result<_, _>>()? })
}

fn parse_block(text: &str) -> Result<BlockArch, String> {
    let fail = || format!("`{text}` is not a block");
    let (kernel, ratio) = text.strip_prefix('k').and_then(|rest| rest.split_once('e')).ok_or_else(fail)?;
    Ok(BlockArch { kernel_size: kernel.parse().map_err(|_| fail())?, expand_ratio: parse_ratio(ratio)? })
}

fn parse_ratio(text: &str) -> Result<Ratio, String> {
    let value: f64 = text.replace('_', ".").parse().map_err(|_| format!("`{text}` is not a ratio"))?;
    Ratio::try_from(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_keeps_fractional_ratios() {
        let text = "r224-w0_65:k3e0_25.k5e1_5-k3e0_2";
        let arch: Arch = text.parse().unwrap();
        assert_eq!(arch.stages[0].blocks[0].expand_ratio.value(), 0.25);
        assert_eq!((arch.stages[0].width.value(), arch.stages[1].width), (0.65, Ratio::ONE));
        assert_eq!(arch.to_string(), text);
    }

    #[test]
    fn malformed_texts_are_refused() {
        let block = ["r28-k3", "r28-k3e0", "r28-k3eNaN", "r28-k3e3..k3e3", "rx-k3e3"];
        let width = ["r28-0_8:k3e3", "r28-w0:k3e3", "r28-w:k3e3", "r28-w0_8:", "r28-w1:w1:k3e3"];
        for text in ["", "28-k3e3", "r28", "r28-"].into_iter().chain(block).chain(width) {
            let error = text.parse::<Arch>().unwrap_err();
            assert!(matches!(error, ModelError::ParseArch { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn json_round_trip_writes_ratios_as_numbers() {
        let arch: Arch = "r20-k3e6".parse().unwrap();
        let json = serde_json::to_string(&arch).unwrap();
        assert_eq!(json, r#"{"resolution":20,"stages":[{"blocks":[{"kernel_size":3,"expand_ratio":6.0}]}]}"#);
        assert_eq!(serde_json::from_str::<Arch>(&json).unwrap(), arch);
        let arch: Arch = "r20-w0_8:k3e6".parse().unwrap();
        assert_eq!(serde_json::from_str::<Arch>(&serde_json::to_string(&arch).unwrap()).unwrap(), arch);
    }
}
