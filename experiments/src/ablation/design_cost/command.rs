//! The command line of the comparison.

use super::config::DesignConfig;
use super::findings::DesignFindings;
use super::plan::plan;
use super::runner::DesignAblation;
use crate::ablation::command::Files;
use crate::console::{interrupt, say};
use anyhow::{Context, Result};
use clap::Parser;
use std::path::PathBuf;

/// Command-line options of the comparison.
#[derive(Clone, Debug, Parser)]
pub struct DesignOptions {
    /// Preset to run: smoke (two minutes) or default (days)
    #[arg(long, default_value = "default")]
    preset: String,
    /// Configuration file to use instead of a preset; every directory of a comparison holds a complete one
    #[arg(long, conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// Directory of the comparison
    #[arg(long, required_unless_present_any = ["dry_run", "toml"])]
    out: Option<PathBuf>,
    /// Resume the comparison in --out
    #[arg(long, conflicts_with_all = ["preset", "config"], requires = "out")]
    resume: bool,
    /// Make at most this many cells before writing the report; 0 writes only the report
    #[arg(long)]
    cells: Option<usize>,
    /// Make only the cells of this method; `ofa` is the once-for-all network
    #[arg(long)]
    method: Option<String>,
    /// Print what would be made and what it costs; nothing is trained
    #[arg(long)]
    dry_run: bool,
    /// Print the configuration as a file to start from, and do nothing else
    #[arg(long, conflicts_with = "resume")]
    toml: bool,
}

/// Turns findings into report files; the second argument lists commands as pairs of a description and a command.
pub type DesignRenderer = fn(&DesignFindings, &[(String, String)]) -> Files;

/// Runs the comparison that the options ask for, and writes its reports.
///
/// # Errors
///
/// If the configuration is invalid, a cell fails, or a stop was requested.
pub fn design_cost(binary: &str, options: &DesignOptions, render: DesignRenderer) -> Result<()> {
    if options.toml || (options.dry_run && !options.resume) {
        let config = configured(options)?;
        say(if options.toml { config.to_toml()? } else { plan(&config, None)? }.trim_end());
        return Ok(());
    }
    let out = options.out.as_deref().context("--out is missing")?;
    let ablation =
        if options.resume { DesignAblation::reopen(out)? } else { DesignAblation::open(configured(options)?, out)? };
    if options.dry_run {
        say(&plan(ablation.config(), Some(&ablation))?);
        return Ok(());
    }
    let stop = interrupt::on_interrupt()?;
    ablation.run(options.cells, options.method.as_deref(), &stop)?;
    say(&ablation.progress());
    let (dir, findings) = (ablation.dir(), ablation.findings()?);
    dir.write_csv("networks.csv", ablation.rows()?)?;
    dir.write_json("findings.json", &findings)?;
    for (name, content) in render(&findings, &commands(binary)) {
        dir.write(name, &content)?;
        if name.ends_with(".md") {
            say(content.lines().nth(2).unwrap_or_default());
        }
    }
    say(&format!("report: {}", dir.path("report.html").display()));
    Ok(())
}

fn configured(options: &DesignOptions) -> Result<DesignConfig> {
    match &options.config {
        Some(path) => DesignConfig::load(path),
        None => DesignConfig::preset(&options.preset),
    }
}

/// How to reproduce everything: what a command does, and the command.
fn commands(binary: &str) -> Vec<(String, String)> {
    let cargo = format!("cargo run --release --bin {binary} --");
    [
        ("All cells and this report", format!("{cargo} --config config.toml --out DIR")),
        ("Resume after a stop; several processes may work in one directory", format!("{cargo} --resume --out DIR")),
        ("One method alone", format!("{cargo} --resume --out DIR --method proxyless_nas")),
        ("What is left, and what it costs", format!("{cargo} --resume --out DIR --dry-run")),
        ("Only this report, from the records", format!("{cargo} --resume --out DIR --cells 0")),
    ]
    .map(|(what, command)| (what.to_owned(), command))
    .into()
}
