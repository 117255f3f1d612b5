//! Times the input pipeline of training (decode, random crop, flip, jitter, normalise), optionally against torchvision
//! with Pillow.
//!
//! Command:  `ofa data bench DIR --python python3`
//! Result:   CPU time and wall time in milliseconds per image, on one thread and on two, with the loader and without
//!           prefetching; peak memory
//! Hardware: any; the rounds of all pipelines are interleaved, so ratios are valid even on a busy machine

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use clap::Args;
use cpu_time::ProcessTime;
use experiments::console::say;
use experiments::machine::environment;
use experiments::run::run_dir::write_whole;
use ofa_data::{AugmentConfig, ImageSet, Interpolation, Layout, Loader, LoaderConfig, Splits, View};
use ofa_search::statistics::median;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Times the input pipeline of training.
#[derive(Args)]
#[command(after_help = "Example: ofa data bench DIR --python python3")]
pub struct Options {
    /// Directory of images: any known layout of JPEG and PNG files
    dir: PathBuf,
    /// Height and width of the output images in pixels
    #[arg(long, default_value_t = 224)]
    resolution: usize,
    /// Maximum number of training images per round
    #[arg(long, default_value_t = 512)]
    images: usize,
    /// Images per batch
    #[arg(long, default_value_t = 64)]
    batch_size: usize,
    /// Rounds per pipeline; medians are reported
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Memory limit for prefetched batches, in MiB
    #[arg(long, default_value_t = 256)]
    prefetch_mib: usize,
    /// Resizes with the bicubic filter instead of the bilinear one
    #[arg(long)]
    bicubic: bool,
    /// Python interpreter with torchvision and Pillow, to time for comparison (ImageFolder only)
    #[arg(long)]
    python: Option<PathBuf>,
}

/// Milliseconds per image.
#[derive(Clone, Copy)]
struct Timing {
    processor: f64,
    wall: f64,
}

/// An input pipeline under test.
enum Pipeline {
    /// Batches are prepared one by one when needed, without prefetching.
    ByHand(Loader),
    /// Batches are prefetched.
    Loader(Loader),
    /// Torchvision with Pillow, in this number of processes, on the images listed in a file.
    Torchvision(usize, PathBuf),
}

pub fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0 && options.resolution > 0, "--rounds and --resolution must be positive");
    let layout = Layout::detect(&options.dir)?;
    let mut splits = layout.load(3, 1)?;
    if options.bicubic {
        splits = splits.with_interpolation(Interpolation::Bicubic);
    }
    let set = splits.train.subset(options.images, 1);
    let view = View::Train(AugmentConfig::for_side(splits.typical_side()?));
    let config = LoaderConfig { batch_size: options.batch_size, seed: 1, view, drop_last: true, prefetch: usize::MAX };
    let loader = |threads| -> Result<Loader> {
        let loader = Loader::new(set.clone(), config.clone(), splits.normalisation())?;
        Ok(loader.with_threads(threads)?.with_memory(options.prefetch_mib << 20))
    };
    let mut pipelines = vec![
        ("by hand, 1 thread", Pipeline::ByHand(loader(1)?)),
        ("by hand, 2 threads", Pipeline::ByHand(loader(2)?)),
        ("loader, 1 thread", Pipeline::Loader(loader(1)?)),
        ("loader, 2 threads", Pipeline::Loader(loader(2)?)),
    ];
    if options.python.is_some() {
        ensure!(!options.bicubic, "--python times the bilinear filter only: drop --bicubic");
        ensure!(set.path(0).is_file(), "--python reads image files, {} is {layout}", options.dir.display());
        // Torchvision gets the same images.
        let paths: String = (0..set.len()).map(|i| format!("{}\n", set.path(i).display())).collect();
        let list = std::env::temp_dir().join(format!("bench_images-{}.txt", std::process::id()));
        write_whole(&list, paths.as_bytes())?;
        pipelines.push(("torchvision, 1 process", Pipeline::Torchvision(1, list.clone())));
        pipelines.push(("torchvision, 2 processes", Pipeline::Torchvision(2, list)));
    }
    describe(options, &layout, &splits, &set);
    let mut timings: Vec<Vec<Timing>> = vec![Vec::new(); pipelines.len()];
    // The first round warms up the page cache and does not count.
    for round in 0..=options.rounds {
        for ((_, pipeline), timings) in pipelines.iter().zip(&mut timings) {
            let timing = pipeline.round(options, round as u64)?;
            if round > 0 {
                timings.push(timing);
            }
        }
    }
    if let Some((_, Pipeline::Torchvision(_, list))) = pipelines.last() {
        std::fs::remove_file(list)?;
    }
    let names: Vec<&str> = pipelines.iter().map(|(name, _)| *name).collect();
    show(&names, &timings);
    Ok(())
}

impl Pipeline {
    fn round(&self, options: &Options, epoch: u64) -> Result<Timing> {
        let (processor, wall) = (ProcessTime::now(), Instant::now());
        let device = &Device::flex();
        let images = match self {
            Self::ByHand(loader) => {
                let batches = 0..loader.batches_per_epoch();
                let sizes =
                    batches.map(|i| loader.batch(epoch, i, options.resolution, device).map(|batch| batch.size()));
                sizes.sum::<Result<usize, _>>()?
            }
            Self::Loader(loader) => {
                let resolution = options.resolution;
                let sizes = loader.epoch(epoch, 0, move |_| resolution, device).map(|batch| Ok(batch?.size()));
                sizes.sum::<Result<usize>>()?
            }
            Self::Torchvision(processes, list) => return torchvision(options, *processes, list),
        };
        let ms_an_image = |seconds: f64| 1e3 * seconds / images as f64;
        Ok(Timing {
            processor: ms_an_image(processor.elapsed().as_secs_f64()),
            wall: ms_an_image(wall.elapsed().as_secs_f64()),
        })
    }
}

/// One round of `experiments/python/benchmark_images.py`.
fn torchvision(options: &Options, processes: usize, list: &Path) -> Result<Timing> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/benchmark_images.py");
    let python = options.python.as_ref().context("--python is missing")?;
    let output = Command::new(python)
        .arg(script)
        .arg(&options.dir)
        .arg("--list")
        .arg(list)
        .args(["--resolution", &options.resolution.to_string()])
        .args(["--processes", &processes.to_string()])
        .output()
        .with_context(|| format!("cannot run {}", python.display()))?;
    if !output.status.success() {
        bail!("{script}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let result: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let number = |key: &str| result[key].as_f64().with_context(|| format!("{script} printed no {key}: {result}"));
    Ok(Timing { processor: number("cpu_ms_per_image")?, wall: number("wall_ms_per_image")? })
}

fn describe(options: &Options, layout: &Layout, splits: &Splits, set: &ImageSet) {
    say(&format!(
        "{layout} {}: {} of {} training images per round, {} px, batches of {}, {} rounds, {}",
        options.dir.display(),
        set.len(),
        splits.train.len(),
        options.resolution,
        options.batch_size,
        options.rounds,
        environment::machine("flex").processor,
    ));
}

fn show(names: &[&str], timings: &[Vec<Timing>]) {
    let processor = |timings: &[Timing]| median(timings.iter().map(|timing| timing.processor));
    let wall = |timings: &[Timing]| median(timings.iter().map(|timing| timing.wall));
    say(&format!("{:<26}{:>18}{:>14}{:>12}", "median ms per image", "CPU time", "wall time", "images/s"));
    for (name, timings) in names.iter().zip(timings) {
        let (processor, wall) = (processor(timings), wall(timings));
        say(&format!("{name:<26}{processor:>18.3}{wall:>14.3}{:>12.0}", 1e3 / wall));
    }
    // Median of the ratios per round: a disturbance during a round slows both sides.
    let ratio =
        |a: &[Timing], b: &[Timing], of: fn(&Timing) -> f64| median(a.iter().zip(b).map(|(a, b)| of(a) / of(b)));
    say(&format!("two threads are {:.2} times as fast as one", ratio(&timings[0], &timings[1], |t| t.wall)));
    say(&format!("the loader takes {:.2} times as long as by hand", ratio(&timings[2], &timings[0], |t| t.wall)));
    if let Some(torchvision) = timings.get(4) {
        say(&format!("torchvision takes {:.2} times the CPU time", ratio(torchvision, &timings[0], |t| t.processor)));
    }
    if let Some(memory) = environment::peak_memory_mib() {
        say(&format!("peak memory {memory:.0} MiB"));
    }
}
