//! Question: which search strategy makes better choices, as measured on test images, not by the predictor it maximises?
//!
//! Command:  `cargo run --release --bin ablate_choice -- DIR.. --out runs/choice`, where each DIR is a run or a cell of
//!           an ablation with its supernet; the same command resumes after a stop
//! Result:   `choices.csv`, `choices.md` with gaps between strategies over supernets, an accuracy table per supernet
//! Hardware: any; nothing is trained

use anyhow::{Context, Result};
use clap::Parser;
use experiments::console::interrupt;
use experiments::console::say;
use experiments::machine::environment;
use experiments::report::choice_markdown;
use experiments::run::run_dir::RunDir;
use experiments::run::start;
use experiments::search_ablation::Examined;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

/// Measures the choices of search strategies on several supernets
#[derive(Parser)]
struct Options {
    /// Directories of runs or cells with a supernet, for example one per seed
    #[arg(required = true)]
    supernets: Vec<PathBuf>,
    /// Images to use instead of those of the runs
    #[arg(long)]
    data: Option<PathBuf>,
    /// Limits on MACs, as shares of the way from the smallest to the largest subnet
    #[arg(long, value_delimiter = ',', default_value = "0.1,0.25,0.5")]
    limits: Vec<f64>,
    /// Number of subnets in the accuracy table of every supernet
    #[arg(long, default_value_t = 160)]
    rows: usize,
    /// Queries to the predictor by every strategy that uses it
    #[arg(long, default_value_t = 10_000)]
    queries: u64,
    /// Directory for the results; tables already there are resumed
    #[arg(long)]
    out: PathBuf,
}

fn main() -> ExitCode {
    let options = Options::parse();
    start::main(|| run(&options, &*interrupt::on_interrupt()?))
}

fn run(options: &Options, stop: &AtomicBool) -> Result<()> {
    Examined::check_limits(&options.limits)?;
    let mut choices = Vec::new();
    for path in &options.supernets {
        let examine = || {
            let examined = Examined::open(path, options.data.as_deref(), &options.out, |config| {
                (config.tables.archs, config.search.queries) = (options.rows, options.queries);
            })?;
            examined.choices(&options.limits, stop)
        };
        choices.extend(examine().with_context(|| path.display().to_string())?);
    }
    let dir = RunDir::create_or_open(&options.out)?;
    dir.write_csv("choices.csv", &choices)?;
    dir.write_json("environment.json", &environment::machine("flex"))?;
    let text = choice_markdown(&choices, options.rows, options.queries);
    dir.write("choices.md", &text)?;
    say(text.split("\n## By limit").next().unwrap_or_default());
    say(&format!("all choices: {}", dir.path("choices.md").display()));
    Ok(())
}
