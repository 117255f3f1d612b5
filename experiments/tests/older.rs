//! What earlier versions wrote is still read and resumed: a field that is renamed keeps its name in files.
//!
//! `fixtures/midway` is a run stopped in the middle of its third phase, with a teacher and moving averages. It was made
//! by the program that is `ofa train` today, with `--config experiments/tests/fixtures/midway/config.toml`; of its
//! checkpoints the one after the second step of that phase was kept. Do not make it again: it has to be old.

use anyhow::Result;
use burn::tensor::Device;
use experiments::ablation::{AblationConfig, CellRecord, DesignAblation, DesignConfig, DesignRecord, Ladder};
use experiments::config::ExperimentConfig;
use experiments::machine::environment::{Machine, has_common_bits};
use experiments::report::ReportData;
use experiments::run::images::Images;
use experiments::run::records::{self, PhaseTime};
use experiments::run::start::{self, Run};
use experiments::run::training;
use experiments::search_ablation::choice::Choice;
use experiments::tables::measured::MeasuredTables;
use ofa_model::{SearchSpace, Supernet};
use ofa_search::LatencyTable;
use ofa_train::{EpochRecord, OneRank, weights_sha256};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// How the hash of the weights begins with which the earlier version ended the run, as its accuracy table notes.
const WEIGHTS: &str = "94c3a2fc719c2842";

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// All files in `dir` and below.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<()> {
    serde_json::from_str::<T>(&fs::read_to_string(path)?)?;
    Ok(())
}

fn rows<T: DeserializeOwned>(path: &Path) -> Result<()> {
    Ok(csv::Reader::from_path(path)?.into_deserialize::<T>().try_for_each(|row| row.map(drop))?)
}

/// Reads a file of a record as the type that wrote it; returns whether it has one.
fn is_read(path: &Path) -> Result<bool> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let of_run = || MeasuredTables::open(path.ancestors().nth(2).unwrap(), None);
    if path.to_str().unwrap().contains("2026-11-24-") {
        // Records of the first day are of forms before the one that is kept.
        return Ok(false);
    }
    match name {
        "config.toml" if has(path, "[[arms]]")? => drop(AblationConfig::load(path)?),
        "config.toml" if has(path, DESIGN)? => drop(DesignConfig::load(path)?),
        // Settings of `ablate_search`, which are only written.
        "config.toml" if path.with_file_name("searches.csv").exists() => return Ok(false),
        "config.toml" => drop(ExperimentConfig::load(path)?),
        "environment.json" => json::<Machine>(path)?,
        "phases.json" => json::<Vec<PhaseTime>>(path)?,
        "images.json" => json::<BTreeMap<String, String>>(path)?,
        "report.json" => json::<ReportData>(path)?,
        "cell.json" => json::<CellRecord>(path)?,
        "design.json" => json::<DesignRecord>(path)?,
        "metrics.csv" => rows::<EpochRecord>(path)?,
        "accuracy.csv" => drop(of_run()?.accuracy),
        "choices.csv" => rows::<Choice>(path)?,
        "latency.csv" => drop(LatencyTable::load(path, &space(path.ancestors().nth(2).unwrap())?)?),
        "space.json" => drop(Supernet::load(path.parent().unwrap(), &Device::flex())?),
        // Made from all files of all cells.
        "findings.json" => {
            let root = path.parent().unwrap();
            if has(&root.join("config.toml"), DESIGN)? {
                drop(DesignAblation::reopen(root)?.findings()?);
            } else {
                drop(Ladder::reopen(root)?.findings()?);
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// What configurations of `ablate_design_cost` contain and no others do.
const DESIGN: &str = "[[methods]]";

fn has(config: &Path, line: &str) -> Result<bool> {
    Ok(fs::read_to_string(config)?.contains(line))
}

/// The space of the record in `root`.
fn space(root: &Path) -> Result<SearchSpace> {
    let config = root.join("config.toml");
    if has(&config, DESIGN)? {
        return Ok(DesignConfig::load(&config)?.base.space);
    }
    Ok(MeasuredTables::open(root, None)?.space)
}

#[test]
fn every_record_is_read() {
    let (mut read, mut problems) = (BTreeMap::new(), Vec::new());
    for path in files(&here("records")) {
        match is_read(&path) {
            Ok(true) => *read.entry(path.file_name().unwrap().to_owned()).or_insert(0) += 1,
            Ok(false) => {}
            Err(error) => problems.push(format!("{}: {error:#}", path.display())),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(read.len() == 13 && read.values().sum::<usize>() > 250, "{read:?}");
}

/// Trains the run in `root` to its end and returns the hash of its weights.
fn trained(root: &Path) -> String {
    let Run { config, dir, .. } = start::reopen(root).unwrap();
    let (images, device) = (Images::load(&config, None).unwrap(), Device::flex());
    records::same_images(&dir, &images, &OneRank).unwrap();
    let mut validation = images.validation(&config, &device);
    let stop = Default::default();
    let trained = training::train(&config, &images, &mut validation, &device, &dir, &OneRank, &stop).unwrap();
    weights_sha256(&trained.supernet)
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let copy = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(path, copy).unwrap();
    }
}

#[test]
fn a_run_that_an_earlier_version_began_ends_with_the_weights_of_an_unbroken_one() {
    let (midway, temporary) = (here("tests/fixtures/midway"), tempfile::tempdir().unwrap());
    let [resumed, unbroken] = ["resumed", "unbroken"].map(|name| temporary.path().join(name));
    copy(&midway, &resumed);
    fs::create_dir(&unbroken).unwrap();
    for file in ["config.toml", "images.json"] {
        fs::copy(midway.join(file), unbroken.join(file)).unwrap();
    }
    let weights = [&resumed, &unbroken].map(|root| trained(root));
    assert_eq!(weights[0], weights[1]);
    if has_common_bits() {
        assert!(weights[0].starts_with(WEIGHTS), "{}", weights[0]);
    }
    // Epochs before the stop are those of the earlier version, to the second that they took.
    let metrics = |root: &Path| fs::read_to_string(root.join("metrics.csv")).unwrap();
    assert!(metrics(&resumed).starts_with(&metrics(&midway)), "{}", metrics(&resumed));
    assert_ne!(metrics(&resumed), metrics(&unbroken));
}
