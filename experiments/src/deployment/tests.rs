//! Answers scenarios from the tables of a recorded run.

use super::*;
use crate::tables::measured::MeasuredTables;
use burn::tensor::Device;
use ofa_model::{Arch, SearchSpace};
use ofa_search::predictors::{MlpConfig, MlpPredictor};
use ofa_search::{AccuracyHeader, AccuracyTable};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

fn record() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-24-default-14-epochs")
}

fn tables() -> MeasuredTables {
    MeasuredTables::open(&record(), None).unwrap()
}

fn answers(text: &str, tables: &MeasuredTables) -> Answers {
    answers_of(&DeploymentFile::parse(text, &record()).unwrap(), tables)
}

fn answers_of(file: &DeploymentFile, tables: &MeasuredTables) -> Answers {
    let config = MlpConfig { epochs: 20, ..MlpConfig::default() };
    let predictor = MlpPredictor::fit(&tables.space, &tables.accuracy.samples(), &config, &Device::flex()).unwrap();
    let devices = Devices::load(file, tables).unwrap();
    answer(file, &devices, &tables.space, &predictor).unwrap()
}

#[test]
fn every_answer_meets_its_limits_and_is_no_worse_than_a_uniform_network() {
    let tables = tables();
    let text = r#"
        queries = 300
        [devices.here]
        latency = "tables/latency.csv"
        [[scenario]]
        name = "here"
        device = "here"
        latency_ms = [0.7, 0.9, 1.1]
        macs = 3_000_000
        [[scenario]]
        name = "small"
        parameters = 80_000
    "#;
    let Answers { found, failed, fronts } = answers(text, &tables);
    assert!(failed.is_empty(), "{failed:?}");
    let names: Vec<&str> = found.iter().map(|found| found.scenario.name.as_str()).collect();
    assert_eq!(names, ["here-0.7ms", "here-0.9ms", "here-1.1ms", "small"]);
    for found in &found {
        let Deployment { latency_ms, macs, parameters, .. } = &found.scenario;
        let cost = tables.space.cost(&found.arch);
        assert_eq!((cost.macs, cost.parameters), (found.macs, found.parameters));
        assert!(latency_ms.is_none_or(|limit| found.latency_ms.unwrap() <= limit), "{found:?}");
        assert!(macs.is_none_or(|limit| cost.macs <= limit) && parameters.is_none_or(|limit| cost.parameters <= limit));
        assert!(found.gain().unwrap() >= -1e-6, "{found:?}");
        let front = &fronts[&found.axis];
        assert!(
            front.points().iter().any(|point| point.cost <= found.cost && point.top1 >= found.predicted.mean - 1e-6)
        );
    }
    assert_eq!(found[1].limits, "latency <= 0.9 ms, MACs <= 3000000 MACs");
    assert_eq!(fronts.len(), 2);
}

#[test]
fn a_scenario_that_nothing_meets_names_the_cheapest_and_leaves_the_others() {
    let text =
        "queries = 50\n[[scenario]]\nname = \"tiny\"\nmacs = 1000\n[[scenario]]\nname = \"large\"\nmacs = 3_000_000";
    let tables = tables();
    let Answers { found, failed, .. } = answers(text, &tables);
    assert_eq!((found.len(), found[0].scenario.name.as_str()), (1, "large"));
    let (cheapest, problem) = (tables.space.smallest().to_string(), &failed[0].problem);
    assert!(problem.contains("no arch has MACs <= 1000") && problem.contains(&cheapest), "{problem}");
}

#[test]
fn files_that_make_no_sense_are_refused() {
    let scenario = "[[scenario]]\nname = \"a\"\n";
    let cases = [
        (String::new(), "scenario"),
        (format!("queries = 0\n{scenario}macs = 1"), "queries is 0"),
        (scenario.to_owned(), "`a` has none of latency_ms"),
        (format!("{scenario}macs = 0"), "a limit is 0"),
        (format!("{scenario}latency_ms = [1.0, -1.0]"), "a limit is -1"),
        (format!("{scenario}latency = 1.0"), "latency"),
        (format!("{scenario}device = \"b\"\nmacs = 1"), "no device `b`"),
        (format!("{scenario}energy_mj = 1"), "names no `energy` table"),
        (format!("{scenario}macs = 1\n{scenario}macs = 2"), "two scenarios are named `a`"),
        ("[[scenario]]\nname = \"../a\"\nmacs = 1".to_owned(), "names a directory"),
    ];
    for (text, expected) in cases {
        let message = format!("{:#}", DeploymentFile::parse(&text, Path::new("")).unwrap_err());
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn tables_of_other_quantities_or_spaces_are_refused() {
    let tables = tables();
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(record().join("tables/latency.csv")).unwrap();
    let energy = text.replacen("\"batch\":1", "\"batch\":1,\"quantity\":\"energy_mj\"", 1);
    for (name, text) in [("latency.csv", &text), ("energy.csv", &energy)] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let load = |latency: &str, energy: &str| {
        let device = format!("[devices.x]\nlatency = \"{latency}\"\nenergy = \"{energy}\"\n");
        let text = device + "[[scenario]]\nname = \"a\"\ndevice = \"x\"\nenergy_mj = 2";
        Devices::load(&DeploymentFile::parse(&text, dir.path()).unwrap(), &tables).map(|_| ())
    };
    load("latency.csv", "energy.csv").unwrap();
    let message = format!("{:#}", load("energy.csv", "energy.csv").unwrap_err());
    assert!(
        message.contains("device `x`") && message.contains("quantity is energy_mj, not latency in ms"),
        "{message}"
    );
    let message = format!("{:#}", load("latency.csv", "latency.csv").unwrap_err());
    assert!(message.contains("quantity is latency in ms, not energy_mj"), "{message}");
    std::fs::create_dir(dir.path().join("phone")).unwrap();
    let message = format!("{:#}", load("phone", "energy.csv").unwrap_err());
    assert!(message.contains("no latency table of the original found here"), "{message}");
}

#[test]
fn published_tables_of_a_phone_limit_the_resolutions() {
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ofa-search/tests/golden/latency");
    let space = SearchSpace::mobilenet_v3(1.0, 1000);
    let dir = tempfile::tempdir().unwrap();
    let header = AccuracyHeader {
        space: space.name.clone(),
        seed: 1,
        validation_images: 100,
        calibration_images: 100,
        source: "synthetic".into(),
    };
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let archs: Vec<Arch> = (0..20).map(|_| space.sample(rng)).collect();
    let top1 = |arch: &Arch| Ok::<_, Infallible>(space.cost(arch).macs as f64 / 1e9);
    let path = dir.path().join("accuracy.csv");
    AccuracyTable::measure(&path, &header, &space, &archs, top1, |_, _, _| ()).unwrap();
    let tables = MeasuredTables::open(dir.path(), Some(space)).unwrap();
    let devices = "queries = 100\n[devices.phone]\nlatency = \"mobilenet_v3\"\n";
    let text = devices.to_owned() + "[[scenario]]\nname = \"a\"\ndevice = \"phone\"\nlatency_ms = ";
    let parse = |limit: &str| DeploymentFile::parse(&format!("{text}{limit}"), &original).unwrap();
    let devices = Devices::load(&parse("1"), &tables).unwrap();
    let (cheapest, largest) = {
        let space = devices.space(&parse("1").scenarios[0]);
        assert_eq!(space.resolutions, [128, 224]);
        let latency = devices.latency(&parse("1").scenarios[0]).unwrap();
        (latency.of(&space.smallest()), latency.of(&space.largest()))
    };
    let answers = answers_of(&parse(&format!("{}", (cheapest + largest) / 2.0)), &tables);
    let found = &answers.found[0];
    assert!(found.latency_ms.unwrap() <= (cheapest + largest) / 2.0 && [128, 224].contains(&found.arch.resolution));
    assert_eq!(found.axis.device, "phone");
}
