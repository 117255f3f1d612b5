//! Trains the supernet of a run and measures its accuracy table, on one process or on several MPI ranks.
//!
//! Command:  `cargo build --release --bin ofa --features mpi`, then `mpirun --bind-to none -np 4 target/release/ofa
//!           train --out runs/mine`, or `srun` (README, "Several machines"); without a launcher, it runs as a single
//!           process
//! Result:   a run directory with `metrics.csv`, `watched.csv`, the accuracy table, and the weights in `supernet`, which
//!           `ofa subnet export` reads; `cargo run --release -- --resume --out runs/mine` continues with latencies and
//!           searches
//! Hardware: one device per rank; the preset `standard` takes 20 minutes on two cores, proportionally less on more
//! Source:   arXiv:1908.09791, section 3.3; the original trains in the same way with Horovod

use anyhow::Result;
use clap::Args;
use experiments::console::say;
use experiments::job::{self, Job};
use experiments::run::start;
use experiments::run::supernet_file::SUPERNET;
use std::process::ExitCode;

/// Trains a once-for-all network, in one process or on several started by mpirun or srun.
#[derive(Args)]
#[command(after_help = "Example: ofa train --schedule sandwich --subnet-epochs 60 --out runs/sandwich")]
pub struct Options {
    #[command(flatten)]
    run: start::Options,
}

pub fn run(options: &Options) -> ExitCode {
    job::main(&options.run, train)
}

fn train(job: &Job) -> Result<()> {
    let mut validation = job.images.validation(job.config, job.device);
    if job.train_and_measure(&mut validation)?.is_some() {
        say(&format!(
            "weights: {}; continue with latencies and searches: `cargo run --release -- --resume --out {}`",
            job.dir.path(SUPERNET).display(),
            job.dir.root().display()
        ));
    }
    Ok(())
}
