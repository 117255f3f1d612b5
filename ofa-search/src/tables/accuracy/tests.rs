use super::*;
use crate::testing::{accuracy_header, tiny_space};
use std::convert::Infallible;
use std::path::PathBuf;

struct Fixture {
    dir: tempfile::TempDir,
    space: SearchSpace,
    archs: Vec<Arch>,
}

impl Fixture {
    fn new() -> Self {
        let archs = ["r8-k3e3", "r8-k5e3", "r12-k3e6.k3e3"].map(|text| text.parse().unwrap()).to_vec();
        Self { dir: tempfile::tempdir().unwrap(), space: tiny_space(), archs }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("accuracy.csv")
    }

    /// Builds the table of the first `n` archs. Also returns the archs that were measured.
    fn build(&self, n: usize) -> (AccuracyTable, Vec<Arch>) {
        let mut measured = Vec::new();
        let measure = |arch: &Arch| {
            measured.push(arch.clone());
            Ok::<_, Infallible>(top1(arch))
        };
        let header = accuracy_header(&self.space);
        let table = AccuracyTable::measure(&self.path(), &header, &self.space, &self.archs[..n], measure, |_, _, _| ())
            .unwrap();
        (table, measured)
    }

    /// The error message from loading the file after `change`.
    fn error_after(&self, change: impl Fn(String) -> String) -> String {
        self.build(3);
        let text = std::fs::read_to_string(self.path()).unwrap();
        std::fs::write(self.path(), change(text)).unwrap();
        AccuracyTable::load(&self.path(), &self.space).unwrap_err().to_string()
    }
}

fn top1(arch: &Arch) -> f64 {
    0.5 + 0.01 * arch.resolution as f64
}

#[test]
fn rows_are_measured_once_and_resumed() {
    let fixture = Fixture::new();
    let mut archs = fixture.archs.clone();
    archs.push(archs[0].clone());
    let header = accuracy_header(&fixture.space);
    let mut seen = Vec::new();
    let measure = |arch: &Arch| Ok::<_, Infallible>(top1(arch));
    let progress = |done, total, _: &AccuracyRow| seen.push((done, total));
    AccuracyTable::measure(&fixture.path(), &header, &fixture.space, &archs[1..], measure, progress).unwrap();
    assert_eq!(seen, [(1, 3), (2, 3), (3, 3)]);

    let (table, measured) = fixture.build(3);
    assert_eq!(measured, []);
    assert_eq!(table.rows().len(), 3);
    assert_eq!(table.get(&archs[0]), Some(0.58));
    assert_eq!(AccuracyTable::load(&fixture.path(), &fixture.space).unwrap().rows(), table.rows());
}

#[test]
fn a_failed_measurement_keeps_the_rows_before_it() {
    let fixture = Fixture::new();
    let header = accuracy_header(&fixture.space);
    let fail_at_second = |arch: &Arch| if *arch == fixture.archs[1] { Err("out of memory") } else { Ok(top1(arch)) };
    let error =
        AccuracyTable::measure(&fixture.path(), &header, &fixture.space, &fixture.archs, fail_at_second, |_, _, _| ())
            .unwrap_err();
    assert_eq!(error.to_string(), "measuring arch `r8-k5e3`: out of memory");
    assert_eq!(fixture.build(3).1, fixture.archs[1..]);
}

#[test]
fn a_truncated_last_line_is_dropped_and_measured_again() {
    let fixture = Fixture::new();
    let (whole, _) = fixture.build(3);
    let bytes = std::fs::read(fixture.path()).unwrap();
    std::fs::write(fixture.path(), &bytes[..bytes.len() - 5]).unwrap();

    let loaded = AccuracyTable::load(&fixture.path(), &fixture.space).unwrap();
    assert_eq!(loaded.rows().len(), 2);
    assert!(loaded.dropped_line().unwrap().starts_with("r12-k3e6.k3e3,"), "{:?}", loaded.dropped_line());

    let (table, measured) = fixture.build(3);
    assert_eq!(measured, fixture.archs[2..]);
    assert!(table.dropped_line().is_some());
    assert_eq!(table.rows(), whole.rows());
    assert_eq!(std::fs::read(fixture.path()).unwrap(), bytes);
}

#[test]
fn another_header_is_refused_and_named() {
    let fixture = Fixture::new();
    fixture.build(1);
    let header = AccuracyHeader { validation_images: 7, ..accuracy_header(&fixture.space) };
    let measure = |_: &Arch| Ok::<_, Infallible>(0.5);
    let refuse = |header: &AccuracyHeader, space: &SearchSpace| {
        AccuracyTable::measure(&fixture.path(), header, space, &[], measure, |_, _, _| ()).unwrap_err().to_string()
    };
    let message = refuse(&header, &fixture.space);
    assert!(message.contains("validation images is 100, not 7"), "{message}");

    let other = SearchSpace { name: "other".into(), ..tiny_space() };
    let message = refuse(&accuracy_header(&other), &other);
    assert!(message.contains(r#"space is "tiny", not "other""#), "{message}");
    assert!(AccuracyTable::load(&fixture.path(), &other).is_err());
}

#[test]
fn damaged_rows_name_file_and_line() {
    let cases: [(&str, &str, &str); 6] = [
        ("0.58,", "1.58,", "csv:3: top1 of `r8-k3e3` is 1.58"),
        ("0.58,", "NaN,", "csv:3: top1 of `r8-k3e3` is NaN"),
        ("k5e3,", "k9e3,", "csv:4: arch `r8-k9e3` is outside the space `tiny`: stage 1 block 1 kernel size is 9"),
        ("r12-k3e6", "r12_k3e6", "csv:5: "),
        ("parameters\n", "params\n", "csv:2: columns are `arch,top1,macs,params`"),
        ("# accuracy", "# latency", "csv:1: not a table"),
    ];
    for (from, to, expected) in cases {
        let message = Fixture::new().error_after(|text| text.replacen(from, to, 1));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn conflicting_rows_are_refused_and_equal_ones_are_not() {
    let repeat_first = |text: String, top1: &str| {
        let row = text.lines().nth(2).unwrap().replace("0.58", top1);
        format!("{text}{row}\n")
    };
    let message = Fixture::new().error_after(|text| repeat_first(text, "0.6"));
    assert!(message.contains("csv:6: `r8-k3e3` has 0.6 here, but 0.58 in an earlier row"), "{message}");

    let fixture = Fixture::new();
    fixture.build(3);
    let text = std::fs::read_to_string(fixture.path()).unwrap();
    std::fs::write(fixture.path(), repeat_first(text, "0.58")).unwrap();
    assert_eq!(AccuracyTable::load(&fixture.path(), &fixture.space).unwrap().rows().len(), 3);
}

#[test]
fn a_space_of_the_same_name_but_other_widths_is_noticed() {
    let fixture = Fixture::new();
    fixture.build(1);
    let mut wider = tiny_space();
    wider.stages[0].channels += 8;
    let message = AccuracyTable::load(&fixture.path(), &wider).unwrap_err().to_string();
    assert!(message.contains("csv:3: `r8-k3e3` has"), "{message}");
}

#[test]
fn accuracies_outside_0_to_1_are_refused_when_measured() {
    let fixture = Fixture::new();
    for top1 in [f64::NAN, -0.1, 93.0] {
        let measure = |_: &Arch| Ok::<_, Infallible>(top1);
        let header = accuracy_header(&fixture.space);
        let error =
            AccuracyTable::measure(&fixture.path(), &header, &fixture.space, &fixture.archs, measure, |_, _, _| ())
                .unwrap_err();
        assert!(matches!(error, SearchError::InvalidAccuracy { .. }), "{error}");
    }
    assert_eq!(AccuracyTable::load(&fixture.path(), &fixture.space).unwrap().rows(), []);
}

#[test]
fn two_builders_of_one_table_are_refused() {
    let fixture = Fixture::new();
    let header = accuracy_header(&fixture.space);
    let second_builder = |_: &Arch| {
        AccuracyTable::measure(
            &fixture.path(),
            &header,
            &fixture.space,
            &[],
            |_| Ok::<_, Infallible>(0.5),
            |_, _, _| (),
        )
        .map(|_| 0.5)
    };
    let error =
        AccuracyTable::measure(&fixture.path(), &header, &fixture.space, &fixture.archs, second_builder, |_, _, _| ())
            .unwrap_err();
    assert!(error.to_string().contains("another process is building this table"), "{error}");
}

#[test]
fn look_up_takes_the_best_that_is_cheap_enough() {
    let (table, _) = Fixture::new().build(3);
    let resolution = |arch: &Arch| arch.resolution as f64;
    assert_eq!(table.best_under(12.0, resolution).unwrap().top1, 0.62);
    // Two rows have the same accuracy at 8 px; the smaller kernel is cheaper.
    let kernel = |arch: &Arch| arch.stages[0].blocks[0].kernel_size as f64 + arch.resolution as f64;
    assert_eq!(table.best_under(14.0, kernel).unwrap().arch.to_string(), "r8-k3e3");
    assert_eq!(table.best_under(7.0, resolution), None);
}

#[test]
fn the_nearest_row_differs_in_the_fewest_choices() {
    let (table, _) = Fixture::new().build(3);
    let nearest = |text: &str| table.nearest(&text.parse().unwrap()).unwrap().arch.to_string();
    assert_eq!(nearest("r8-k5e3"), "r8-k5e3");
    assert_eq!(nearest("r8-k5e6"), "r8-k5e3");
    assert_eq!(nearest("r8-k3e6.k3e3"), "r12-k3e6.k3e3");
    assert_eq!(nearest("r8-k3e3.k3e3"), "r8-k3e3", "the first of two that differ in two");
}

#[test]
fn accuracies_in_integers_are_a_column_of_their_own() {
    let fixture = Fixture::new();
    let header = AccuracyHeader { int8: Some("min-max".into()), ..accuracy_header(&fixture.space) };
    let both = |arch: &Arch| Accuracies { top1: top1(arch), int8_top1: Some(top1(arch) - 0.1) };
    let build = |header: &AccuracyHeader, archs: &[Arch]| {
        let measure = |arch: &Arch| Ok::<_, Infallible>(both(arch));
        AccuracyTable::measure(&fixture.path(), header, &fixture.space, archs, measure, |_, _, _| ())
    };
    // Resumed after two rows.
    build(&header, &fixture.archs[..2]).unwrap();
    let table = build(&header, &fixture.archs).unwrap();
    let text = std::fs::read_to_string(fixture.path()).unwrap();
    assert!(text.contains("arch,top1,macs,parameters,int8_top1\nr8-k3e3,0.58,"), "{text}");
    let loaded = AccuracyTable::load(&fixture.path(), &fixture.space).unwrap();
    assert_eq!(loaded.rows(), table.rows());
    let int8 = loaded.in_int8().unwrap();
    assert_eq!(int8.get(&fixture.archs[0]), Some(0.58 - 0.1));
    assert_eq!((int8.rows().len(), int8.header().int8.as_deref()), (3, None));
    assert!(int8.header().source.contains("min-max"));
    assert!(matches!(int8.in_int8(), Err(SearchError::NoInt8)));

    // What a header does not announce is refused, and the other way round.
    let message = build(&accuracy_header(&fixture.space), &[]).unwrap_err().to_string();
    assert!(
        message.contains("columns are `arch,top1,macs,parameters,int8_top1`") || message.contains("int8"),
        "{message}"
    );
    let other = AccuracyHeader { int8: Some("percentile".into()), ..header.clone() };
    assert!(build(&other, &[]).unwrap_err().to_string().contains("int8 is \"min-max\", not \"percentile\""));
    for (from, to, expected) in [
        (",0.48\n", ",1.48\n", "csv:3: top1 of `r8-k3e3` is 1.48"),
        (",0.48\n", ",\n", "csv:3: `r8-k3e3`: int8_top1 is missing"),
        (
            ",int8_top1\n",
            "\n",
            "csv:2: columns are `arch,top1,macs,parameters`, expected `arch,top1,macs,parameters,int8",
        ),
    ] {
        std::fs::write(fixture.path(), text.replacen(from, to, 1)).unwrap();
        let message = AccuracyTable::load(&fixture.path(), &fixture.space).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_measurement_must_be_what_the_header_says() {
    let fixture = Fixture::new();
    let header = AccuracyHeader { int8: Some("min-max".into()), ..accuracy_header(&fixture.space) };
    let build = |header: &AccuracyHeader, accuracies: Accuracies| {
        let dir = tempfile::tempdir().unwrap();
        let measure = |_: &Arch| Ok::<_, Infallible>(accuracies);
        let path = dir.path().join("accuracy.csv");
        AccuracyTable::measure(&path, header, &fixture.space, &fixture.archs[..1], measure, |_, _, _| ())
            .unwrap_err()
            .to_string()
    };
    assert!(build(&header, 0.5.into()).contains("int8_top1 is missing"));
    let both = Accuracies { top1: 0.5, int8_top1: Some(0.5) };
    assert!(build(&accuracy_header(&fixture.space), both).contains("int8_top1 has no place"));
    assert!(build(&header, Accuracies { int8_top1: Some(1.5), ..both }).contains("1.5"));
}
