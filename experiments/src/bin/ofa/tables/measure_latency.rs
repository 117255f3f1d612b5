//! Question: what is the latency of each part of a network on this machine, in our own kernels or in onnxruntime?
//!
//! Command:  `ofa tables measure-latency --run runs/mine --latency-device onnxruntime --out onnxruntime.csv`
//! Result:   a latency table for `ofa deploy` and its error on networks that it was not fitted to; a run that is stopped
//!           goes on with the same command
//! Hardware: the machine that the networks will run on, otherwise idle; threads by `RAYON_NUM_THREADS`, in onnxruntime
//!           by `--latency-threads`
//! Time:     a minute or two for small networks

use anyhow::{Result, ensure};
use clap::Args;
use experiments::console::{interrupt, say};
use experiments::machine::device;
use experiments::machine::latency_device::LatencyDevice;
use experiments::options::latency_device::{LatencyOptions, WHOLE_NETWORKS};
use experiments::tables::latency::LatencyJob;
use experiments::tables::latency_agreement;
use experiments::tables::measured::SpaceOrRun;
use ofa_model::SupernetConfig;
use ofa_search::LatencyTable;
use ofa_search::timing::LatencyConfig;
use std::path::PathBuf;

/// Whole networks that correct and judge a table of blocks, unless an option gives another number.
const CORRECTING_NETWORKS: usize = 40;

/// Measures a latency table on this machine.
#[derive(Args)]
#[command(
    after_help = "Example: ofa tables measure-latency --run runs/mine --latency-device onnxruntime --out onnxruntime.csv"
)]
pub struct Options {
    #[command(flatten)]
    space: SpaceOrRun,
    #[command(flatten)]
    latency: LatencyOptions,
    /// Images per forward pass
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Whole networks to time: onnxruntime's table is estimated from all of them; that of another device is a sum of
    /// blocks, which they correct and judge [default: 400 and 40]
    #[arg(long)]
    networks: Option<usize>,
    /// Maximum forward passes per network or block
    #[arg(long, default_value_t = LatencyConfig::default().max_samples)]
    samples: usize,
    /// Seed of the networks
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File to write, or to go on with
    #[arg(long)]
    out: PathBuf,
    /// Device, if compiled in
    #[arg(long, default_value = "flex")]
    device: String,
}

pub fn run(options: &Options) -> Result<()> {
    ensure!(options.samples > 0 && options.batch > 0, "--samples and --batch must be positive");
    let stop = interrupt::on_interrupt()?;
    let (device, compute) = (options.latency.open(&options.device)?, device::by_name(&options.device)?);
    let networks = options.networks.unwrap_or(match device {
        LatencyDevice::Burn(_) => CORRECTING_NETWORKS,
        LatencyDevice::OnnxRuntime(_) => WHOLE_NETWORKS,
    });
    let least = LatencyTable::LEAST_NETWORKS;
    ensure!(networks >= least, "--networks is {networks}, it must be at least {least}");
    let supernet = SupernetConfig::new(options.space.space()?)?.with_seed(options.seed).init(&compute);
    let defaults = LatencyConfig::default();
    let settings = LatencyConfig {
        batch: options.batch,
        max_samples: options.samples,
        min_samples: options.samples.min(defaults.min_samples),
        ..defaults
    };
    say(&format!("{}, {} threads, batch {}", device.name(), device.threads(), options.batch));
    let job = LatencyJob {
        path: options.out.clone(),
        supernet: &supernet,
        device: &device,
        settings: &settings,
        networks,
        seed: options.seed,
        stop: &stop,
    };
    let (table, fit) = job.run()?;
    say(&format!(
        "{} units in {}; {} other networks: {}",
        table.units().len(),
        options.out.display(),
        fit.points.len(),
        latency_agreement(&fit)
    ));
    Ok(())
}
