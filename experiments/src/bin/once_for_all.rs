//! Trains a once-for-all network and finds the best subnet for every budget from two tables.
//!
//! Command:  `cargo run --release` (`-- --preset smoke` for a first look, `-- --help` for all options)
//! Result:   a run directory with tables, searches, subnets and `report.html`
//! Source:   arXiv:1908.09791; data: the embedded Fashion-MNIST, or your own images with `--data DIR`

use anyhow::Result;
use clap::Parser;
use experiments::console::say;
use experiments::deployment::forecast;
use experiments::deployment::scenarios::{Tables, answer_all, write_answers};
use experiments::deployment::specialise::Specialiser;
use experiments::job::{self, Job, Trained};
use experiments::machine::environment;
use experiments::machine::latency_device::LatencyDevice;
use experiments::report::ReportData;
use experiments::run::records::{self, Phases};
use experiments::run::start::Options;
use experiments::run::watched::{watched, watched_archs};
use experiments::tables::latency::LatencyJob;
use experiments::{report, tables};
use ofa_train::OneRank;
use std::process::ExitCode;

fn main() -> ExitCode {
    job::main(&Options::parse(), train_and_search)
}

fn train_and_search(job: &Job) -> Result<()> {
    let Job { config, images, device, dir, machine, ranks, stop } = *job;
    let space = &config.space;
    let latency_device = config.latency_device()?;
    if ranks.is_first() {
        say(&forecast::first_line(config, images, dir, device));
    }

    // Train: by default the full network first, then progressive shrinking. Measure accuracies once. Ranks share both;
    // what follows is a matter of minutes, and rank 0 does it alone.
    let mut validation = images.validation(config, device);
    let Some(Trained { supernet, outcome, accuracy }) = job.train_and_measure(&mut validation)? else {
        return Ok(());
    };

    // Measure latencies once, and learn to predict accuracies.
    let mut phases = Phases::resumed(dir, stop, &OneRank)?;
    let measure = || LatencyJob::of_run(config, &supernet, &latency_device, dir, stop).run();
    let (latency, latency_fit) = phases.time("latency table", measure)?;
    let (predictor, accuracy_fit) = phases.time("predictor", || tables::predictor(config, &accuracy, device))?;

    // Search as often as you like.
    let asked = Tables { accuracy: &accuracy, latency: &latency, predictor: &predictor };
    let answers = phases.time("search", || answer_all(config, &asked))?;
    write_answers(dir, &answers)?;

    // Specialise, and measure the chosen subnets.
    let onnxruntime = latency_device.beside();
    let specialiser = Specialiser {
        config,
        images,
        supernet: &supernet,
        teacher: outcome.teacher.as_ref(),
        device,
        latency_device: &latency_device,
        onnxruntime: onnxruntime.as_ref(),
        dir,
        stop,
    };
    let mut test = images.test(config, device);
    let specialise = || specialiser.run(&answers, latency.header(), &mut validation, &mut test);
    let chosen = phases.time("specialisation", specialise)?;
    let extremes = phases.time("test of the extremes", || specialiser.extremes(&mut test))?;

    let data = ReportData {
        preset: config.preset.clone(),
        data: images.description.clone(),
        seed: config.seed,
        machine: machine.clone(),
        space: records::space_summary(space),
        phases: phases.into_records(),
        peak_memory_mib: environment::peak_memory_mib(),
        watched: watched(&outcome.watched, &watched_archs(space, config.seed)),
        epochs: outcome.epochs,
        accuracy_fit,
        latency_within_10_percent: tables::within_10_percent(&latency_fit),
        latency_fit,
        latency_device: config.tables.latency_device.as_ref().map(|_| latency_device.described()),
        onnxruntime: onnxruntime.as_ref().map(LatencyDevice::described),
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
