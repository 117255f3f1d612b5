//! Tests of the complete report, on data such as a run produces.

use super::*;
use crate::deployment::scenarios::Answer;
use crate::deployment::specialise::{Chosen, Extreme};
use crate::machine::environment::Machine;
use crate::run::records::{PhaseTime, SpaceSummary, TablePoint};
use crate::run::watched::Watched;
use crate::tables::fit::{Fit, PredictedMeasured};
use ofa_train::EpochRecord;

/// A small run: `phases` phases of two epochs, `rows` rows, two scenarios with three strategies each.
fn report(phases: usize, rows: usize) -> ReportData {
    let names: Vec<String> = (1..=phases).map(|i| format!("phase {i}")).collect();
    let part = |i: usize| (i + 1) as f64 / rows as f64;
    let pair = |i| PredictedMeasured { arch: arch(i), predicted: 0.8 + 0.1 * part(i), measured: 0.81 + 0.09 * part(i) };
    let fit = || Fit { points: (0..rows).map(pair).collect(), rmse: 0.0042, mape: 0.031, kendall_tau: 0.87 };
    ReportData {
        preset: "smoke".into(),
        data: "Fashion-MNIST (500 train, 100 validation, 100 test)".into(),
        seed: 7,
        machine: machine(),
        space: SpaceSummary {
            name: "small_mobilenet_v3".into(),
            networks: "2180000000000000000000".into(),
            resolutions: vec![20, 24, 28],
            macs: [1_234_567, 6_600_000],
            parameters: [48_300, 262_000],
        },
        phases: [("train", 90.0), ("search", 3.5)]
            .map(|(name, seconds)| PhaseTime { name: name.into(), seconds })
            .into(),
        peak_memory_mib: Some(1234.4),
        epochs: names.iter().flat_map(|phase| [1, 2].map(|epoch| epoch_record(phase, epoch))).collect(),
        watched: names.iter().flat_map(|phase| ["largest", "smallest"].map(|label| watched(phase, label))).collect(),
        accuracy_fit: fit(),
        latency_fit: fit(),
        latency_within_10_percent: 0.9667,
        latency_device: None,
        onnxruntime: Some("onnxruntime 1.32.0, 2 threads".into()),
        table: (0..rows)
            .map(|i| TablePoint { arch: arch(i), top1: 0.8 + 0.1 * part(i), latency_ms: part(i), macs: 1_000_000 })
            .collect(),
        answers: ["latency 0.9 ms", "MACs 2 M"].into_iter().flat_map(answers).collect(),
        chosen: ["latency 0.9 ms", "MACs 2 M"].map(chosen).into(),
        extremes: [("largest", 0.9213), ("smallest", 0.8876)].map(|(label, top1)| extreme(label, top1)).into(),
    }
}

fn arch(i: usize) -> String {
    format!("r28-k7e6.k3e{i}")
}

fn machine() -> Machine {
    Machine {
        device: "flex (cpu)".into(),
        threads: 2,
        processor: "Some CPU @ 2.0 GHz".into(),
        system: "linux x86_64".into(),
        revision: "0123abc-dirty".into(),
        versions: "experiments 0.1.0, burn 0.22.1".into(),
        started: "2025-06-01T12:00:00Z".into(),
    }
}

fn epoch_record(phase: &str, epoch: usize) -> EpochRecord {
    EpochRecord {
        phase: phase.into(),
        epoch,
        learning_rate: 0.1,
        loss: 2.0 / epoch as f64,
        label_loss: 1.5 / epoch as f64,
        teacher_loss: 0.5,
        train_top1: 0.4 * epoch as f64,
        images: 500,
        mean_macs: 2.5e6,
        least_macs: 1_000_000,
        most_macs: 6_000_000,
        seconds: 10.0,
    }
}

fn watched(phase: &str, label: &str) -> Watched {
    Watched { phase: phase.into(), label: label.into(), arch: arch(0), top1: 0.8 }
}

fn answers(scenario: &str) -> [Answer; 3] {
    ["table", "random", "evolution"].map(|strategy| Answer {
        scenario: scenario.into(),
        strategy: strategy.into(),
        looked_up: strategy == "table",
        arch: arch(3),
        predicted_top1: 0.9,
        predicted_ms: 0.88,
        macs: 1_999_000,
        queries: 10_000,
        seconds: 0.8,
        curve: vec![(1, 0.8), (70, 0.89), (2000, 0.9)],
    })
}

fn chosen(scenario: &str) -> Chosen {
    Chosen {
        scenario: scenario.into(),
        strategy: "evolution".into(),
        arch: arch(3),
        parameters: 120_000,
        macs: 1_999_000,
        predicted_top1: 0.901,
        validation_top1: 0.899,
        test_top1: 0.8954,
        fine_tuned_test_top1: Some(0.9012),
        int8_test_top1: Some(0.8943),
        predicted_ms: 0.88,
        measured_ms: 0.912,
        stopwatch_ms: Some(0.934),
        onnxruntime_ms: Some(0.456),
    }
}

fn extreme(label: &str, test_top1: f64) -> Extreme {
    Extreme { label: label.into(), arch: arch(0), macs: 6_600_000, parameters: 262_000, test_top1 }
}

/// A report in which everything that can be empty is empty.
fn empty() -> ReportData {
    let no_fit = || Fit { points: vec![], rmse: f64::NAN, mape: f64::NAN, kendall_tau: f64::NAN };
    ReportData {
        phases: vec![],
        peak_memory_mib: None,
        epochs: vec![],
        watched: vec![],
        accuracy_fit: no_fit(),
        latency_fit: no_fit(),
        latency_within_10_percent: f64::NAN,
        latency_device: None,
        onnxruntime: None,
        table: vec![],
        answers: vec![],
        chosen: vec![],
        extremes: vec![],
        ..report(1, 1)
    }
}

/// Number of plots; legends contain other, smaller `<svg>` elements, which do not count.
fn plots(page: &str) -> usize {
    page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count()
}

#[test]
fn the_page_shows_every_plot_and_the_key_numbers() {
    let page = html(&report(3, 20));
    assert_eq!(plots(&page), 2 + 1 + 2 + 1 + 2);
    assert!(!page.contains("no data") && !page.contains("n/a") && !page.contains("NaN"));
    for text in [
        "92.13 %",
        "88.76 %",
        "2.18 × 10²¹",
        "93.5 s",
        "1,234 MiB",
        "seed 7",
        "0123abc-dirty",
        "Some CPU @ 2.0 GHz",
        "6.60 M",
        "0.42 percentage points",
        "96.67 % within 10 %",
        "0.912 ms",
        "In onnxruntime",
        "0.456 ms",
        "Beside it, raw: onnxruntime 1.32.0, 2 threads.",
        "90.12 %",
        "10,000",
    ] {
        assert!(page.contains(text), "{text} is missing");
    }
}

#[test]
fn the_page_needs_nothing_else() {
    let page = html(&report(2, 5));
    for external in ["<script", "<link", "<img", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(external), "{external}");
    }
}

#[test]
fn a_large_report_stays_small() {
    let page = html(&report(6, 150));
    assert!(page.len() < 300_000, "{} bytes", page.len());
}

#[test]
fn an_empty_report_says_so_in_place_of_each_plot_and_table() {
    let page = html(&empty());
    assert_eq!(plots(&page), 0);
    // Six figures, the searches, and the three tables of chosen subnets, answers and phases.
    assert_eq!(page.matches("no data").count(), 6 + 1 + 3);
    assert!(!page.contains("NaN") && page.contains("Kendall τ n/a"));
    let text = console(&empty());
    assert!(text.contains("Kendall tau n/a (0 subnets)") && text.contains("peak memory n/a"), "{text}");
}

#[test]
fn single_and_equal_and_infinite_values_are_drawn_or_left_out() {
    assert_eq!(plots(&html(&report(1, 1))), 8);
    let mut data = report(1, 3);
    data.epochs.truncate(1);
    data.table.iter_mut().for_each(|row| (row.top1, row.latency_ms) = (1.0, 0.0));
    data.accuracy_fit.points.iter_mut().for_each(|pair| (pair.predicted, pair.measured) = (0.0, 0.0));
    data.latency_fit.points[0].measured = f64::INFINITY;
    data.answers[0].curve = vec![(0, f64::NEG_INFINITY)];
    data.answers[1].curve.clear();
    data.chosen[0].measured_ms = f64::NAN;
    data.epochs[0].loss = f64::NAN;
    let page = html(&data);
    assert_eq!(plots(&page), 7, "all except the loss");
    assert!(!page.contains("NaN") && !page.contains("inf "), "only finite numbers are drawn");
}

#[test]
fn text_is_escaped_on_the_page_and_in_plots() {
    let hostile = "<b>&'\"x";
    let mut data = report(1, 3);
    data.preset = hostile.into();
    data.epochs[0].phase = hostile.into();
    data.watched[0].phase = hostile.into();
    data.watched[0].label = hostile.into();
    data.chosen[0].scenario = hostile.into();
    data.chosen[0].arch = hostile.into();
    data.answers[0].scenario = hostile.into();
    data.answers[0].strategy = hostile.into();
    let page = html(&data);
    assert!(!page.contains(hostile) && !page.contains("<b>&amp;"));
    assert!(page.matches("&lt;b&gt;&amp;").count() >= 9);
}

#[test]
fn the_console_table_lines_up() {
    let text = console(&report(2, 5));
    let row =
        |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {text}"));
    let end = |line: &str, cell: &str| line.find(cell).map(|at| at + cell.len());
    let heading = row("subnet");
    assert_eq!(end(heading, "test top-1"), end(row("largest"), "92.13 %"));
    assert_eq!(end(heading, "test top-1"), end(row("latency 0.9 ms"), "89.54 %"));
    assert_eq!(end(heading, "fine-tuned"), end(row("latency 0.9 ms"), "90.12 %"));
    assert_eq!(end(heading, "measured"), end(row("MACs 2 M"), "0.912 ms"));
    assert_eq!(end(heading, "as ONNX"), end(row("MACs 2 M"), "0.456 ms"));
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert!(text.contains("96.67 % within 10 %") && text.contains("time 93.5 s, peak memory 1,234 MiB"), "{text}");
}

#[test]
fn figures_that_do_not_exist_come_back_from_json() {
    let written = serde_json::to_string(&empty()).unwrap();
    let read: ReportData = serde_json::from_str(&written).unwrap();
    assert!(read.accuracy_fit.kendall_tau.is_nan() && read.latency_within_10_percent.is_nan());
    assert_eq!(serde_json::to_string(&read).unwrap(), written);
}
