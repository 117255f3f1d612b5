//! Compares the compiled-in backends: parity with flex, time of a training step and of inference, and memory.
//!
//! Command:  `cargo run --release --features tch --bin ofa -- bench backends`
//! Result:   a Markdown table, as in README.md
//! Hardware: any; backends run in turn, so a disturbance of the machine affects all of them; minutes

use super::in_a_process;
use anyhow::{Result, ensure};
use burn::tensor::Device;
use clap::Args;
use experiments::bench::parity::Parity;
use experiments::bench::timings::{Timings, iqr};
use experiments::bench::workload::Work;
use experiments::console::say;
use experiments::machine::{device, environment};
use ofa_model::SearchSpace;
use ofa_search::statistics::median;

/// Compares the compiled-in backends.
#[derive(Args)]
#[command(after_help = "Example: ofa bench backends --rounds 5")]
pub struct Options {
    /// Device to compare; may be repeated [default: all that are compiled in and present]
    #[arg(long)]
    device: Vec<String>,
    /// Height and width of the images in pixels
    #[arg(long, default_value_t = 28)]
    resolution: usize,
    /// Batch size of the training step
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Rounds; each backend runs once per round
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Timed repetitions per round
    #[arg(long, default_value_t = 10)]
    samples: usize,
}

/// Measurements of one backend over all rounds: times in milliseconds, and peak memory.
#[derive(Default)]
struct Times {
    train_step: Vec<f64>,
    inference: Vec<f64>,
    memory_mib: f64,
}

pub fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0 && options.samples > 0, "--rounds and --samples must be positive");
    let devices = devices(options)?;
    let mut times: Vec<Times> = devices.iter().map(|_| Times::default()).collect();
    for _ in 0..options.rounds {
        for ((name, _), times) in devices.iter().zip(&mut times) {
            let steps = turn(Work::TrainStep, options.batch, name, options)?;
            times.memory_mib = times.memory_mib.max(steps.peak_memory_mib.unwrap_or(f64::NAN));
            times.train_step.extend(steps.samples_ms);
            times.inference.extend(turn(Work::Inference, 1, name, options)?.samples_ms);
        }
    }
    let machine = environment::machine("");
    say(&format!(
        "Largest network of `small_mobilenet_v3`, {} px; training step of {} images, inference of 1; median (interquartile \
         range); {} threads, {}\n",
        options.resolution, options.batch, machine.threads, machine.processor
    ));
    say(
        "| device | parity: training | inference | step | calibrated | training step, ms | inference, ms | memory, MiB |",
    );
    say("|---|---|---|---|---|---|---|---|");
    let space = SearchSpace { resolutions: vec![20], ..SearchSpace::small_mobilenet_v3(3, 10) };
    for ((name, device), times) in devices.iter().zip(&times) {
        let Parity { training, inference, step, calibrated } = Parity::measure(&space, device, &Device::flex());
        let text = |times: &[f64]| format!("{:.1} ({:.1})", median(times.iter().copied()), iqr(times));
        say(&format!(
            "| `{name}` | {training:.0e} | {inference:.0e} | {step:.0e} | {calibrated:.0e} | {} | {} | {:.0} |",
            text(&times.train_step),
            text(&times.inference),
            times.memory_mib
        ));
    }
    Ok(())
}

/// The devices given by `--device`, else all that are present.
fn devices(options: &Options) -> Result<Vec<(String, Device)>> {
    if !options.device.is_empty() {
        return options.device.iter().map(|name| Ok((name.clone(), device::by_name(name)?))).collect();
    }
    let mut devices = Vec::new();
    for name in device::available() {
        match device::by_name(name) {
            Ok(device) => devices.push((name.to_owned(), device)),
            Err(error) => say(&format!("skipped: {error:#}")),
        }
    }
    Ok(devices)
}

fn turn(work: Work, batch: usize, device: &str, options: &Options) -> Result<Timings> {
    let mut command = in_a_process("workload")?;
    command.arg(work.to_string()).args(["--space", "small_mobilenet_v3", "--device", device]);
    command.args(["--resolution", &options.resolution.to_string(), "--batch", &batch.to_string()]);
    Timings::of(command.args(["--samples", &options.samples.to_string()]))
}
