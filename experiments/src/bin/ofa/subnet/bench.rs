//! Times one subnet: extraction from its supernet, and inference by batch size.
//!
//! Command:  `ofa subnet bench --space mobilenet_v3 --batch 1 --batch 16`, `ofa subnet bench --arch SUBNET`
//! Result:   median and interquartile range of the latency, images per second, memory; `--json` for scripts
//! Hardware: any; threads by `RAYON_NUM_THREADS`, by default one per core

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use clap::Args;
use experiments::console::say;
use experiments::machine::latency_device::LatencyDevice;
use experiments::machine::{device, environment};
use experiments::options::arch::{read_arch, space_of};
use experiments::options::latency_device::LatencyOptions;
use experiments::options::space::OptionalSpace;
use ofa_model::{Arch, Supernet, SupernetConfig};
use ofa_search::timing::{Latency, LatencyConfig, time_interleaved};
use serde::Serialize;
use std::time::Instant;

/// Times one subnet: extraction from its supernet, and inference by batch size.
#[derive(Args)]
#[command(after_help = "Example: ofa subnet bench --space mobilenet_v3 --batch 1 --batch 16")]
pub struct Options {
    #[command(flatten)]
    space: OptionalSpace,
    /// Subnet: text form, .json file or directory of a subnet [default: the largest]
    #[arg(long)]
    arch: Option<String>,
    /// Batch size; may be repeated [default: 1]
    #[arg(long)]
    batch: Vec<usize>,
    /// Maximum forward passes per batch size
    #[arg(long, default_value_t = 100)]
    samples: usize,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// Device, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
    #[command(flatten)]
    latency: LatencyOptions,
}

/// The measurements and the machine.
#[derive(Serialize)]
struct Benchmark {
    arch: String,
    device: String,
    threads: usize,
    processor: String,
    /// Median time to extract the subnet from its supernet.
    extraction_ms: f64,
    inference: Vec<Inference>,
    /// Peak resident memory of the process, including the supernet.
    peak_memory_mib: Option<f64>,
}

#[derive(Serialize)]
struct Inference {
    batch: usize,
    latency: Latency,
    images_per_second: f64,
}

pub fn run(options: &Options) -> Result<()> {
    ensure!(options.samples > 0, "--samples must be positive");
    ensure!(!options.batch.contains(&0), "--batch must be positive");
    let (timed, device) = (options.latency.open(&options.device)?, device::by_name(&options.device)?);
    let space = match options.space.named()? {
        Some(space) => space,
        None => {
            let named = options.arch.as_deref().map(space_of).transpose()?.flatten();
            named.context("the search space is missing: give --space, or the directory of a subnet as --arch")?
        }
    };
    let arch = match &options.arch {
        Some(arch) => read_arch(arch, &space, None)?,
        None => space.largest(),
    };
    let supernet = SupernetConfig::new(space.with_resolution(arch.resolution))?.init(&device);
    let batches = if options.batch.is_empty() { &[1][..] } else { &options.batch };
    let machine = environment::machine(&options.device);
    let benchmark = Benchmark {
        arch: arch.to_string(),
        device: timed.name(),
        threads: timed.threads(),
        processor: machine.processor,
        extraction_ms: extraction_ms(&supernet, &arch, &device)?,
        inference: inference(&supernet, &arch, batches, options.samples, &timed)?,
        peak_memory_mib: environment::peak_memory_mib(),
    };
    if options.json {
        say(&serde_json::to_string(&benchmark)?);
    } else {
        print(&benchmark);
    }
    Ok(())
}

fn extraction_ms(supernet: &Supernet, arch: &Arch, device: &Device) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        let subnet = supernet.subnet(arch);
        device.sync()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        drop(subnet);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn inference(
    supernet: &Supernet,
    arch: &Arch,
    batches: &[usize],
    samples: usize,
    device: &LatencyDevice,
) -> Result<Vec<Inference>> {
    let config = LatencyConfig { max_samples: samples, min_samples: samples.min(20), ..LatencyConfig::default() };
    let run = |&batch| device.run(supernet, arch, batch);
    let mut runs = batches.iter().map(run).collect::<Result<Vec<_>, _>>()?;
    let timings = time_interleaved(&config, &mut runs, None)?;
    let latencies: Vec<Latency> = timings.iter().map(|timing| timing.measured).collect();
    let measured = latencies.into_iter().zip(batches).map(|(latency, &batch)| Inference {
        batch,
        latency,
        images_per_second: batch as f64 / latency.median_ms * 1e3,
    });
    Ok(measured.collect())
}

fn print(benchmark: &Benchmark) {
    let Benchmark { arch, device, threads, processor, extraction_ms, inference, peak_memory_mib } = benchmark;
    say(&format!("{arch}\n{device}, {threads} threads, {processor}\nextraction {extraction_ms:.2} ms"));
    for Inference { batch, latency, images_per_second } in inference {
        let Latency { median_ms, iqr_ms, samples } = latency;
        say(&format!(
            "batch {batch}: median {median_ms:.3} ms, interquartile range {iqr_ms:.3} ms ({samples} passes), \
             {images_per_second:.1} images/s"
        ));
    }
    if let Some(mib) = peak_memory_mib {
        say(&format!("peak memory {mib:.0} MiB"));
    }
}
