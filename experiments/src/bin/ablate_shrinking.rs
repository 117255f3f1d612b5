//! Question: what do subnets lose without progressive shrinking, at equal cost?
//!
//! Command:  `cargo run --release --bin ablate_shrinking -- --out runs/ablation`, again with `--resume` after a stop; several
//!           processes may work in one directory
//! Result:   `cells/ARM/seed-N` (a run each, with the accuracy of every reported subnet), `report.md` and `report.html` with a
//!           verdict by the rule of the configuration
//! Hardware: two cores and 1 GB; the default takes about six hours of them, `--dry-run` says what it costs
//! Source:   arXiv:1908.09791, table 1 of the first version: 1.4 to 2.4 points

use anyhow::{Result, ensure};
use clap::Parser;
use experiments::ablation::{Ablation, AblationConfig};
use experiments::dashboard::say;
use experiments::report::{ablation_html, ablation_markdown};
use experiments::threads::compute_on_this_thread;
use experiments::{interrupt, start};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the report says it was made by.
const COMMAND: &str = "cargo run --release --bin ablate_shrinking -- --config config.toml --out DIR";

/// Trains supernets with and without progressive shrinking and compares their subnets.
#[derive(Parser)]
struct Options {
    /// What to run: smoke (a minute) or default (hours)
    #[arg(long, default_value = "default")]
    preset: String,
    /// A configuration file in place of a preset; every directory of an ablation holds a complete one
    #[arg(long, conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// Directory of the ablation
    #[arg(long)]
    out: PathBuf,
    /// Go on with the ablation in --out
    #[arg(long, conflicts_with_all = ["preset", "config"])]
    resume: bool,
    /// Cells to train before the report is written, at most
    #[arg(long)]
    cells: Option<usize>,
    /// Say what would be trained and what it costs, and train nothing
    #[arg(long)]
    dry_run: bool,
}

fn main() -> ExitCode {
    start::exit_code(compute_on_this_thread().and_then(|()| run(&Options::parse())))
}

fn run(options: &Options) -> Result<()> {
    let config = || match &options.config {
        Some(path) => AblationConfig::load(path),
        None => AblationConfig::shrinking(&options.preset),
    };
    if options.dry_run && !options.resume {
        say(&config()?.plan()?);
        return Ok(());
    }
    ensure!(
        options.resume || !options.out.join("config.toml").exists() || options.config.is_some(),
        "{} already holds an ablation; go on with it by --resume, or choose another --out",
        options.out.display()
    );
    let ablation =
        if options.resume { Ablation::reopen(&options.out)? } else { Ablation::open(config()?, &options.out)? };
    if options.dry_run {
        say(&ablation.config().plan()?);
        say(&ablation.progress()?);
        return Ok(());
    }
    let stop = Arc::new(AtomicBool::new(false));
    interrupt::on_interrupt(stop.clone())?;
    ablation.run(options.cells, &stop)?;
    say(&ablation.progress()?);
    let findings = ablation.findings()?;
    let text = ablation_markdown(&findings, COMMAND);
    let dir = ablation.dir();
    dir.write_json("findings.json", &findings)?;
    dir.write("report.html", &ablation_html(&findings, COMMAND))?;
    dir.write("report.md", &text)?;
    say(text.lines().nth(2).unwrap_or_default());
    say(&format!("report: {}", dir.path("report.html").display()));
    Ok(())
}
