//! How fast are training, inference and calibration beside PyTorch, and beside what the machine can do?
//!
//! Command:  `cargo build --release --bins && target/release/bench_vs_pytorch --python venv/bin/python --compile`
//!           (packages: experiments/python/README.md)
//! Result:   the machine's ceilings; for each kind of work the median time and the memory of all sides, our share of the
//!           ceiling of arithmetic, and the ratio of times; above 1, ours is faster
//! Hardware: whatever it runs on, 2 threads each; about 15 minutes. All sides take turns in processes of their own, and the
//!           ratio is the median over rounds: on a machine that does other things too, only ratios mean something

use anyhow::{Context, Result, ensure};
use clap::Parser;
use experiments::bench::timings::{Timings, bench_workload, check_python, pytorch};
use experiments::bench::workload::{Work, Workload};
use experiments::bench::{CASES, Case, Ceilings, HEADER, Row};
use experiments::console::say;
use experiments::machine::environment;
use experiments::run::start;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Times our networks beside PyTorch.
#[derive(Parser)]
struct Options {
    /// A Python with torch, torchvision and ofa
    #[arg(long)]
    python: PathBuf,
    /// Only the lines that contain this, as `train-step` or `small`
    #[arg(long, default_value = "", hide_default_value = true)]
    only: String,
    /// Our device; it must be compiled in
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
    let cases: Vec<Case> = CASES.into_iter().filter(|case| case.to_string().contains(&options.only)).collect();
    ensure!(!cases.is_empty(), "--only: no line contains `{}`", options.only);
    check_python(&options.python)?;
    let ceilings = Ceilings::of(with_threads(&mut Ceilings::command()?, options).args(["--device", &options.device]))?;
    say(&format!(
        "{} on {} threads beside PyTorch (eager contiguous | eager channels last | torch.compile), {} rounds of {}{}, {}\n\n\
         Ceilings of these threads: {ceilings}\n",
        options.device,
        options.threads,
        options.rounds,
        options.samples,
        if options.passive { ", waiting threads sleep" } else { "" },
        environment::machine(&options.device).processor
    ));
    say(HEADER);
    for case in cases {
        let workload = case.workload(options.seed)?;
        let mut turns: [Vec<Timings>; Side::ALL.len()] = Default::default();
        for _ in 0..options.rounds {
            for (side, turns) in Side::ALL.into_iter().zip(&mut turns) {
                if side.takes_part(case.work, options) {
                    turns.push(Timings::of(&mut side_command(side, case, &workload, folder, options)?)?);
                }
            }
        }
        let [ours, theirs @ ..] = &turns;
        say(&Row { case, macs: workload.macs(), ceilings, ours, theirs }.to_string());
    }
    Ok(())
}

fn side_command(side: Side, case: Case, workload: &Workload, folder: &Path, options: &Options) -> Result<Command> {
    let (samples, threads) = (options.samples.to_string(), options.threads.to_string());
    let cost = workload.space.cost(&workload.archs[0]);
    let python = &options.python;
    let mut command = if side == Side::Ours { bench_workload(case.work)? } else { pytorch(python, case.work) };
    match side {
        Side::Ours => command.args(["--device", &options.device]),
        // PyTorch checks that its network is ours.
        _ => command.args(["--threads", &threads, "--cost", &cost.parameters.to_string(), &cost.macs.to_string()]),
    };
    command.args(match side {
        Side::Ours | Side::Eager => None,
        Side::ChannelsLast => Some("--channels-last"),
        Side::Compiled => Some("--compile"),
    });
    command.args(["--space", case.space, "--samples", &samples]);
    command.args(["--resolution", &case.resolution.to_string(), "--batch", &case.batch.to_string()]);
    for (number, arch) in workload.archs.iter().enumerate().take(case.subnets) {
        let path = folder.join(format!("{number}.json"));
        std::fs::write(&path, serde_json::to_string(&arch.to_original(&workload.space))?)?;
        command.arg("--arch").arg(path);
    }
    if options.passive {
        command.env("OMP_WAIT_POLICY", "passive");
    }
    with_threads(&mut command, options);
    Ok(command)
}

fn with_threads<'a>(command: &'a mut Command, options: &Options) -> &'a mut Command {
    let threads = options.threads.to_string();
    command.env("RAYON_NUM_THREADS", &threads).env("OMP_NUM_THREADS", &threads)
}
