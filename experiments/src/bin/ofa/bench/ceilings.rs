//! Question: what are the peak compute and memory rates of this machine? (`ofa bench pytorch` relates our speed to
//!           them)
//!
//! Command:  `ofa bench ceilings`
//! Result:   rate of f32 matrix products and memory bandwidth, as JSON
//! Hardware: any; 768 MiB; threads by `RAYON_NUM_THREADS` (flex, memory) and `OMP_NUM_THREADS` (libtorch); seconds

use anyhow::Result;
use clap::Args;
use experiments::bench::Ceilings;
use experiments::console::say;
use experiments::machine::device;

/// Measures the peak compute and memory rates of this machine.
#[derive(Args)]
#[command(after_help = "Example: ofa bench ceilings --device flex")]
pub struct Options {
    /// Device, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
}

pub fn run(options: &Options) -> Result<()> {
    let ceilings = Ceilings::measure(&device::by_name(&options.device)?)?;
    say(&serde_json::to_string(&ceilings)?);
    Ok(())
}
