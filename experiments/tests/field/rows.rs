//! Which test is whose: the report's rows and kinds, and the tests that hold them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const CHECKPOINTS: &str = "experiments/tests/field/checkpoints.rs";
const ARCHS: &str = "experiments/tests/field/archs.rs";
const IMAGES: &str = "experiments/tests/field/images.rs";
const TABLES: &str = "experiments/tests/field/tables.rs";
const RUNS: &str = "experiments/tests/field/runs.rs";
const MESSAGES: &str = "experiments/tests/field/messages.rs";
const MODEL: &str = "ofa-model/tests/field/main.rs";
const WRITTEN: &str = "ofa-model/src/written_arch/tests.rs";
const DATA: &str = "ofa-data/tests/field.rs";
const MEASURED: &str = "ofa-search/src/tables/measured.rs";
const RESUME: &str = "ofa-train/tests/resume.rs";

/// A file, and the beginning of the name of a test in it.
type Test = (&'static str, &'static str);

/// The rows of the report, and the tests that run them.
const ROWS: [(&str, &[Test]); 28] = [
    ("C1", &[(CHECKPOINTS, "c1_c2_"), (CHECKPOINTS, "c1_a_misfit"), (MODEL, "c1_c2_")]),
    ("C2", &[(CHECKPOINTS, "c1_c2_"), (CHECKPOINTS, "c2_"), (MODEL, "c2_of_several"), (MODEL, "c2_a_file_without")]),
    ("C5", &[(CHECKPOINTS, "c5_"), (MODEL, "c5_"), (RESUME, "c5_")]),
    ("C7", &[(CHECKPOINTS, "c7_"), (MODEL, "c7_"), ("experiments/tests/networks.rs", "c7_")]),
    ("C8", &[(CHECKPOINTS, "c8_"), (MODEL, "c8_")]),
    ("A1", &[(ARCHS, "a1_"), (WRITTEN, "a1_")]),
    ("A2", &[(ARCHS, "a2_"), (WRITTEN, "a2_")]),
    ("A3", &[(ARCHS, "a3_"), (WRITTEN, "a3_")]),
    ("A4", &[(ARCHS, "a4_"), (WRITTEN, "a4_")]),
    ("A5", &[(ARCHS, "a5_"), (WRITTEN, "a5_")]),
    ("D1", &[(IMAGES, "d1_"), (DATA, "d1_")]),
    ("D2", &[(IMAGES, "d2_"), (DATA, "d2_")]),
    ("D3", &[(IMAGES, "d3_"), (DATA, "d3_")]),
    ("D5", &[(IMAGES, "d5_"), (DATA, "d5_")]),
    ("D6", &[(IMAGES, "d6_"), (DATA, "d6_")]),
    ("D7", &[(IMAGES, "d7_"), (DATA, "d7_")]),
    ("D8", &[(RUNS, "d8_"), (DATA, "d8_"), ("experiments/src/run/start.rs", "d8_")]),
    ("D9", &[(RUNS, "d9_"), ("experiments/src/run/start.rs", "d9_")]),
    ("D17", &[(IMAGES, "d17_"), (DATA, "d17_any"), (DATA, "d17_names")]),
    ("D18", &[(IMAGES, "d18_"), (DATA, "d18_")]),
    ("D20", &[(IMAGES, "d20_"), (DATA, "d20_")]),
    ("T1", &[(TABLES, "t1_"), (MEASURED, "t1_")]),
    ("T2", &[(TABLES, "t2_"), (MEASURED, "t2_")]),
    ("T5", &[(TABLES, "t5_"), (MEASURED, "t5_")]),
    ("T8", &[(TABLES, "t8_")]),
    ("R1", &[(RUNS, "r1_"), ("experiments/src/run/lock.rs", "a_second_job")]),
    ("R2", &[(RUNS, "r2_"), ("experiments/src/run/start.rs", "r1_r2_")]),
    ("R7", &[(CHECKPOINTS, "r7_"), ("experiments/tests/networks.rs", "r7_a5_")]),
];

/// The kinds of faults, by number, and the tests with variants that they make up.
const KINDS: [(usize, &[Test]); 26] = [
    (1, &[(CHECKPOINTS, "c1_c2_"), (CHECKPOINTS, "c2_"), (CHECKPOINTS, "c1_a_misfit")]),
    (2, &[(CHECKPOINTS, "c5_"), (RESUME, "c5_")]),
    (3, &[(CHECKPOINTS, "c7_"), (MODEL, "c7_")]),
    (4, &[(CHECKPOINTS, "c8_"), (MODEL, "c8_")]),
    (5, &[(ARCHS, "a1_"), (ARCHS, "a2_"), (ARCHS, "a3_")]),
    (6, &[(MESSAGES, "a_configuration"), (MESSAGES, "scenarios_spaces"), (MESSAGES, "archs_tables"), (ARCHS, "a4_")]),
    (7, &[(ARCHS, "a5_")]),
    (8, &[(IMAGES, "d1_")]),
    (9, &[(IMAGES, "d2_"), (IMAGES, "d1_")]),
    (10, &[(IMAGES, "d3_")]),
    (11, &[(IMAGES, "d5_"), (IMAGES, "d6_")]),
    (12, &[(IMAGES, "d7_")]),
    (13, &[(RUNS, "d8_")]),
    (14, &[(RUNS, "d9_"), (RUNS, "kind_14_"), (IMAGES, "d20_")]),
    (15, &[(IMAGES, "d17_")]),
    (16, &[(IMAGES, "d18_")]),
    (17, &[(TABLES, "t1_")]),
    (18, &[(TABLES, "t2_")]),
    (19, &[(TABLES, "t5_")]),
    (20, &[(RUNS, "r1_")]),
    (21, &[(RUNS, "r2_")]),
    (22, &[(CHECKPOINTS, "r7_")]),
    (23, &[(ARCHS, "kind_23_")]),
    (24, &[(IMAGES, "kind_24_")]),
    (25, &[(RUNS, "kind_25_")]),
    (26, &[(IMAGES, "kind_26_")]),
];

/// Names of the tests in a file of the repository.
fn tests(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(file);
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let after_attribute = |part: &str| Some(part.split_once("fn ")?.1.split_once('(')?.0.to_owned());
    text.split("#[test]").skip(1).filter_map(after_attribute).collect()
}

#[test]
fn every_row_and_kind_of_the_report_has_its_tests() {
    let listed = ROWS.iter().flat_map(|(id, of)| of.iter().map(move |test| (id.to_string(), test)));
    let kinds = KINDS.iter().flat_map(|(kind, of)| of.iter().map(move |test| (format!("kind {kind}"), test)));
    for (what, (file, name)) in listed.chain(kinds) {
        let found = tests(file);
        assert!(found.iter().any(|test| test.starts_with(name)), "{what}: {file} has no test `{name}..`: {found:?}");
    }
    assert_eq!(KINDS.map(|(kind, _)| kind).to_vec(), (1..=26).collect::<Vec<_>>());
}

#[test]
fn every_row_is_run_by_a_test_of_its_id_in_this_target() {
    let here = [CHECKPOINTS, ARCHS, IMAGES, TABLES, RUNS, MESSAGES].map(tests).concat();
    // `c1_c2_wrappers` is of C1 and of C2.
    let ids = |name: &String| -> Vec<String> {
        let is_id = |part: &&str| part.len() > 1 && part[1..].bytes().all(|byte| byte.is_ascii_digit());
        name.split('_').take_while(is_id).map(str::to_uppercase).collect()
    };
    let found: BTreeSet<String> = here.iter().flat_map(ids).collect();
    let missing: Vec<&str> = ROWS.iter().map(|(id, _)| *id).filter(|id| !found.contains(*id)).collect();
    assert!(missing.is_empty(), "no test for {missing:?}");
}
