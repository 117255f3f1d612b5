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

/// Ours, and PyTorch with contiguous images or channels last.
const SIDES: usize = 3;

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
        "`mobilenet_v3` 1.0, {} on {} threads beside PyTorch eager (contiguous | channels last), {} rounds of {}, {}\n",
        options.device,
        options.threads,
        options.rounds,
        options.samples,
        environment::machine(&options.device).processor
    ));
    say("| work | px | batch | ours, ms | PyTorch, ms | PyTorch / ours | ours, MiB | PyTorch, MiB |");
    say("|---|---|---|---|---|---|---|---|");
    for (work, subnets, resolution, batch) in CASES {
        if options.only.is_some_and(|only| only != work) {
            continue;
        }
        let mut turns: [Vec<Timings>; SIDES] = Default::default();
        for _ in 0..options.rounds {
            for (side, turns) in turns.iter_mut().enumerate() {
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

fn side_command(side: usize, work: Work, options: &Options) -> Result<Command> {
    let threads = options.threads.to_string();
    let mut command = match side {
        0 => bench_workload(work)?,
        _ => pytorch(&options.python, work),
    };
    match side {
        0 => command.args(["--space", "mobilenet_v3", "--device", &options.device]),
        1 => command.args(["--threads", &threads]),
        _ => command.args(["--threads", &threads, "--channels-last"]),
    };
    // Where a machine does other things too, threads of PyTorch that spin while they wait are those that hold it up.
    command.env("RAYON_NUM_THREADS", &threads).env("OMP_NUM_THREADS", &threads).env("OMP_WAIT_POLICY", "passive");
    Ok(command)
}

fn row(work: Work, resolution: usize, batch: usize, turns: &[Vec<Timings>; SIDES]) -> String {
    let time = |timings: &Timings| median(timings.samples_ms.iter().copied());
    let memory = |timings: &Timings| timings.peak_memory_mib.unwrap_or(f64::NAN);
    let [ours, eager, last] = turns;
    let text = |turns: &[Timings], of: &dyn Fn(&Timings) -> f64, digits: usize| {
        format!("{:.digits$}", median(turns.iter().map(of)))
    };
    // Ratios of every round, so that what slows a round slows both sides.
    let ratio = |theirs: &[Timings]| median(theirs.iter().zip(ours).map(|(theirs, ours)| time(theirs) / time(ours)));
    format!(
        "| {work} | {resolution} | {batch} | {} | {} \\| {} | {:.2} \\| {:.2} | {} | {} \\| {} |",
        text(ours, &time, 1),
        text(eager, &time, 1),
        text(last, &time, 1),
        ratio(eager),
        ratio(last),
        text(ours, &memory, 0),
        text(eager, &memory, 0),
        text(last, &memory, 0),
    )
}
