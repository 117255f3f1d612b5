//! Trains a once-for-all network and finds the best subnet for every budget from two tables.
//!
//! Command:  `cargo run --release` (`-- --preset smoke` for a first look, `-- --help` for all options)
//! Result:   a run directory with tables, searches, subnets and `report.html`
//! Source:   arXiv:1908.09791; data: the embedded Fashion-MNIST, or your own images with `--data DIR`

use anyhow::Result;
use burn::module::Module;
use clap::Parser;
use experiments::config::ExperimentConfig;
use experiments::console::interrupt;
use experiments::console::say;
use experiments::deployment::forecast;
use experiments::deployment::scenarios::{Tables, answer_all, write_answers};
use experiments::deployment::specialise::Specialiser;
use experiments::machine::{device, environment};
use experiments::report::ReportData;
use experiments::run::images::Images;
use experiments::run::records::{self, Phases};
use experiments::run::run_dir::RunDir;
use experiments::run::start::{self, Options, Run};
use experiments::run::watched::{watched, watched_archs};
use experiments::run::{supernet_file, training};
use experiments::{report, tables};
use ofa_data::Splits;
use ofa_train::OneRank;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn main() -> ExitCode {
    let options = Options::parse();
    start::main(|| {
        let stop = interrupt::on_interrupt()?;
        let Run { config, dir, listed } = start::open(&options)?;
        run(&config, listed, &dir, &stop).map_err(|error| start::with_next_step(error, &dir))
    })
}

fn run(config: &ExperimentConfig, listed: Option<Splits>, dir: &RunDir, stop: &Arc<AtomicBool>) -> Result<()> {
    let images = Images::load(config, listed)?;
    records::same_images(dir, &images)?;
    let result = train_and_search(config, &images, dir, stop);
    // Also, and especially, if broken images ended the run.
    records::write_broken(dir, records::broken_rows(&images.broken()))?;
    result
}

fn train_and_search(config: &ExperimentConfig, images: &Images, dir: &RunDir, stop: &Arc<AtomicBool>) -> Result<()> {
    let machine = environment::machine(&config.device);
    dir.write_json("environment.json", &machine)?;
    let device = &device::by_name(&config.device)?;
    let mut phases = Phases::resumed(dir, stop)?;

    say(&forecast::first_line(config, images, dir, device));
    let space = &config.space;
    say(&format!(
        "{}; {} subnets in `{}`; run directory {}",
        images.description,
        space.len(),
        space.name,
        dir.root().display()
    ));

    // Train: by default the full network first, then progressive shrinking.
    let mut validation = images.validation(config, device);
    let trained =
        phases.time("training", || training::train(config, images, &mut validation, device, dir, &OneRank, stop))?;
    phases.at_least("training", trained.epochs.iter().map(|epoch| epoch.seconds).sum());
    let supernet = trained.supernet.valid();
    supernet_file::write(&supernet, dir)?;

    // Measure once: accuracy and latency tables, and an accuracy predictor.
    let source = records::source(&supernet, images);
    let accuracy = phases
        .time("accuracy table", || tables::accuracy(config, &supernet, &mut validation, source, dir, stop, &OneRank))?;
    let (latency, latency_fit) =
        phases.time("latency table", || tables::latency(config, &supernet, device, dir, stop))?;
    let (predictor, accuracy_fit) = phases.time("predictor", || tables::predictor(config, &accuracy, device))?;

    // Search as often as you like.
    let asked = Tables { accuracy: &accuracy, latency: &latency, predictor: &predictor };
    let answers = phases.time("search", || answer_all(config, &asked))?;
    write_answers(dir, &answers)?;

    // Specialise, and measure the chosen subnets.
    let specialiser =
        Specialiser { config, images, supernet: &supernet, teacher: trained.teacher.as_ref(), device, dir, stop };
    let mut test = images.test(config, device);
    let specialise = || specialiser.run(&answers, latency.header(), &mut validation, &mut test);
    let chosen = phases.time("specialisation", specialise)?;
    let extremes = phases.time("test of the extremes", || specialiser.extremes(&mut test))?;

    let data = ReportData {
        preset: config.preset.clone(),
        data: images.description.clone(),
        seed: config.seed,
        machine,
        space: records::space_summary(space),
        phases: phases.into_records(),
        peak_memory_mib: environment::peak_memory_mib(),
        watched: watched(&trained.watched, &watched_archs(space, config.seed)),
        epochs: trained.epochs,
        accuracy_fit,
        latency_within_10_percent: tables::within_10_percent(&latency_fit),
        latency_fit,
        table: records::table_points(config, &accuracy, &latency)?,
        answers,
        chosen,
        extremes,
    };
    dir.write_json("report.json", &data)?;
    dir.write("report.html", &report::html(&data))?;
    say(&report::console(&data));
    say(&format!("report: {}", dir.path("report.html").display()));
    Ok(())
}
