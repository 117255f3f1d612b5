//! Times training, shrinking, inference and calibration of MobileNetV3 (width 1) beside PyTorch and the original's code.
//!
//! Command:  `cargo build --release --bins && target/release/bench_vs_pytorch --python venv/bin/python`
//!           (packages: experiments/python/README.md)
//! Result:   for each kind of work the median time and the memory of both sides, and the ratio of times; above 1, ours is
//!           faster
//! Hardware: whatever it runs on, 2 threads each; about 10 minutes. All sides take turns in processes of their own, and the
//!           ratio is the median over rounds: on a machine that does other things too, only ratios mean something

use anyhow::{Context, Result, ensure};
use clap::Parser;
use experiments::dashboard::say;
use experiments::timings::{Timings, bench_workload, check_python, pytorch};
use experiments::workload::Work;
use experiments::{environment, start};
use ofa_model::SearchSpace;
use ofa_search::median;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Kind of work, random subnets (else the largest network), side of the images, images of a batch.
const CASES: [(Work, usize, usize, usize); 6] = [
    (Work::TrainStep, 0, 128, 16),
    (Work::ShrinkStep, 2, 128, 16),
    (Work::ShrinkStep, 2, 32, 64),
    (Work::Inference, 0, 224, 1),
    (Work::Inference, 0, 224, 16),
    (Work::CalibrateEvaluate, 1, 128, 16),
];

/// Times MobileNetV3 beside PyTorch.
#[derive(Parser)]
struct Options {
    /// A Python with torch, torchvision and ofa
    #[arg(long)]
    python: PathBuf,
    /// Only this kind of work
    #[arg(long)]
    only: Option<Work>,
    /// Our device, as far as compiled in
    #[arg(long, default_value = "flex")]
    device: String,
    /// Also torch.compile (needs a C++ compiler and the headers of Python), for the work that keeps its network
    #[arg(long)]
    compile: bool,
    /// Let threads of PyTorch sleep while they wait: fairer on a machine that does other things too, slower on an idle one
    #[arg(long)]
    passive: bool,
    /// Turns that each side takes
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Repetitions a turn, after 2 that are not counted
    #[arg(long, default_value_t = 5)]
    samples: usize,
    /// Threads of each side
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Seed of the random subnets
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What takes turns.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Ours,
    /// PyTorch eager, contiguous images.
    Eager,
    /// PyTorch eager, channels last.
    ChannelsLast,
    /// `torch.compile`.
    Compiled,
}

impl Side {
    const ALL: [Self; 4] = [Self::Ours, Self::Eager, Self::ChannelsLast, Self::Compiled];

    /// Compiling pays where one network runs again and again; the others change it from step to step.
    fn takes_part(self, work: Work, options: &Options) -> bool {
        self != Self::Compiled || (options.compile && matches!(work, Work::TrainStep | Work::Inference))
    }
}

fn main() -> ExitCode {
    start::exit_code(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0 && options.samples > 0, "--rounds and --samples must be positive");
    let folder = std::env::temp_dir().join(format!("bench_vs_pytorch-{}", std::process::id()));
    std::fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let result = compare(options, &folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn compare(options: &Options, folder: &Path) -> Result<()> {
    check_python(&options.python)?;
    let archs = subnets(options.seed, folder)?;
    say(&format!(
        "`mobilenet_v3` 1.0, {} on {} threads beside PyTorch (eager contiguous | eager channels last | torch.compile), {} rounds of {}{}, {}\n",
        options.device,
        options.threads,
        options.rounds,
        options.samples,
        if options.passive { ", waiting threads sleep" } else { "" },
        environment::machine(&options.device).processor
    ));
    say("| work | px | batch | ours, ms | PyTorch, ms | PyTorch / ours | ours, MiB | PyTorch, MiB |");
    say("|---|---|---|---|---|---|---|---|");
    for (work, subnets, resolution, batch) in CASES {
        if options.only.is_some_and(|only| only != work) {
            continue;
        }
        let mut turns: [Vec<Timings>; Side::ALL.len()] = Default::default();
        for _ in 0..options.rounds {
            for (side, turns) in
                Side::ALL.into_iter().zip(&mut turns).filter(|(side, _)| side.takes_part(work, options))
            {
                let mut command = side_command(side, work, options)?;
                command.args(["--resolution", &resolution.to_string(), "--batch", &batch.to_string()]);
                command.args(["--samples", &options.samples.to_string()]);
                for arch in &archs[..subnets] {
                    command.arg("--arch").arg(arch);
                }
                turns.push(Timings::of(&mut command)?);
            }
        }
        say(&row(work, resolution, batch, &turns));
    }
    Ok(())
}

/// Random subnets as dictionaries of the original.
fn subnets(seed: u64, folder: &Path) -> Result<[PathBuf; 2]> {
    let space = SearchSpace::mobilenet_v3(1.0, 1000);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let paths = ["first.json", "second.json"].map(|name| folder.join(name));
    for path in &paths {
        std::fs::write(path, serde_json::to_string(&space.sample(&mut rng).to_original(&space))?)?;
    }
    Ok(paths)
}

fn side_command(side: Side, work: Work, options: &Options) -> Result<Command> {
    let threads = options.threads.to_string();
    let mut command = match side {
        Side::Ours => bench_workload(work)?,
        _ => pytorch(&options.python, work),
    };
    match side {
        Side::Ours => command.args(["--space", "mobilenet_v3", "--device", &options.device]),
        Side::Eager => command.args(["--threads", &threads]),
        Side::ChannelsLast => command.args(["--threads", &threads, "--channels-last"]),
        Side::Compiled => command.args(["--threads", &threads, "--compile"]),
    };
    command.env("RAYON_NUM_THREADS", &threads).env("OMP_NUM_THREADS", &threads);
    if options.passive {
        command.env("OMP_WAIT_POLICY", "passive");
    }
    Ok(command)
}

/// A line of the table; a side that did not take part has a dash.
fn row(work: Work, resolution: usize, batch: usize, [ours, theirs @ ..]: &[Vec<Timings>; Side::ALL.len()]) -> String {
    let time = |timings: &Timings| median(timings.samples_ms.iter().copied());
    let memory = |timings: &Timings| timings.peak_memory_mib.unwrap_or(f64::NAN);
    let text = |turns: &[Timings], of: &dyn Fn(&Timings) -> f64, digits: usize| match turns {
        [] => "-".to_owned(),
        _ => format!("{:.digits$}", median(turns.iter().map(of))),
    };
    // Ratios of every round, so that what slows a round slows both sides.
    let ratio = |theirs: &[Timings]| match theirs {
        [] => "-".to_owned(),
        _ => format!("{:.2}", median(theirs.iter().zip(ours).map(|(theirs, ours)| time(theirs) / time(ours)))),
    };
    let each =
        |text: &dyn Fn(&[Timings]) -> String| theirs.iter().map(|turns| text(turns)).collect::<Vec<_>>().join(" \\| ");
    format!(
        "| {work} | {resolution} | {batch} | {} | {} | {} | {} | {} |",
        text(ours, &time, 1),
        each(&|turns| text(turns, &time, 1)),
        each(&ratio),
        text(ours, &memory, 0),
        each(&|turns| text(turns, &memory, 0)),
    )
}
