//! `ablate_search` on small real data, and its errors on bad input.

use std::fs;
use std::process::{Command, Output};

fn ablate_search(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ablate_search")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn strategies_are_compared_and_a_verdict_is_given() {
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().join("search");
    let out = root.to_str().unwrap();
    let output = ablate_search(&["--preset", "smoke", "--controller", "--out", out]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let findings: serde_json::Value = serde_json::from_str(&read("findings.json")).unwrap();
    let tasks = findings["tasks"].as_array().unwrap();
    assert_eq!(
        tasks.iter().map(|task| task["task"].as_str().unwrap()).collect::<Vec<_>>(),
        ["tables", "additive", "counted"]
    );
    for task in tasks {
        let (reference, standings) = (task["reference"].as_f64().unwrap(), task["standings"].as_array().unwrap());
        assert!(standings.len() >= 8 && reference > task["floor"].as_f64().unwrap(), "{task}");
        // No search exceeds the optimum, whether it was proven or enumerated.
        let shares = standings.iter().map(|standing| standing["share"][2].as_f64().unwrap());
        assert!(shares.into_iter().all(|share| share > 0.0 && share <= 1.0 + 1e-9), "{task}");
    }
    // Table look-up is deterministic; nine strategies search with two seeds on three tasks.
    let searches = read("searches.csv");
    assert_eq!(searches.lines().count(), 1 + 1 + 3 * 9 * 2);
    assert_eq!(searches.lines().filter(|row| row.contains(",mnas_controller,")).count(), 3 * 2);
    assert_eq!(read("fronts.csv").lines().count(), 1 + 2 * 3 * 2);
    assert!(read("curves.csv").lines().count() > 3 * 9 * 2);
    let verdict = text(&output.stdout);
    assert!(verdict.contains("On `additive` within 200 MMACs") && verdict.contains("additive tasks:"), "{verdict}");
    let report = read("report.html");
    assert!(report.contains("<svg") && report.contains("original_evolution") && !report.contains("no data"));

    let again = ablate_search(&["--preset", "smoke", "--out", out]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("already holds an ablation"), "{}", text(&again.stderr));
}

#[test]
fn bad_input_is_named_and_nothing_is_written() {
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().join("search");
    let out = root.to_str().unwrap();
    let nowhere = temporary.path().join("nowhere");
    let cases = [
        (vec!["--preset", "fast"], "unknown search ablation `fast`"),
        (vec!["--run", nowhere.to_str().unwrap()], "nowhere is neither a run directory"),
        (vec!["--queries", "100"], "queries is 100"),
        (vec!["--seeds", "0"], "seeds is 0"),
    ];
    for (arguments, expected) in cases {
        let output = ablate_search(&[&["--out", out], arguments.as_slice()].concat());
        assert_eq!(output.status.code(), Some(1));
        let message = text(&output.stderr);
        assert!(message.contains(expected), "{message}");
    }
    assert!(!root.exists());
}
