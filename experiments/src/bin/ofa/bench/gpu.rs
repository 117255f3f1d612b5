//! Question: how fast are training, inference and calibration on this GPU, what does tuning cost, is the GPU busy, and
//!           does the loader keep up with it?
//!
//! Command:  `ofa bench gpu --device cuda --out gpu`; `--python venv/bin/python` times PyTorch on the same GPU
//!           (packages: experiments/python/README.md)
//! Result:   `DIR/report.md`, which is also printed, and a run at smoke scale in `DIR/smoke`
//! Hardware: one GPU with a compiled-in backend, a few minutes; `nvidia-smi` for its use. Any other device with smaller
//!           `--space`, `--resolution` and `--batch`

use super::{in_a_process, pytorch};
use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use clap::Args;
use experiments::bench::parity::Parity;
use experiments::bench::timings::{Timings, iqr};
use experiments::bench::workload::{Work, Workload};
use experiments::console::say;
use experiments::machine::{device, environment};
use experiments::options::arch::with_resolution;
use experiments::options::space::SpaceOptions;
use experiments::run::run_dir::{ensure_new, make_dir, write_whole};
use jpeg_encoder::{ColorType, Encoder};
use ofa_data::{
    AugmentConfig, ImageProblem, ImageSet, ImageSource, Loader, LoaderConfig, Normalisation, StoredImage, View,
};
#[cfg(feature = "gpu")]
use ofa_model::Arch;
use ofa_model::SearchSpace;
use ofa_search::statistics::median;
use ofa_train::Precision;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Measures training and inference on a GPU, and writes a report.
#[derive(Args)]
#[command(after_help = "Example: ofa bench gpu --device cuda --out gpu")]
pub struct Options {
    /// Device, if compiled in
    #[arg(long, default_value = "cuda")]
    device: String,
    /// New directory for the report
    #[arg(long)]
    out: PathBuf,
    /// Search space, by name
    #[arg(long, default_value = "mobilenet_v3")]
    space: String,
    /// Height and width of the images in pixels
    #[arg(long, default_value_t = 128)]
    resolution: usize,
    /// Images of a training step; may be repeated [default: 64 and 256]
    #[arg(long)]
    batch: Vec<usize>,
    /// Timed repetitions of each workload, after the first, which compiles and tunes kernels
    #[arg(long, default_value_t = 10)]
    samples: usize,
    /// Shrinking steps with new archs, two a step, which show what tuning costs
    #[arg(long, default_value_t = 6)]
    new_archs: usize,
    /// Python interpreter with torch, torchvision and ofa, to time PyTorch on the same GPU
    #[arg(long)]
    python: Option<PathBuf>,
    /// Leaves out the run at smoke scale
    #[arg(long)]
    no_run: bool,
}

pub fn run(options: &Options) -> Result<()> {
    ensure!(options.samples > 0 && options.resolution > 0, "--samples and --resolution must be positive");
    ensure!(options.batch.iter().all(|batch| *batch > 0), "--batch must be positive");
    ensure_new(&options.out)?;
    let device = device::by_name(&options.device)?;
    let space = SpaceOptions::named(&options.space).space(None)?;
    let python = options.python.as_ref().map(|python| pytorch::check_python(python).map(|()| python)).transpose()?;
    make_dir(&options.out)?;
    let mut report = Report { path: options.out.join("report.md"), text: String::new() };
    report.add(&header(options, &device))?;
    report.add(&parity(&device))?;
    workloads(options, &device, python, &mut report)?;
    report.add(&new_archs(options, &space, &device)?)?;
    report.add(&launches(options, &space, &device)?)?;
    report.add(&loader(options)?)?;
    if !options.no_run {
        report.add(&smoke(options)?)?;
    }
    say(&format!("\nwritten to {}", report.path.display()));
    Ok(())
}

/// Printed and written as it grows: what was measured before a failure is kept.
struct Report {
    path: PathBuf,
    text: String,
}

impl Report {
    fn add(&mut self, text: &str) -> Result<()> {
        say(text);
        self.text.push_str(text);
        self.text.push('\n');
        write_whole(&self.path, self.text.as_bytes())
    }
}

fn header(options: &Options, device: &Device) -> String {
    let machine = environment::machine(&options.device);
    let gpu = smi(options, "name,driver_version,memory.total").unwrap_or_else(|| format!("{device:?}"));
    format!(
        "# {} on `{}`\n\n{gpu}; {} threads of {}; {}; revision {}; {}\n",
        options.space,
        options.device,
        machine.threads,
        machine.processor,
        machine.versions,
        machine.revision,
        machine.started
    )
}

fn parity(device: &Device) -> String {
    if cfg!(not(feature = "flex")) {
        return "Parity: not measured, `flex` is not compiled in\n".into();
    }
    let space = SearchSpace { resolutions: vec![20], ..SearchSpace::small_mobilenet_v3(3, 10) };
    let Parity { training, inference, step, calibrated } = Parity::measure(&space, device, &reference());
    format!(
        "Largest relative difference from flex (small networks, f32): training pass {training:.0e}, inference \
         {inference:.0e}, shrinking step {step:.0e}, calibrated {calibrated:.0e}\n"
    )
}

fn reference() -> Device {
    device::by_name("flex").unwrap_or_default()
}

/// A workload that runs in a process of its own.
struct Line {
    work: Work,
    batch: usize,
    precision: Precision,
}

fn workloads(options: &Options, device: &Device, python: Option<&PathBuf>, report: &mut Report) -> Result<()> {
    let batches = if options.batch.is_empty() { vec![64, 256] } else { options.batch.clone() };
    let of = |work, batch, precision| Line { work, batch, precision };
    let has_bf16 = Precision::Bf16.check(device).is_ok();
    let mut lines = Vec::new();
    for &batch in &batches {
        lines.push(of(Work::TrainStep, batch, Precision::F32));
        if has_bf16 {
            lines.push(of(Work::TrainStep, batch, Precision::Bf16));
        }
    }
    let first = batches[0];
    lines.push(of(Work::ShrinkStep, first, Precision::F32));
    lines.push(of(Work::Inference, 1, Precision::F32));
    lines.push(of(Work::Inference, first, Precision::F32));
    lines.push(of(Work::CalibrateEvaluate, first, Precision::F32));
    report.add(&format!(
        "Largest network at {} px; medians of {} after the first, which compiles and tunes; each in a process of its own\n",
        options.resolution, options.samples
    ))?;
    report.add(
        "| workload | batch | format | ms (interquartile range) | images/s | first, s | GPU busy, % | GPU memory, MiB | \
         PyTorch, ms |\n|---|---|---|---|---|---|---|---|---|",
    )?;
    for line in &lines {
        report.add(&row(line, options, python)?)?;
    }
    report.add(if has_bf16 { "" } else { "\nThe device has no bf16.\n" })
}

fn row(line: &Line, options: &Options, python: Option<&PathBuf>) -> Result<String> {
    let Line { work, batch, precision } = *line;
    let shared = |command: &mut Command, samples: usize| {
        command.arg(work.to_string()).args(["--space", &options.space]);
        command.args(["--resolution", &options.resolution.to_string(), "--batch", &batch.to_string()]);
        command.args(["--samples", &samples.to_string()]);
    };
    let mut ours = in_a_process("workload")?;
    shared(&mut ours, options.samples + 1);
    ours.args(["--warm-ups", "0", "--device", &options.device]);
    let bf16 = precision == Precision::Bf16;
    if bf16 {
        ours.arg("--bf16");
    }
    let watch = Watch::start(options);
    let timings = Timings::of(&mut ours);
    let used = watch.and_then(Watch::stop);
    let theirs = python.map(|python| {
        let mut command = pytorch::pytorch(python);
        shared(&mut command, options.samples);
        command.args(["--device", &format!("cuda:{}", number(options))]).args(bf16.then_some("--bf16"));
        Timings::of(&mut command)
    });
    let format = if bf16 { "bf16" } else { "f32" };
    let cell = |used: Option<f64>| used.map_or("-".into(), |number| format!("{number:.0}"));
    let theirs = match &theirs {
        Some(Ok(timings)) => format!("{:.1}", median(timings.samples_ms.iter().copied())),
        Some(Err(error)) => short(error),
        None => "-".into(),
    };
    let (busy, memory) = used.unzip();
    // A workload that does not fit, or a format that the device lacks, leaves the others as they are.
    let ours = match &timings {
        Ok(timings) => {
            let [first, others @ ..] = &timings.samples_ms[..] else { anyhow::bail!("{work} timed nothing") };
            let typical = median(others.iter().copied());
            let rate = batch as f64 / typical * 1e3;
            format!("{typical:.1} ({:.1}) | {rate:.0} | {:.1}", iqr(others), first / 1e3)
        }
        Err(error) => format!("{} | - | -", short(error)),
    };
    Ok(format!("| {work} | {batch} | {format} | {ours} | {} | {} | {theirs} |", cell(busy), cell(memory)))
}

/// The last line of an error, for a cell.
fn short(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    format!("failed: {}", line.trim().replace('|', "/"))
}

/// Shrinking steps whose archs were never seen before, and the same steps again.
fn new_archs(options: &Options, space: &SearchSpace, device: &Device) -> Result<String> {
    if options.new_archs == 0 {
        return Ok(String::new());
    }
    let batch = options.batch.first().copied().unwrap_or(64);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut new, mut known) = (Vec::new(), Vec::new());
    for _ in 0..options.new_archs {
        let archs = (0..2).map(|_| space.sample(&mut rng).at_resolution(options.resolution)).collect();
        let space = with_resolution(space, Some(options.resolution));
        let workload = Workload { work: Work::ShrinkStep, space, archs, batch, precision: Precision::F32 };
        let times = workload.time(device, 0, 2)?;
        new.push(times[0]);
        known.push(times[1]);
    }
    let mut text = format!(
        "Shrinking steps of two archs never seen before, batch {batch}, one after the other in one process (ms, and ms of \
         the same step again): "
    );
    for (new, known) in new.iter().zip(&known) {
        write!(text, "{new:.0} ({known:.0}), ")?;
    }
    let excess = median(new.iter().zip(&known).map(|(new, known)| new - known));
    writeln!(text, "median excess {excess:.0} ms")?;
    Ok(text)
}

/// Kernels that a step launches.
#[cfg(feature = "gpu")]
fn launches(options: &Options, space: &SearchSpace, device: &Device) -> Result<String> {
    let (batch, precision) = (options.batch.first().copied().unwrap_or(64), Precision::F32);
    let of = |work, archs: Vec<Arch>| {
        let archs = archs.into_iter().map(|arch| arch.at_resolution(options.resolution)).collect();
        let space = with_resolution(space, Some(options.resolution));
        Workload { work, space, archs, batch, precision }.launches(device, 2)
    };
    let trained = of(Work::TrainStep, vec![space.largest()])?;
    let shrunk = of(Work::ShrinkStep, vec![space.smallest(), space.largest()])?;
    Ok(format!(
        "Kernel launches of a step, batch {batch}: {} (train-step), {} (shrink-step of the smallest and the largest \
         network)\n",
        trained.total(),
        shrunk.total()
    ))
}

#[cfg(not(feature = "gpu"))]
fn launches(_: &Options, _: &SearchSpace, _: &Device) -> Result<String> {
    Ok(String::new())
}

/// Synthetic photographs as JPEG files in memory.
#[derive(Debug)]
struct Photographs(Vec<Vec<u8>>);

/// Different photographs, and how often each is shown.
const PHOTOGRAPHS: usize = 32;
const ROUNDS: usize = 8;

impl Photographs {
    /// Waves with noise, 500 x 375: about the 69 KB of a photograph of this size.
    fn new() -> Result<Self> {
        let (width, height) = (500u16, 375u16);
        let file = |seed: usize| -> Result<Vec<u8>> {
            let mut rng = ChaCha8Rng::seed_from_u64(seed as u64);
            let mut pixel = |x: u16, y: u16, channel: u16| {
                let wave = f64::from(x) / (9.0 + seed as f64) + f64::from(y) / 17.0 + f64::from(channel);
                (110.0 + 80.0 * wave.sin() + f64::from(rng.random_range(0..48u8))) as u8
            };
            let places = (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |c| (x, y, c))));
            let pixels: Vec<u8> = places.map(|(x, y, c)| pixel(x, y, c)).collect();
            let mut bytes = Vec::new();
            Encoder::new(&mut bytes, 85).encode(&pixels, width, height, ColorType::Rgb)?;
            Ok(bytes)
        };
        Ok(Self((0..PHOTOGRAPHS).map(file).collect::<Result<_>>()?))
    }
}

impl ImageSource for Photographs {
    fn len(&self) -> usize {
        PHOTOGRAPHS * ROUNDS
    }

    fn label(&self, i: usize) -> u32 {
        (i % 10) as u32
    }

    fn read(&self, i: usize) -> Result<StoredImage, ImageProblem> {
        Ok(self.0[i % PHOTOGRAPHS].clone().into())
    }

    fn identity(&self, i: usize) -> Vec<u8> {
        i.to_le_bytes().to_vec()
    }
}

/// Rate of the loader with all threads, on images in memory.
fn loader(options: &Options) -> Result<String> {
    let photographs = Photographs::new()?;
    let bytes = photographs.0.iter().map(Vec::len).sum::<usize>() / PHOTOGRAPHS;
    let set = ImageSet::from_source(photographs, 3)?;
    let (images, resolution) = (set.len(), options.resolution);
    let view = View::Train(AugmentConfig::photographs());
    let config = LoaderConfig { batch_size: 32, seed: 1, view, drop_last: true, prefetch: 4 };
    let loader = Loader::new(set, config, Normalisation::new(&[0.5; 3], &[0.25; 3]))?;
    let mut rates = Vec::new();
    for epoch in 0..3 {
        let started = Instant::now();
        // Batches are taken by the host: what the device does with them is part of the step.
        for batch in loader.epoch(epoch, 0, move |_| resolution, &reference()) {
            batch?;
        }
        rates.push(images as f64 / started.elapsed().as_secs_f64());
    }
    let threads = rayon::current_num_threads();
    Ok(format!(
        "Loader: {:.0} images/s with {threads} threads (synthetic JPEG of 500 x 375, {} KB, random crop, flip, jitter, \
         {resolution} px)\n",
        median(rates),
        bytes / 1000
    ))
}

fn smoke(options: &Options) -> Result<String> {
    let dir = options.out.join("smoke");
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["train", "--preset", "smoke", "--device", &options.device, "--out"]).arg(&dir);
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output().context("cannot start the run at smoke scale")?;
    let seconds = started.elapsed().as_secs_f64();
    if output.status.success() {
        return Ok(format!("`ofa train --preset smoke`: {seconds:.0} s, {}\n", dir.display()));
    }
    let error = String::from_utf8_lossy(&output.stderr);
    let last = error.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Ok(format!("`ofa train --preset smoke` failed after {seconds:.0} s ({}): {last}\n", output.status))
}

/// The number in the name of the device.
fn number(options: &Options) -> &str {
    options.device.split_once(':').map_or("0", |(_, number)| number)
}

/// One answer of `nvidia-smi`, where it is installed.
fn smi(options: &Options, query: &str) -> Option<String> {
    let arguments = [&format!("--query-gpu={query}"), "--format=csv,noheader", "--id", number(options)];
    let output = Command::new("nvidia-smi").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Use of the GPU, sampled by `nvidia-smi` meanwhile.
struct Watch(Child);

impl Watch {
    fn start(options: &Options) -> Option<Self> {
        let mut command = Command::new("nvidia-smi");
        command.args(["--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "-lms", "200"]);
        command.args(["--id", number(options)]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().ok().map(Self)
    }

    /// Mean percentage of time in which the GPU worked, over the second half of the time, and most memory in MiB.
    fn stop(mut self) -> Option<(f64, f64)> {
        self.0.kill().ok()?;
        let output = self.0.wait_with_output().ok()?;
        use_of(&String::from_utf8_lossy(&output.stdout))
    }
}

fn use_of(lines: &str) -> Option<(f64, f64)> {
    let numbers = |line: &str| {
        let (busy, memory) = line.split_once(',')?;
        Some((busy.trim().parse::<f64>().ok()?, memory.trim().parse::<f64>().ok()?))
    };
    let samples: Vec<(f64, f64)> = lines.lines().filter_map(numbers).collect();
    // The first half has the start of the process and the tuning.
    let late = &samples[samples.len() / 2..];
    let busy = late.iter().map(|(busy, _)| busy).sum::<f64>() / late.len() as f64;
    (!late.is_empty()).then(|| (busy, samples.iter().fold(0.0, |most: f64, (_, memory)| most.max(*memory))))
}
