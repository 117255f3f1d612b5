//! What can this machine do at best? `bench_vs_pytorch` states it beside our share.
//!
//! Command:  `cargo run --release --bin bench_ceilings`
//! Result:   rates of a product of matrices and of memory, as JSON
//! Hardware: whatever it runs on, 768 MiB; threads: `RAYON_NUM_THREADS` (flex, memory), `OMP_NUM_THREADS` (libtorch); seconds

use anyhow::Result;
use clap::Parser;
use experiments::bench::Ceilings;
use experiments::console::say;
use experiments::machine::device;
use experiments::run::start;
use experiments::run::start::ready_to_compute;
use std::process::ExitCode;

/// Measures what this machine can do at best.
#[derive(Parser)]
struct Options {
    /// Device; it must be compiled in
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
