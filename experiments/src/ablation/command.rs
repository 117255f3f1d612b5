//! The command line shared by all ablations.

use super::config::AblationConfig;
use super::findings::Findings;
use super::ladder::{Ladder, LadderFindings};
use super::plan::plan_of;
use crate::console::interrupt;
use crate::console::say;
use crate::run::images::Images;
use crate::run::ranks;
use crate::run::run_dir::RunDir;
use anyhow::{Context, Result, ensure};
use clap::Parser;
use ofa_data::Layout;
use ofa_train::Ranks;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Command-line options of an ablation.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// Preset to run: smoke (a minute), default (hours) or another; an unknown name lists them all
    #[arg(long, default_value = "default")]
    preset: String,
    /// Configuration file to use instead of a preset; every ablation directory holds a complete one
    #[arg(long, conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// Images to use instead of the configured ones, in any layout; classes and channels must match its space
    #[arg(long, conflicts_with = "resume")]
    data: Option<PathBuf>,
    /// Directory of the ablation
    #[arg(long, required_unless_present_any = ["dry_run", "toml"])]
    out: Option<PathBuf>,
    /// Resume the ablation in --out
    #[arg(long, conflicts_with_all = ["preset", "config"], requires = "out")]
    resume: bool,
    /// Train at most this many cells before writing the report; 0 writes only the report
    #[arg(long)]
    cells: Option<usize>,
    /// Train only at this budget
    #[arg(long)]
    budget: Option<String>,
    /// Train a complete cell of --out (ARM/seed-N, after BUDGET/ if there are several) again below DIR/again, and
    /// compare weights and accuracies
    #[arg(long, value_name = "CELL", requires = "resume")]
    again: Option<String>,
    /// With --again, compare only the weights after the first steps
    #[arg(long, requires = "again")]
    first_steps: bool,
    /// Print what would be trained, what it costs and how long it takes here; train nothing but a few steps
    #[arg(long)]
    dry_run: bool,
    /// Print the configuration as a file to start from, and do nothing else
    #[arg(long, conflicts_with = "resume")]
    toml: bool,
}

/// Names and contents of files.
pub type Files = Vec<(&'static str, String)>;

/// Turns findings into report files: pairs of a file name and its content. The second argument lists commands as pairs
/// of a description and a command.
pub struct Renderer {
    /// The report of one budget.
    pub budget: fn(&Findings, &[(String, String)]) -> Files,
    /// The report of the whole ladder.
    pub ladder: fn(&LadderFindings, &[(String, String)]) -> Files,
}

/// Runs the ablation that the options ask for, in one process or on the ranks of a job. `binary` is the name of the
/// program, `preset` turns a preset name into a configuration, and `renderer` makes the reports.
pub fn run(
    binary: &str,
    options: &Options,
    preset: impl Fn(&str) -> Result<AblationConfig>,
    renderer: &Renderer,
) -> ExitCode {
    ranks::main(|ranks| on_ranks(binary, options, preset, renderer, ranks))
}

fn on_ranks(
    binary: &str,
    options: &Options,
    preset: impl Fn(&str) -> Result<AblationConfig>,
    renderer: &Renderer,
    ranks: &dyn Ranks,
) -> Result<()> {
    if options.toml || (options.dry_run && !options.resume) {
        let config = configured(options, preset)?;
        let text = if options.toml { config.to_toml()? } else { plan_of(&config)? };
        if ranks.is_first() {
            say(text.trim_end());
        }
        return Ok(());
    }
    let out = options.out.as_deref().context("--out is missing")?;
    let ablation = opened(options, preset, out, ranks)?;
    if options.dry_run {
        if ranks.is_first() {
            say(&ablation.plan()?);
        }
        return Ok(());
    }
    let stop = interrupt::on_interrupt()?;
    if let Some(name) = options.again.as_ref().filter(|_| options.first_steps) {
        if let Some(found) = ablation.repeat_first_steps(name, ranks)? {
            say(&format!("the same weights after {} steps: {}", found.steps, found.weights));
        }
        return Ok(());
    }
    if let Some(name) = &options.again {
        if let Some(again) = ablation.make_again(name, ranks, &stop)? {
            let (path, weights, subnets) = (again.path.display(), again.weights, again.subnets);
            say(&format!("the same weights ({weights}) and the same accuracies of all subnets ({subnets}): {path}"));
        }
        return Ok(());
    }
    ablation.run(options.cells, options.budget.as_deref(), ranks, &stop)?;
    if ranks.is_first() { report(binary, &ablation, renderer) } else { Ok(()) }
}

fn configured(options: &Options, preset: impl Fn(&str) -> Result<AblationConfig>) -> Result<AblationConfig> {
    let mut config = match &options.config {
        Some(path) => AblationConfig::load(path)?,
        None => preset(&options.preset)?,
    };
    if let Some(data) = &options.data {
        config.base.data.prepared = Layout::detect(data)?.preparation()?;
        config.base.data.dir = Some(data.clone());
        // Fails early if the images do not fit the space.
        Images::load(&config.base, None)?;
    }
    Ok(config)
}

fn opened(
    options: &Options,
    preset: impl Fn(&str) -> Result<AblationConfig>,
    out: &Path,
    ranks: &dyn Ranks,
) -> Result<Ladder> {
    if !ranks.is_first() {
        ranks.broadcast(0, Vec::new());
        return Ladder::reopen(out).context("all ranks need a shared file system");
    }
    let ablation = if options.resume {
        Ladder::reopen(out)?
    } else {
        ensure!(
            !out.join("config.toml").exists() || options.config.is_some(),
            "{} already holds an ablation; resume it with --resume, or choose another --out",
            out.display()
        );
        let config = configured(options, preset)?;
        ensure!(
            config.base.data.dir.is_some() || config.base.space.image_channels == 1,
            "this ablation needs your own images: name their directory with --data"
        );
        Ladder::open(config, out)?
    };
    ranks.broadcast(0, Vec::new());
    Ok(ablation)
}

/// Writes `findings.json` and the reports for every budget with a complete cell, and for the whole ladder.
fn report(binary: &str, ladder: &Ladder, renderer: &Renderer) -> Result<()> {
    say(&ladder.progress()?);
    let (whole, by_budget) = ladder.findings()?;
    let several = !ladder.config().budgets.is_empty();
    for (i, (ablation, findings)) in ladder.rungs().iter().zip(&by_budget).enumerate() {
        if several && whole.budgets[i].cells[0] == 0 {
            continue;
        }
        let files = (renderer.budget)(findings, &commands(binary, ablation.config()));
        write(ablation.dir(), findings, files)?;
    }
    if several {
        write(ladder.dir(), &whole, (renderer.ladder)(&whole, &commands(binary, ladder.config())))?;
    }
    say(&format!("report: {}", ladder.dir().path("report.html").display()));
    Ok(())
}

/// Writes findings and their report files, and prints the first paragraph of the Markdown report.
fn write(dir: &RunDir, findings: &impl Serialize, files: Files) -> Result<()> {
    dir.write_json("findings.json", findings)?;
    for (name, content) in files {
        dir.write(name, &content)?;
        if name.ends_with(".md") {
            say(content.lines().nth(2).unwrap_or_default());
        }
    }
    Ok(())
}

/// How to reproduce everything: what a command does, and the command.
fn commands(binary: &str, config: &AblationConfig) -> Vec<(String, String)> {
    let cargo = format!("cargo run --release --bin {binary} --");
    let budget = config.budgets.first().map_or_else(String::new, |budget| format!("{}/", budget.name));
    let seed = config.seeds.first().map_or_else(String::new, u64::to_string);
    let cell = format!("{}/seed-{seed}", config.rule.treatment);
    [
        ("All cells and this report", format!("{cargo} --config config.toml --out DIR")),
        ("Resume after a stop; several processes may work in one directory", format!("{cargo} --resume --out DIR")),
        ("Only this report, from the records", format!("{cargo} --resume --out DIR --cells 0")),
        (
            "One cell again from random weights, compared with its record bit for bit",
            format!("{cargo} --resume --out DIR --again {budget}{cell}"),
        ),
        (
            "Only its first steps, in a minute",
            format!("{cargo} --resume --out DIR --again {budget}{cell} --first-steps"),
        ),
        (
            "The same cell as an ordinary run, which keeps its weights (the cells it starts from must be there)",
            format!(
                "cargo run --release --bin ofa -- train --config DIR/{budget}cells/{cell}/config.toml --out \
                 runs/again"
            ),
        ),
    ]
    .map(|(what, command)| (what.to_owned(), command))
    .into()
}
