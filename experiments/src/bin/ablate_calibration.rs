//! Question: how many images does batch-norm calibration need, for the accuracy of a subnet and the ranking of subnets?
//!
//! Command:  `cargo run --release --bin ablate_calibration -- runs/<run> --out runs/calibration`
//! Result:   one line per number of images on the console and in `calibration.md`, all accuracies (on validation
//! images)
//!           in `calibration.csv`; 0 images means the statistics of the largest subnet
//! Hardware: any; nothing is trained
//! Source:   arXiv:1908.09791, section 3.3; the authors' code uses 2,000 images

use anyhow::{Result, ensure};
use clap::Parser;
use experiments::ablation::{Gap, Interval};
use experiments::console::say;
use experiments::machine::device;
use experiments::run::images::Images;
use experiments::run::run_dir::{RunDir, ensure_new};
use experiments::run::{start, supernet_file};
use ofa_data::random::{Purpose, stream};
use ofa_model::{Arch, Supernet};
use ofa_search::statistics::kendall_tau;
use ofa_train::Evaluator;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures subnets after calibration on different numbers of images
#[derive(Parser)]
struct Options {
    /// Directory of a run, of an ablation cell, or of a supernet
    supernet: PathBuf,
    /// Directory of images, in any known layout [default: that of the run, else the embedded Fashion-MNIST]
    #[arg(long)]
    data: Option<PathBuf>,
    /// Numbers of calibration images, separated by commas; the last is the reference
    #[arg(long, value_delimiter = ',', default_value = "0,16,32,64,125,250,500,1000,2000")]
    images: Vec<usize>,
    /// Number of random subnets, at the largest resolution
    #[arg(long, default_value_t = 24)]
    archs: usize,
    /// Random draws of calibration images per number
    #[arg(long, default_value_t = 3)]
    draws: u64,
    /// Directory to create for the results
    #[arg(long)]
    out: PathBuf,
}

/// Accuracy of a subnet after one calibration; a row of `calibration.csv`.
#[derive(Serialize)]
struct Row {
    calibration_images: usize,
    draw: u64,
    arch: String,
    macs: u64,
    validation_top1: f64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    start::main(|| run(&options))
}

fn run(options: &Options) -> Result<()> {
    ensure!(options.archs > 1 && options.draws > 0, "--archs must be at least 2, --draws at least 1");
    ensure_new(&options.out)?;
    ensure!(options.images.last() > Some(&0), "--images ends with 0: nothing to compare with");
    let opened = supernet_file::open(&options.supernet, &device::by_name("flex")?)?;
    let config = opened.configuration(options.data.as_deref())?;
    let (images, device) = (Images::load(&config, None)?, device::by_name(&config.device)?);
    let (most, train) = (options.images.iter().max(), images.splits.train.len());
    ensure!(most.is_none_or(|&most| most <= train), "--images asks for more images than the {train} training images");
    let dir = RunDir::create(&options.out, &config.to_toml()?)?;
    let space = opened.supernet.space();
    let rng = &mut stream(config.seed, Purpose::Sample, &[]);
    let archs: Vec<Arch> =
        (0..options.archs).map(|_| space.sample(rng).at_resolution(space.largest().resolution)).collect();
    let mut validation = images.validation(&config, &device);

    let mut rows = Vec::new();
    for &n in &options.images {
        // 0 images: nothing to draw, so one round.
        for draw in 0..if n == 0 { 1 } else { options.draws } {
            let calibration = images.splits.train.subset(n.max(1), config.seed + 1000 * (draw + 1));
            let (batch, normalisation) = (config.tables.batch_size, images.splits.normalisation());
            let mut calibration =
                Evaluator::new(calibration, images.splits.validation.clone(), batch, &normalisation, &device);
            for arch in &archs {
                let top1 = top1(&opened.supernet, arch, n, &mut calibration, &mut validation)?;
                let (arch, macs) = (arch.to_string(), space.cost(arch).macs);
                rows.push(Row { calibration_images: n, draw, arch, macs, validation_top1: top1 });
            }
        }
    }
    dir.write_csv("calibration.csv", &rows)?;
    let text = table(&options.images, &rows);
    dir.write("calibration.md", &text)?;
    say(&format!("{}; {} subnets of {}\n\n{text}", images.description, archs.len(), opened.path.display()));
    Ok(())
}

/// Validation accuracy after calibration on `n` images; for 0, with the statistics of the calibrated largest subnet.
fn top1(
    supernet: &Supernet,
    arch: &Arch,
    n: usize,
    calibration: &mut Evaluator,
    validation: &mut Evaluator,
) -> Result<f64> {
    let subnet = match n {
        0 => {
            let largest = validation.calibrated(supernet, &supernet.space().largest())?;
            supernet.subnet(arch).with_statistics_of(&largest)
        }
        _ => calibration.calibrated(supernet, arch)?,
    };
    Ok(validation.subnet_top1(&subnet)?)
}

/// One row per number of images: mean accuracy, gap to the reference, largest loss of a subnet and rank correlation,
/// with 95 % intervals over draws.
fn table(images: &[usize], rows: &[Row]) -> String {
    let accuracies = |n: usize| -> Vec<Vec<f64>> {
        let of = |draw| rows.iter().filter(move |row| row.calibration_images == n && row.draw == draw);
        let draws = (0..).map(|draw| of(draw).map(|row| row.validation_top1).collect::<Vec<f64>>());
        draws.take_while(|found| !found.is_empty()).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let most = accuracies(images[images.len() - 1]);
    let reference: Vec<f64> =
        (0..most[0].len()).map(|i| mean(&most.iter().map(|draw| draw[i]).collect::<Vec<f64>>())).collect();
    let mut text =
        "| images | top-1, % | gap, points | largest loss of a subnet | Kendall tau |\n|---|---|---|---|---|\n"
            .to_owned();
    for &n in images {
        let draws = accuracies(n);
        let of =
            |value: &dyn Fn(&[f64]) -> f64| Gap::of(&draws.iter().map(|draw| value(draw)).collect::<Vec<_>>(), 0.95);
        let shown = |gap: Gap, scale: f64| {
            let half = |Interval { low, high }: Interval| format!(" ± {:.2}", scale * (high - low) / 2.0);
            format!("{:.2}{}", scale * gap.mean, gap.interval.map(half).unwrap_or_default())
        };
        let worst = |draw: &[f64]| draw.iter().zip(&reference).map(|(a, b)| b - a).fold(f64::NEG_INFINITY, f64::max);
        text.push_str(&format!(
            "| {n} | {} | {} | {} | {} |\n",
            shown(of(&mean), 100.0),
            shown(of(&|draw| mean(draw) - mean(&reference)), 100.0),
            shown(of(&worst), 100.0),
            shown(of(&|draw| kendall_tau(draw, &reference)), 1.0)
        ));
    }
    text
}
