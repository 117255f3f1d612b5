//! Question: what does the supernet learn, when several machines, or one, train it?
//!
//! Command:  `cargo build --release --bin train_supernet --features mpi`, then `mpirun --bind-to none -np 4
//!           target/release/train_supernet --out runs/mine`, or `srun` (README, "Several machines"); alone as any binary
//! Result:   a run directory with `metrics.csv`, `watched.csv`, the accuracy table and the weights in `supernet`, which
//!           `export_subnet` reads; `cargo run --release -- --resume --out runs/mine` goes on with latencies and searches
//! Hardware: one device a rank; the default preset takes 20 minutes on two cores, the rest is division
//! Source:   arXiv:1908.09791, section 3.3; the original trains the same way, over Horovod

use anyhow::Result;
use burn::module::Module;
use clap::Parser;
use experiments::config::ExperimentConfig;
use experiments::dashboard::{Dashboard, say};
use experiments::images::Images;
use experiments::ranks::{self, Quiet};
use experiments::records::{self, Phases};
use experiments::run_dir::RunDir;
use experiments::start::{self, Options};
use experiments::threads::compute_on_this_thread;
use experiments::{device, environment, tables};
use ofa_model::{Supernet, SupernetConfig};
use ofa_train::{CheckpointDir, Ranks, ShrinkObserver, ShrinkRun, ShrinkSchedule, UniformSampler, shrink};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Trains a once-for-all network, alone or with other processes that mpirun or srun started
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let Arguments { options } = Arguments::parse();
    let ranks = match compute_on_this_thread().and_then(|()| ranks::join()) {
        Ok(ranks) => ranks,
        Err(error) => return start::exit_code(Err(error)),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let result =
        start::on_interrupt(stop.clone()).and_then(|()| ranks::open(&options, &*ranks)).and_then(|(config, dir)| {
            run(&config, &dir, &*ranks, &stop).map_err(|error| start::with_next_step(error, &dir))
        });
    ranks::leave(ranks, result)
}

fn run(config: &ExperimentConfig, dir: &RunDir, ranks: &dyn Ranks, stop: &Arc<AtomicBool>) -> Result<()> {
    let images = Images::load(config)?;
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
    let mut phases = ranks.is_first().then(|| Phases::resumed(dir)).transpose()?;

    let supernet = timed(&mut phases, "training", || train(config, images, dir, ranks, stop))?;
    let mut validation = images.validation(config, device);
    let source = records::source(&supernet, images);
    timed(&mut phases, "accuracy table", || {
        tables::accuracy(config, &supernet, &mut validation, source, dir, stop, ranks)
    })?;
    // A run that is resumed after its end has the same weights there already.
    let saved = dir.path("supernet");
    if ranks.is_first() {
        if !Supernet::is_saved_in(&saved) {
            supernet.save(&saved)?;
        }
        say(&format!(
            "weights: {}; for latencies and searches: `--resume --out {}`",
            saved.display(),
            dir.root().display()
        ));
    }
    Ok(())
}

fn train(
    config: &ExperimentConfig,
    images: &Images,
    dir: &RunDir,
    ranks: &dyn Ranks,
    stop: &Arc<AtomicBool>,
) -> Result<Supernet> {
    let (space, device) = (&config.space, &device::by_name(&config.device)?);
    let supernet = SupernetConfig::new(space.clone())?.with_seed(config.seed).init(&device.clone().autodiff());
    let schedule = ShrinkSchedule::progressive_shrinking(space, &config.training.shrink);
    let run = ShrinkRun {
        schedule: &schedule,
        recipe: &config.training.recipe,
        sampler: &UniformSampler { seed: config.seed },
        loader: &images.train_loader(config, ranks)?,
        seed: config.seed,
        watched: &records::watched_archs(space, config.seed),
        checkpoints: Some(&CheckpointDir::new(dir.path("checkpoints"), config.training.keep_checkpoints)),
        device,
        ranks,
    };
    let mut observer: Box<dyn ShrinkObserver> = match (ranks.is_first(), ranks::launched()) {
        (true, None) => Box::new(Dashboard::new(&schedule, stop.clone(), records::keeper(dir))),
        (true, Some(_)) => Box::new(Dashboard::in_lines(&schedule, stop.clone(), records::keeper(dir))),
        (false, _) => Box::new(Quiet(stop.clone())),
    };
    let mut validation = images.validation(config, device);
    Ok(shrink(supernet, &run, &mut validation, &mut *observer)?.supernet.valid())
}

/// Runs a phase, whose time rank 0 writes down.
fn timed<T>(phases: &mut Option<Phases>, name: &str, phase: impl FnOnce() -> Result<T>) -> Result<T> {
    match phases {
        Some(phases) => phases.time(name, phase),
        None => phase(),
    }
}
