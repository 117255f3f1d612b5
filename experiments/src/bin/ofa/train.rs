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
use burn::module::Module;
use clap::Args;
use experiments::config::ExperimentConfig;
use experiments::console::interrupt;
use experiments::console::say;
use experiments::machine::{device, environment};
use experiments::run::images::Images;
use experiments::run::ranks;
use experiments::run::records::{self, Phases};
use experiments::run::run_dir::RunDir;
use experiments::run::start::{self, Run};
use experiments::run::{supernet_file, training};
use experiments::tables;
use ofa_data::Splits;
use ofa_train::Ranks;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Trains a once-for-all network, in one process or on several started by mpirun or srun.
#[derive(Args)]
#[command(after_help = "Example: ofa train --schedule sandwich --subnet-epochs 60 --out runs/sandwich")]
pub struct Options {
    #[command(flatten)]
    run: start::Options,
}

pub fn run(options: &Options) -> ExitCode {
    ranks::main(|ranks| {
        let stop = interrupt::on_interrupt()?;
        let Run { config, dir, listed } = ranks::open(&options.run, ranks)?;
        train(&config, listed, &dir, ranks, &stop).map_err(|error| start::with_next_step(error, &dir))
    })
}

fn train(
    config: &ExperimentConfig,
    listed: Option<Splits>,
    dir: &RunDir,
    ranks: &dyn Ranks,
    stop: &Arc<AtomicBool>,
) -> Result<()> {
    let images = Images::load(config, listed)?;
    ranks::same_images(dir, &images, ranks)?;
    let result = train_and_measure(config, &images, dir, ranks, stop);
    ranks::write_broken(dir, &images, &result, ranks)?;
    result
}

fn train_and_measure(
    config: &ExperimentConfig,
    images: &Images,
    dir: &RunDir,
    ranks: &dyn Ranks,
    stop: &Arc<AtomicBool>,
) -> Result<()> {
    let device = &device::by_name(&config.device)?;
    if ranks.is_first() {
        let machine = environment::machine(&config.device);
        say(&format!(
            "{}; {} subnets in `{}`; {} rank(s) of {} thread(s); run directory {}",
            images.description,
            config.space.len(),
            config.space.name,
            ranks.size(),
            machine.threads,
            dir.root().display()
        ));
        dir.write_json("environment.json", &machine)?;
    }
    let mut phases = ranks.is_first().then(|| Phases::resumed(dir, stop)).transpose()?;

    let mut validation = images.validation(config, device);
    let trained =
        timed(&mut phases, "training", || training::train(config, images, &mut validation, device, dir, ranks, stop))?;
    let supernet = trained.supernet.valid();
    let source = records::source(&supernet, images);
    timed(&mut phases, "accuracy table", || {
        tables::accuracy(config, &supernet, &mut validation, source, dir, stop, ranks)
    })?;
    if ranks.is_first() {
        supernet_file::write(&supernet, dir)?;
        say(&format!(
            "weights: {}; continue with latencies and searches: `cargo run --release -- --resume --out {}`",
            dir.path(supernet_file::SUPERNET).display(),
            dir.root().display()
        ));
    }
    Ok(())
}

/// Runs a phase; rank 0 records its time.
fn timed<T>(phases: &mut Option<Phases>, name: &str, phase: impl FnOnce() -> Result<T>) -> Result<T> {
    match phases {
        Some(phases) => phases.time(name, phase),
        None => phase(),
    }
}
