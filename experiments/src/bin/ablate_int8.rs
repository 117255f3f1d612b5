//! Question: does the ranking of subnets by float accuracy survive 8-bit integers, and what does a search gain that knows
//! int8 accuracies?
//!
//! Command:  `cargo run --release --bin ablate_int8 -- DIR.. --out runs/int8`, where each DIR is a run or a cell of an
//!           ablation with its supernet; the same command resumes after a stop
//! Result:   `int8.md` and `int8.json`: Kendall's tau, drops by choice, gains of search by int8 accuracy; an accuracy
//!           table per supernet with the column `int8_top1`
//! Hardware: any; nothing is trained without `--fine-tune-epochs`

use anyhow::{Context, Result, bail};
use clap::Parser;
use experiments::console::{interrupt, say};
use experiments::machine::environment;
use experiments::report::int8_markdown;
use experiments::run::run_dir::RunDir;
use experiments::run::start;
use experiments::search_ablation::Examined;
use experiments::search_ablation::int8::Int8Findings;
use ofa_model::{Quantization, RangeRule};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

/// Compares subnets in float and in 8-bit integers
#[derive(Parser)]
struct Options {
    /// Directories of runs or cells with a supernet, for example one per seed
    #[arg(required = true)]
    supernets: Vec<PathBuf>,
    /// Size: default, or smoke (a check that takes a minute and says nothing)
    #[arg(long, default_value = "default")]
    preset: String,
    /// Limits on MACs, as shares of the way from the smallest to the largest subnet
    #[arg(long, value_delimiter = ',', default_value = "0.1,0.25,0.5")]
    limits: Vec<f64>,
    /// Ranges of activations: min-max, or percentile-P, which leaves out the values beyond P percent
    #[arg(long, value_name = "RULE", default_value = "min-max")]
    int8_range: RangeRule,
    /// Passes over the training images to fine-tune each network that a search by int8 accuracy chooses, once as real
    /// numbers and once in integers; none by default
    #[arg(long, value_name = "N", default_value_t = 0)]
    fine_tune_epochs: usize,
    /// Directory for the results; tables already there are resumed
    #[arg(long)]
    out: PathBuf,
}

/// Networks of the table, queries per search, and the most validation and test images.
type Size = (usize, u64, Option<usize>);

fn main() -> ExitCode {
    let options = Options::parse();
    start::main(|| run(&options, &*interrupt::on_interrupt()?))
}

fn run(options: &Options, stop: &AtomicBool) -> Result<()> {
    Examined::check_limits(&options.limits)?;
    let size = match options.preset.as_str() {
        "default" => (160, 10_000, None),
        "smoke" => (12, 300, Some(500)),
        other => bail!("unknown preset `{other}`; choose one of: smoke, default"),
    };
    let dir = RunDir::create_or_open(&options.out)?;
    dir.write_json("environment.json", &environment::machine("flex"))?;
    let mut all = Vec::new();
    for path in &options.supernets {
        all.push(of_supernet(path, options, size, stop).with_context(|| path.display().to_string())?);
        // What is found of one supernet is kept, whatever happens to the next.
        dir.write_json("int8.json", &all)?;
        dir.write("int8.md", &int8_markdown(&all))?;
    }
    say(&int8_markdown(&all));
    Ok(())
}

fn of_supernet(path: &Path, options: &Options, size: Size, stop: &AtomicBool) -> Result<Int8Findings> {
    let (rows, queries, most) = size;
    let examined = Examined::open(path, None, &options.out, |config| {
        (config.tables.archs, config.search.queries) = (rows, queries);
        config.fine_tune.epochs = options.fine_tune_epochs;
        let default = Quantization::default();
        let images = default.images.min(config.tables.calibration_images);
        config.tables.int8 = Some(Quantization { images, range: options.int8_range, ..default });
        if let Some(most) = most {
            config.tables.validation_images = config.tables.validation_images.min(most);
            config.data.test_images = Some(most);
            config.data.train_images = Some(4 * most);
        }
    })?;
    examined.int8_findings(&options.limits, stop)
}
