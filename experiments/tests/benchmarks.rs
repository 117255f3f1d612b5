//! The benchmarks run and print the expected output; their speed is not tested.
#![cfg(feature = "flex")]

use experiments::bench::Ceilings;
use experiments::bench::timings::Timings;
use std::process::{Command, Output};

fn ofa(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ofa")).args(arguments.split(' ')).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_workload_is_timed() {
    let arguments = "bench workload shrink-step --space small_mobilenet_v3 --resolution 16 --batch 2 --samples 3 --arch \
                     r16-k3e3.k5e4-k7e6.k3e3.k3e3-k5e3.k3e6";
    let output = ofa(arguments);
    let timings: Timings =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    assert_eq!(timings.samples_ms.len(), 3);
}

#[test]
fn the_report_has_a_row_a_backend() {
    let output = ofa("bench backends --device flex --resolution 12 --batch 2 --rounds 1 --samples 2");
    let report = text(&output.stdout);
    assert!(report.contains("| `flex` | 0e0 | 0e0 | 0e0 | 0e0 |"), "{report}{}", text(&output.stderr));
}

#[test]
fn ceilings_are_rates() {
    let output = ofa("bench ceilings --device flex");
    let Ceilings { gflops, gigabytes } = serde_json::from_slice(&output.stdout).unwrap();
    assert!(gflops > 0.0 && gigabytes > 0.0, "{gflops}, {gigabytes}");
}

#[test]
fn the_report_on_a_gpu_is_written_on_any_device() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("gpu");
    let output = ofa(&format!(
        "bench gpu --device flex --space small_mobilenet_v3 --resolution 20 --batch 2 --samples 2 --new-archs 2 --no-run \
         --out {}",
        out.display()
    ));
    let report = std::fs::read_to_string(out.join("report.md")).unwrap_or_default();
    assert!(output.status.success(), "{}{report}", text(&output.stderr));
    for expected in [
        "# small_mobilenet_v3 on `flex`",
        "training pass 0e0, inference 0e0, shrinking step 0e0, calibrated 0e0",
        "| train-step | 2 | f32 | ",
        "| train-step | 2 | bf16 | ",
        "| shrink-step | 2 | f32 | ",
        "| inference | 1 | f32 | ",
        "| calibrate-evaluate | 2 | f32 | ",
        "median excess ",
        "Loader: ",
    ] {
        assert!(report.contains(expected), "no `{expected}` in {report}");
    }
    assert!(!report.contains("failed"), "{report}");
    assert!(text(&output.stdout).contains("| train-step | 2 | f32 | ") && !out.join("smoke").exists());
    let again = ofa(&format!("bench gpu --device flex --out {}", out.display()));
    assert!(text(&again.stderr).contains("exists"), "{}", text(&again.stderr));
}

#[test]
fn a_line_that_is_not_there_is_named() {
    let output = ofa("bench pytorch --python /no/python --only training");
    assert!(text(&output.stderr).contains("no row contains `training`"), "{}", text(&output.stderr));
}

#[test]
fn a_missing_python_is_named() {
    let output = ofa("bench pytorch --python /no/python --rounds 1 --samples 1 --only train-step");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot run /no/python"), "{}", text(&output.stderr));
}
