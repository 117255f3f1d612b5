//! Question: how fast are training, inference and calibration compared with PyTorch and with the peak of the machine?
//!
//! Command:  `ofa bench pytorch --python venv/bin/python --compile` (packages: experiments/python/README.md)
//! Result:   the peak rates of the machine; for each workload the median time and the memory of all sides, our share of
//!           peak arithmetic, and the ratio of times (above 1: ours is faster)
//! Hardware: any; 2 threads per side; about 15 minutes. All sides run in turn in separate processes, and the ratio is
//!           the median over rounds: on a busy machine, only the ratios are meaningful

use super::in_a_process;
use anyhow::{Context, Result, ensure};
use clap::Args;
use experiments::bench::timings::Timings;
use experiments::bench::workload::{Work, Workload};
use experiments::bench::{CASES, Case, Ceilings, HEADER, Row};
use experiments::console::say;
use experiments::machine::environment;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compares the speed of our networks with PyTorch.
#[derive(Args)]
#[command(after_help = "Example: ofa bench pytorch --python venv/bin/python --compile")]
pub struct Options {
    /// Python interpreter with torch, torchvision and ofa
    #[arg(long)]
    python: PathBuf,
    /// Runs only the rows whose name contains this text, such as `train-step` or `small`
    #[arg(long, default_value = "", hide_default_value = true)]
    only: String,
    /// Our device, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
    /// Also times torch.compile (needs a C++ compiler and Python's headers), for workloads on a fixed network
    #[arg(long)]
    compile: bool,
    /// Lets waiting PyTorch threads sleep instead of spin: fairer on a busy machine, slower on an idle one
    #[arg(long)]
    passive: bool,
    /// Rounds; each side runs once per round
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Timed repetitions per round, after 2 untimed ones
    #[arg(long, default_value_t = 5)]
    samples: usize,
    /// Threads per side
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Seed of the random subnets
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The implementations under comparison.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Ours,
    /// PyTorch eager, contiguous memory format.
    Eager,
    /// PyTorch eager, channels-last memory format.
    ChannelsLast,
    /// `torch.compile`.
    Compiled,
}

impl Side {
    const ALL: [Self; 4] = [Self::Ours, Self::Eager, Self::ChannelsLast, Self::Compiled];

    /// Compilation makes sense only for a fixed network; the other workloads change it from step to step.
    fn takes_part(self, work: Work, options: &Options) -> bool {
        self != Self::Compiled || (options.compile && matches!(work, Work::TrainStep | Work::Inference))
    }
}

pub fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0 && options.samples > 0, "--rounds and --samples must be positive");
    let folder = std::env::temp_dir().join(format!("bench_vs_pytorch-{}", std::process::id()));
    std::fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let result = compare(options, &folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn compare(options: &Options, folder: &Path) -> Result<()> {
    let cases: Vec<Case> = CASES.into_iter().filter(|case| case.to_string().contains(&options.only)).collect();
    ensure!(!cases.is_empty(), "--only: no row contains `{}`", options.only);
    check_python(&options.python)?;
    let ceilings =
        Ceilings::of(with_threads(&mut in_a_process("ceilings")?, options).args(["--device", &options.device]))?;
    say(&format!(
        "{} on {} threads against PyTorch (eager contiguous | eager channels last | torch.compile), {} rounds of {}{}, \
         {}\n\nPeak rates with these threads: {ceilings}\n",
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
    let mut command = if side == Side::Ours { in_a_process("workload")? } else { pytorch(python) };
    command.arg(case.work.to_string());
    match side {
        Side::Ours => command.args(["--device", &options.device]),
        // The script checks by the cost that its network equals ours.
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

/// A command that times a workload with `experiments/python/benchmark_workloads.py`.
pub(super) fn pytorch(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python/benchmark_workloads.py"));
    command
}

/// Checks that a Python interpreter has the packages that [`pytorch`] needs.
pub(super) fn check_python(python: &Path) -> Result<()> {
    let imports = Command::new(python).args(["-c", "import torch, ofa"]).output();
    let imports = imports.with_context(|| format!("cannot run {}", python.display()))?;
    let message = String::from_utf8_lossy(&imports.stderr);
    let exception = message.lines().last().unwrap_or_default();
    ensure!(imports.status.success(), "{} cannot import torch and ofa: {exception}", python.display());
    Ok(())
}
