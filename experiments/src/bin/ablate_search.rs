//! Question: which search strategy comes closest to the optimum at equal queries?
//!
//! Command:  `cargo run --release --bin ablate_search -- --out runs/search` (`--preset smoke`: seconds; `--run DIR`:
//!           tables of one of your runs)
//! Result:   `report.html` with a verdict, `searches.csv`, `curves.csv`, `fronts.csv`, `findings.json`
//! Hardware: one core
//! Time:     40 s on one core

use anyhow::{Context, Result, ensure};
use clap::Parser;
use experiments::console::say;
use experiments::machine::{device, environment};
use experiments::options::command_line;
use experiments::report::{search_ablation_html, search_verdict};
use experiments::run::run_dir::RunDir;
use experiments::run::start;
use experiments::search_ablation::{
    Additive, SearchAblation, SearchFindings, Task, Trained, contest, findings, front_standings, fronts, tasks,
};
use ofa_model::SearchSpace;
use std::path::PathBuf;
use std::process::ExitCode;

/// Recorded run of the main job, in the repository.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/records/2026-11-24-default-14-epochs");

/// Compares search strategies at equal queries.
#[derive(Parser)]
struct Options {
    /// Size of the comparison: smoke (seconds) or default (a minute)
    #[arg(long, default_value = "default")]
    preset: String,
    /// Run directory whose tables are searched
    #[arg(long, default_value = RECORD)]
    run: PathBuf,
    /// Directory for the results; must not hold an ablation
    #[arg(long)]
    out: PathBuf,
    /// Queries per search [default: that of the preset]
    #[arg(long)]
    queries: Option<u64>,
    /// Number of seeds [default: that of the preset]
    #[arg(long)]
    seeds: Option<u64>,
    /// Add MnasNet's controller, which makes the comparison take minutes
    #[arg(long)]
    controller: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    start::main(|| run(&options))
}

fn run(options: &Options) -> Result<()> {
    let mut ablation = SearchAblation::preset(&options.preset)?;
    ablation.queries = options.queries.unwrap_or(ablation.queries);
    ablation.seeds = options.seeds.unwrap_or(ablation.seeds);
    ablation.controller = options.controller;
    ablation.validate()?;
    let out = options.out.display();
    ensure!(!options.out.join("config.toml").exists(), "{out} already holds an ablation; choose another --out");
    let trained = Trained::load(&options.run, &ablation, &device::by_name("flex")?)?;
    let additive = Additive::draw(SearchSpace::mobilenet_v3(1.0, 1000), ablation.task_seed);
    let dir = RunDir::create(&options.out, &toml::to_string_pretty(&ablation)?)?;
    say("computing optima");
    let tasks = tasks(&trained, &additive, &ablation)?;

    let (mut of_tasks, mut searches) = (Vec::new(), Vec::new());
    for task in &tasks {
        say(&format!("{} within {}", task.name, task.limit));
        let found = contest(task, &ablation)?;
        of_tasks.push(findings(task, &found, &ablation));
        searches.push((task, found));
    }
    let mut front_rows = Vec::new();
    for (name, additive) in [("tables", None), ("additive", Some(&additive))] {
        let task: Option<&Task<'_>> = tasks.iter().rfind(|task| task.name == name);
        say(&format!("front of {name}"));
        front_rows.extend(fronts(task.context("every kind has a task")?, additive, &ablation)?);
    }

    let all = || searches.iter().flat_map(|(task, found)| found.iter().map(move |found| (*task, found)));
    dir.write_csv("searches.csv", all().map(|(task, found)| found.row(task)))?;
    dir.write_csv("curves.csv", all().flat_map(|(task, found)| found.curve(task)))?;
    dir.write_csv("fronts.csv", &front_rows)?;
    let findings = SearchFindings {
        tables: options.run.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        machine: environment::machine("flex"),
        tasks: of_tasks,
        fronts: front_standings(&front_rows),
        ablation,
    };
    dir.write_json("findings.json", &findings)?;
    dir.write("report.html", &search_ablation_html(&findings, &command_line::again()))?;
    say(&search_verdict(&findings));
    say(&format!("report: {}", dir.path("report.html").display()));
    Ok(())
}
