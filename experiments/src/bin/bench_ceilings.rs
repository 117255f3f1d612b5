//! Question: what are the peak compute and memory rates of this machine? (`bench_vs_pytorch` relates our speed to them)
//!
//! Command:  `cargo run --release --bin bench_ceilings`
//! Result:   rate of f32 matrix products and memory bandwidth, as JSON
//! Hardware: any; 768 MiB; threads by `RAYON_NUM_THREADS` (flex, memory) and `OMP_NUM_THREADS` (libtorch); seconds

use anyhow::Result;
use clap::Parser;
use experiments::bench::Ceilings;
use experiments::console::say;
use experiments::machine::device;
use experiments::run::start;
use experiments::run::start::ready_to_compute;
use std::process::ExitCode;

/// Measures the peak compute and memory rates of this machine.
#[derive(Parser)]
struct Options {
    /// Device, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
}

fn main() -> ExitCode {
    start::exit_code(ready_to_compute().and_then(|()| run(&Options::parse())))
}

fn run(options: &Options) -> Result<()> {
    let ceilings = Ceilings::measure(&device::by_name(&options.device)?)?;
    say(&serde_json::to_string(&ceilings)?);
    Ok(())
}
