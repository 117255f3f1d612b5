//! The options of networks in 8-bit integers.

use clap::Args;
use ofa_model::{ActivationFormat, Quantization, RangeRule};

/// Whether and how networks are quantised.
#[derive(Clone, Copy, Debug, Args)]
pub struct Int8Options {
    /// Also write networks in 8-bit integers
    #[arg(long)]
    int8: bool,
    /// Images that the ranges of activations are calibrated on
    #[arg(long, value_name = "N", default_value_t = 256, requires = "int8")]
    calibration_images: usize,
    /// Ranges of activations: min-max, or percentile-P, which leaves out the values beyond P percent
    #[arg(long, value_name = "RULE", default_value = "min-max", requires = "int8")]
    int8_range: RangeRule,
    /// Bits of the weights, 7 or 8: with 8, x86-64 processors without VNNI compute other numbers
    #[arg(long, value_name = "BITS", default_value_t = 7, requires = "int8",
        value_parser = clap::value_parser!(u8).range(7..=8))]
    int8_weight_bits: u8,
    /// Activations as int8 without zero points, for accelerators
    #[arg(long, requires = "int8")]
    int8_symmetric: bool,
}

impl Int8Options {
    /// The settings, if networks are quantised.
    pub fn settings(&self) -> Option<Quantization> {
        let Self { int8, calibration_images, int8_range, int8_weight_bits, int8_symmetric } = *self;
        let activations = if int8_symmetric { ActivationFormat::Symmetric } else { ActivationFormat::Asymmetric };
        int8.then_some(Quantization {
            images: calibration_images,
            range: int8_range,
            activations,
            weight_bits: int8_weight_bits,
        })
    }
}
