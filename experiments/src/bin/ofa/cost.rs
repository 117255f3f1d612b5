//! Question: what do networks for N deployment scenarios cost with OFA and with one search each, and from which N does
//!           OFA pay off?
//!
//! Command:  `ofa cost --out design_cost.csv` (`--run runs/mine`: also one of your runs; `--record DIR`: beside what
//!           `ablate_design_cost` measured)
//! Result:   GPU hours and pounds of CO2e by N, from the papers' constants; how many times cheaper OFA is at 40
//!           scenarios (1,142x, 16x, 14x as in arXiv v1 and 1,300x, 19x, 16x as in ICLR 2020, all without
//!           fine-tuning); and the break-even N. A run is counted in hours of its own machine, not in GPU hours
//! Time:     negligible; nothing is trained

use anyhow::{Context, Result, ensure};
use clap::Args;
use experiments::ablation::{CurveKind, DesignAblation};
use experiments::console::say;
use experiments::deployment::design_cost::{CO2E_LBS_PER_GPU_HOUR, DesignCost};
use experiments::run::run_dir::{csv_text, write_whole};
use std::path::{Path, PathBuf};

/// Compares the cost of networks for many deployment scenarios, from published constants and from the times of a run.
#[derive(Args)]
#[command(after_help = "Example: ofa cost --run runs/mine --out design_cost.csv")]
pub struct Options {
    /// Numbers of deployment scenarios to tabulate
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 3, 5, 10, 20, 40, 100])]
    scenarios: Vec<u32>,
    /// Number of scenarios at which the methods are compared
    #[arg(long, default_value_t = 40)]
    at: u32,
    /// Directory of a finished run, whose cost is also shown
    #[arg(long)]
    run: Option<PathBuf>,
    /// Directory of a comparison by `ablate_design_cost`, whose measured ratios are shown beside the published ones
    #[arg(long)]
    record: Option<PathBuf>,
    /// CSV file to write, with all numbers
    #[arg(long)]
    out: Option<PathBuf>,
}

pub fn run(options: &Options) -> Result<()> {
    let scenarios = &options.scenarios;
    ensure!(!scenarios.contains(&0) && options.at > 0, "--scenarios and --at must be positive");
    let (others, ours) = (DesignCost::others(), DesignCost::once_for_all());
    let published = [others.as_slice(), &ours].concat();
    let measured = options.run.as_deref().map(DesignCost::of_run).transpose()?;

    curves("GPU hours by number of deployment scenarios", scenarios, &published, |hours| format!("{hours:.0}"));
    let pounds = |hours: f64| format!("{:.0}", hours * CO2E_LBS_PER_GPU_HOUR);
    curves("CO2e in pounds, after Strubell et al. 2019", scenarios, &published, pounds);
    compare(options.at, &others, &ours);
    if let Some(measured) = &measured {
        let hours = |hours: f64| format!("{hours:.3}");
        curves("hours of the run's machine", scenarios, std::slice::from_ref(measured), hours);
    }
    if let Some(record) = &options.record {
        say(&beside(record, options.at)?);
    }
    if let Some(path) = &options.out {
        let published = published.iter().flat_map(|method| method.rows(scenarios, true));
        let measured = measured.iter().flat_map(|method| method.rows(scenarios, false));
        write_whole(path, csv_text(published.chain(measured))?.as_bytes())?;
    }
    Ok(())
}

/// Prints one line per method, with one column per number of scenarios.
fn curves(title: &str, scenarios: &[u32], methods: &[DesignCost], number: impl Fn(f64) -> String) {
    let cells = |cells: Vec<String>| cells.iter().map(|cell| format!("{cell:>10}")).collect::<String>();
    let width = methods.iter().map(|method| method.method.len()).max().unwrap_or(0);
    say(&format!("{title}\n{:<width$}{}", "", cells(scenarios.iter().map(ToString::to_string).collect())));
    for method in methods {
        let costs = scenarios.iter().map(|&scenarios| number(method.hours(scenarios))).collect();
        say(&format!("{:<width$}{}", method.method, cells(costs)));
    }
    say("");
}

/// Prints how many times cheaper our methods are at `at` scenarios, and their break-even numbers.
fn compare(at: u32, others: &[DesignCost], ours: &[DesignCost]) {
    let names: String = others.iter().map(|other| format!("{:>24}", other.method)).collect();
    say(&format!("times cheaper at {at} scenarios (break-even number)\n{:<12}{names}", ""));
    for method in ours {
        let cell = |other: &DesignCost| {
            let from = method.break_even(other).map_or("never".into(), |n| n.to_string());
            format!("{:>24}", format!("{:.1} ({from})", other.hours(at) / method.hours(at)))
        };
        say(&format!("{:<12}{}", method.method, others.iter().map(cell).collect::<String>()));
    }
    say("");
}

/// Published ratios at 40 scenarios beside those that a comparison measured, at `at` scenarios.
fn beside(record: &Path, at: u32) -> Result<String> {
    let findings = DesignAblation::reopen(record)?.findings()?;
    let plain = findings.ofa.first().with_context(|| {
        format!("{}: no cell of the once-for-all network is complete, so there is no ratio", record.display())
    })?;
    let mut text = format!(
        "times dearer than OFA: published at 40 scenarios, measured at {at} in TMACs ({}, {})\n{:<16}{:>22}{:>11}{:>10}\n",
        record.display(),
        findings.progress,
        "method",
        "charged",
        "published",
        "measured"
    );
    for method in &findings.methods {
        let published = method.published.map_or_else(|| "-".to_owned(), |published| format!("{published:.0}"));
        for curve in &method.curves {
            let kind = match curve.kind {
                CurveKind::Proportions => "papers' proportions",
                CurveKind::IsoAccuracy => "equal accuracy",
            };
            let bound = if curve.is_bound { "> " } else { "" };
            let ratio = format!("{bound}{:.2}", curve.ratio(plain, at).tmacs);
            text.push_str(&format!("{:<16}{kind:>22}{published:>11}{ratio:>10}\n", method.method));
        }
    }
    Ok(text)
}
