//! Answers scenarios from the tables of a recorded run.

use super::scenarios::{self, Answer, Tables};
use super::*;
use crate::config::{ExperimentConfig, Scenario, SearchConfig};
use crate::tables::measured::MeasuredTables;
use burn::tensor::Device;
use ofa_model::{Arch, SearchSpace};
use ofa_search::predictors::{MlpConfig, MlpPredictor};
use ofa_search::{AccuracyHeader, AccuracyTable, LocalSearch, Trial};
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
    answers_of(&SearchConfig::parse(text, &record()).unwrap(), tables)
}

fn answers_of(file: &SearchConfig, tables: &MeasuredTables) -> Answers {
    let config = MlpConfig { epochs: 20, ..MlpConfig::default() };
    let predictor = MlpPredictor::fit(&tables.space, &tables.accuracy.samples(), &config, &Device::flex()).unwrap();
    let devices = Devices::load(file, &tables.space, || tables.latency()).unwrap();
    answer(file, &devices, &tables.accuracy, &predictor).unwrap()
}

/// Answers of a run whose `search` is this, from the tables of the newest record.
fn answers_of_run(change: impl Fn(&mut ExperimentConfig), searchers: Option<&[Searcher]>) -> Vec<Answer> {
    let run = newest_record();
    let mut config = ExperimentConfig::load(&run.join("config.toml")).unwrap();
    change(&mut config);
    let measured = MeasuredTables::open(&run, None).unwrap();
    let (predictor, _) = crate::tables::predictor(&config, &measured.accuracy, &Device::flex()).unwrap();
    let latency = measured.latency().unwrap();
    let tables = Tables { accuracy: &measured.accuracy, latency: &latency, predictor: &predictor };
    match searchers {
        Some(searchers) => scenarios::answer_by(searchers, &config, &tables).unwrap(),
        None => scenarios::answer_all(&config, &tables).unwrap(),
    }
}

fn newest_record() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-30-default")
}

#[test]
fn the_answers_of_a_recorded_run_come_again() {
    let answers = answers_of_run(|_| (), None);
    let mut recorded = csv::Reader::from_path(newest_record().join("search/answers.csv")).unwrap();
    let recorded: Vec<[String; 7]> =
        recorded.records().map(|row| std::array::from_fn(|column| row.as_ref().unwrap()[column].to_owned())).collect();
    let row = |answer: &Answer| {
        let Answer { scenario, strategy, arch, predicted_top1, predicted_ms, macs, queries, .. } = answer;
        let numbers = [predicted_top1.to_string(), predicted_ms.to_string(), macs.to_string(), queries.to_string()];
        let [top1, ms, macs, queries] = numbers;
        [scenario.clone(), strategy.clone(), arch.clone(), top1, ms, macs, queries]
    };
    assert_eq!(answers.iter().map(row).collect::<Vec<_>>(), recorded);
    assert!(answers.iter().all(|answer| answer.looked_up == (answer.strategy == "table")));
}

#[test]
fn a_run_takes_limits_in_any_combination_and_the_strategies_it_names() {
    let text = "queries = 300\nstrategies = [\"nsga2\", \"random\"]\n[[scenarios]]\nname = \"both\"\n\
                latency_share = 0.5\nmacs = 3_000_000\nparameters = 80_000";
    let search = SearchConfig::parse(text, Path::new("")).unwrap();
    let change = |config: &mut ExperimentConfig| config.search = search.clone();
    let found = |answers: &[Answer]| -> Vec<String> {
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        for answer in answers {
            let cost = space.cost(&answer.arch.parse().unwrap());
            assert!(cost.macs <= 3_000_000 && cost.parameters <= 80_000 && answer.queries <= 300, "{answer:?}");
        }
        answers.iter().map(|answer| answer.strategy.clone()).collect()
    };
    assert_eq!(found(&answers_of_run(change, None)), ["nsga2", "random"]);
    let own = [Searcher::new(|| Box::new(LocalSearch::default()))];
    assert_eq!(found(&answers_of_run(change, Some(&own))), ["local_search"]);
}

#[test]
fn the_best_of_several_strategies_answers_a_file() {
    let tables = tables();
    let with = |strategies: &str| {
        let text = format!("queries = 200\n{strategies}\n[[scenario]]\nname = \"a\"\nmacs = 2_500_000");
        answers(&text, &tables).found.remove(0)
    };
    let alone = with("");
    assert_eq!(alone.strategy.as_deref(), Some("evolution"));
    // The same search wins again; look-up and random search, judged by the predictor, find less.
    let among = with("strategies = [\"table\", \"random\", \"evolution\"]");
    assert_eq!(Found { seconds: alone.seconds, ..among }, alone);
    let table = with("strategies = [\"table\"]");
    assert!(table.strategy.is_none_or(|strategy| strategy == "table"));
    assert!(table.predicted.mean < alone.predicted.mean && table.macs <= 2_500_000);
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
        let Scenario { latency_ms, macs, parameters, .. } = &found.scenario;
        let cost = tables.space.cost(&found.arch);
        assert_eq!((cost.macs, cost.parameters), (found.macs, found.parameters));
        assert!(latency_ms.is_none_or(|limit| found.latency_ms.unwrap() <= limit), "{found:?}");
        assert!(macs.is_none_or(|limit| cost.macs <= limit) && parameters.is_none_or(|limit| cost.parameters <= limit));
        assert!(found.gain().unwrap() >= -1e-6, "{found:?}");
        let front = &fronts[&found.axis];
        let reaches = |trial: &Trial| trial.costs[0] <= found.cost && trial.score >= found.predicted.mean - 1e-6;
        assert!(front.trials().iter().any(reaches));
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
        let search = SearchConfig::parse(&text, dir.path()).unwrap();
        Devices::load(&search, &tables.space, || tables.latency()).map(|_| ())
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
        int8: None,
    };
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let archs: Vec<Arch> = (0..20).map(|_| space.sample(rng)).collect();
    let top1 = |arch: &Arch| Ok::<_, Infallible>(space.cost(arch).macs as f64 / 1e9);
    let path = dir.path().join("accuracy.csv");
    AccuracyTable::measure(&path, &header, &space, &archs, top1, |_, _, _| ()).unwrap();
    let tables = MeasuredTables::open(dir.path(), Some(space)).unwrap();
    let devices = "queries = 100\n[devices.phone]\nlatency = \"mobilenet_v3\"\n";
    let text = devices.to_owned() + "[[scenario]]\nname = \"a\"\ndevice = \"phone\"\nlatency_ms = ";
    let parse = |limit: &str| SearchConfig::parse(&format!("{text}{limit}"), &original).unwrap();
    let devices = Devices::load(&parse("1"), &tables.space, || tables.latency()).unwrap();
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
