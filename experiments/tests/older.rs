//! What earlier versions wrote is still read and resumed: a field that is renamed keeps its name in files.
//!
//! `fixtures/midway` is a run stopped in the middle of its third phase, with a teacher and moving averages. It was made
//! by the program that is `ofa train` today, with `--config experiments/tests/fixtures/midway/config.toml`; of its
//! checkpoints the one after the second step of that phase was kept. Do not make it again: it has to be old.

use burn::tensor::Device;
use experiments::ablation::{AblationConfig, CellRecord, Ladder};
use experiments::config::ExperimentConfig;
use experiments::deployment::scenarios::Answer;
use experiments::machine::environment::{Machine, has_common_bits};
use experiments::report::ReportData;
use experiments::run::images::Images;
use experiments::run::records::{self, PhaseTime};
use experiments::run::start::{self, Run};
use experiments::run::training;
use ofa_model::Supernet;
use ofa_search::{AccuracyTable, LatencyTable};
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

fn json<T: DeserializeOwned>(path: &Path) -> T {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

fn rows<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let rows = csv::Reader::from_path(path).unwrap().into_deserialize();
    rows.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// Configuration of the run whose table is at `path`.
fn run_of(path: &Path) -> ExperimentConfig {
    ExperimentConfig::load(&path.ancestors().nth(2).unwrap().join("config.toml")).unwrap()
}

/// Reads a file of a record as the type that wrote it; returns whether its name is known.
fn is_read(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    match name {
        "config.toml" if is_ablation(path) => drop(AblationConfig::load(path).unwrap()),
        "config.toml" if path.with_file_name("searches.csv").exists() => return false,
        "config.toml" => drop(ExperimentConfig::load(path).unwrap()),
        "environment.json" => drop(json::<Machine>(path)),
        "phases.json" => drop(json::<Vec<PhaseTime>>(path)),
        "images.json" => drop(json::<BTreeMap<String, String>>(path)),
        "report.json" => drop(json::<ReportData>(path)),
        "cell.json" => drop(json::<CellRecord>(path)),
        "metrics.csv" => drop(rows::<EpochRecord>(path)),
        "answers.csv" => drop(rows::<Answer>(path)),
        "accuracy.csv" => drop(AccuracyTable::load(path, &run_of(path).space).unwrap()),
        "latency.csv" => drop(LatencyTable::load(path, &run_of(path).space).unwrap()),
        "space.json" => drop(Supernet::load(path.parent().unwrap(), &Device::flex()).unwrap()),
        _ => return false,
    }
    true
}

fn is_ablation(config: &Path) -> bool {
    fs::read_to_string(config).unwrap().contains("[[arms]]")
}

#[test]
fn every_record_is_read() {
    let (mut read, mut ablations) = (BTreeMap::new(), 0);
    for path in files(&here("records")) {
        if is_read(&path) {
            *read.entry(path.file_name().unwrap().to_owned()).or_insert(0) += 1;
        }
        // Findings are made from all files of all cells.
        if path.ends_with("findings.json") {
            let ladder = Ladder::reopen(path.parent().unwrap()).unwrap();
            ladder.findings().unwrap();
            ablations += 1;
        }
    }
    assert!(read.len() == 12 && read.values().sum::<usize>() > 250 && ablations == 3, "{read:?}, {ablations}");
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
