use super::timed_rows::GROUP;
use super::*;
use crate::testing::{all_archs, tiny_space};
use std::path::PathBuf;

struct Fixture {
    dir: tempfile::TempDir,
    space: SearchSpace,
    config: LatencyConfig,
}

impl Fixture {
    /// A space with few units, and few samples per unit.
    fn new() -> Self {
        let mut space = tiny_space();
        space.resolutions = vec![8];
        space.stages[0].kernel_sizes = vec![3];
        let config = LatencyConfig { warmup: 1, min_samples: 3, max_samples: 4, ..LatencyConfig::default() };
        Self { dir: tempfile::tempdir().unwrap(), space, config }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("latency.csv")
    }

    fn build(&self) -> (LatencyTable, Vec<(usize, usize)>) {
        let mut seen = Vec::new();
        let progress = |done, total, _: &Unit, _: &Latency| {
            seen.push((done, total));
            ControlFlow::Continue(())
        };
        let table = LatencyTable::measure(&self.path(), &self.space, &Device::flex(), &self.config, progress).unwrap();
        (table, seen)
    }

    fn refused(&self, space: &SearchSpace, config: &LatencyConfig) -> String {
        let result =
            LatencyTable::measure(&self.path(), space, &Device::flex(), config, |_, _, _, _| ControlFlow::Continue(()));
        result.unwrap_err().to_string()
    }

    /// Loads the file after `change` of its lines.
    fn load_after(&self, change: impl Fn(&mut Vec<String>)) -> Result<LatencyTable, SearchError> {
        let text = std::fs::read_to_string(self.path()).unwrap();
        let mut lines: Vec<String> = text.lines().map(Into::into).collect();
        change(&mut lines);
        let path = self.dir.path().join("changed.csv");
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        LatencyTable::load(&path, &self.space)
    }
}

/// Replaces a column of the first row.
fn set(lines: &mut [String], column: &str, value: &str) {
    let column = LatencyFormat::COLUMNS.iter().position(|name| *name == column).unwrap();
    let mut fields: Vec<&str> = lines[2].split(',').collect();
    fields[column] = value;
    lines[2] = fields.join(",");
}

#[test]
fn every_unit_is_timed_once_and_sums_up() {
    let fixture = Fixture::new();
    let (table, seen) = fixture.build();
    // Stem, first block, two first and two later blocks, head.
    assert_eq!(seen, (1..=7).map(|done| (done, 7)).collect::<Vec<_>>());
    assert!(table.units().all(|(_, latency)| latency.median_ms > 0.0 && (3..=4).contains(&latency.samples)));
    assert_eq!(table.header().device, "Flex(Cpu)");

    let cost = table.cost(&fixture.space).unwrap();
    for arch in all_archs(&fixture.space) {
        let units = fixture.space.units(&arch);
        let sum: f64 = units.iter().map(|unit| table.units[unit].median_ms).sum();
        let (slow, fast) = (table.latency_ms(&fixture.space, &arch).unwrap(), cost.of(&arch));
        assert!((slow - sum).abs() < 1e-12 && (fast - sum).abs() < 1e-12, "{sum} {slow} {fast}");
    }
    assert_eq!(LatencyTable::load(&fixture.path(), &fixture.space).unwrap().units, table.units);
    assert_eq!(fixture.build().1, [], "a finished table is not measured again");
}

#[test]
fn a_builder_that_is_asked_to_stop_does_so_after_a_group_and_goes_on() {
    let mut fixture = Fixture::new();
    fixture.space = SearchSpace { resolutions: vec![8], ..SearchSpace::small_mobilenet_v3(1, 10) };
    fixture.config = LatencyConfig { warmup: 0, min_samples: 1, max_samples: 1, ..fixture.config };
    let total = distinct_units(&fixture.space).len();
    assert!(total > GROUP, "{total}");
    let stop = |_, _, _: &Unit, _: &Latency| ControlFlow::Break(());
    let result = LatencyTable::measure(&fixture.path(), &fixture.space, &Device::flex(), &fixture.config, stop);
    assert!(matches!(result, Err(SearchError::Stopped { done: GROUP, .. })), "{result:?}");
    assert_eq!(fixture.build().1, (GROUP + 1..=total).map(|done| (done, total)).collect::<Vec<_>>());
}

#[test]
fn a_killed_builder_goes_on_where_it_stopped() {
    let fixture = Fixture::new();
    let (whole, _) = fixture.build();
    let text = std::fs::read_to_string(fixture.path()).unwrap();
    let keep: usize = text.lines().take(5).map(|line| line.len() + 1).sum();
    std::fs::write(fixture.path(), &text[..keep + 9]).unwrap();

    let (table, seen) = fixture.build();
    assert_eq!(seen, [(4, 7), (5, 7), (6, 7), (7, 7)]);
    assert_eq!(table.dropped_line().map(str::len), Some(9));
    let kept = table.units.iter().filter(|(unit, latency)| whole.units[unit] == **latency).count();
    assert!(kept >= 3, "{kept}");
    assert_eq!(table.units.len(), 7);
}

#[test]
fn tables_of_other_conditions_are_refused_and_named() {
    let fixture = Fixture::new();
    fixture.build();
    let (space, config) = (&fixture.space, &fixture.config);
    let message = fixture.refused(space, &LatencyConfig { batch: 8, ..config.clone() });
    assert!(message.contains("the table's batch is 1, not 8"), "{message}");
    let message = fixture.refused(space, &LatencyConfig { threads_note: Some("64 threads".into()), ..config.clone() });
    assert!(message.contains("the table's threads is"), "{message}");
    let other = SearchSpace { name: "other".into(), ..space.clone() };
    let message = fixture.refused(&other, config);
    assert!(message.contains(r#"the table's space is "tiny", not "other""#), "{message}");
    assert!(LatencyTable::load(&fixture.path(), &other).is_err());

    let text = std::fs::read_to_string(fixture.path()).unwrap().replace("Flex(Cpu)", "Phone");
    std::fs::write(fixture.path(), text).unwrap();
    let message = fixture.refused(space, config);
    assert!(message.contains(r#"the table's device is "Phone", not "Flex(Cpu)""#), "{message}");
}

#[test]
fn missing_units_are_listed() {
    let fixture = Fixture::new();
    fixture.build();
    let table = fixture.load_after(|lines| lines.truncate(7)).unwrap();
    let error = table.cost(&fixture.space).unwrap_err();
    let SearchError::MissingUnits { missing, .. } = &error else { panic!("{error}") };
    assert_eq!(missing.len(), 2);
    assert!(error.to_string().contains("the latency table of Flex(Cpu) lacks 2 units of space `tiny`: "), "{error}");
    assert!(error.to_string().ends_with(&missing.join(", ")), "{error}");
}

#[test]
fn impossible_rows_name_file_and_line() {
    let fixture = Fixture::new();
    fixture.build();
    let cases = [
        ("median_ms", "-0.5", "csv:3: "),
        ("median_ms", "NaN", "NaN ms"),
        ("iqr_ms", "inf", "interquartile range of inf ms"),
        ("samples", "few", "csv:3: "),
        ("macs", "1", "and 1 MACs here"),
        ("unit", "block:in8@8", "`block:in8@8` is not a unit"),
    ];
    for (column, value, expected) in cases {
        let message = fixture.load_after(|lines| set(lines, column, value)).unwrap_err().to_string();
        assert!(message.contains("changed.csv:3") && message.contains(expected), "{message}");
    }
    let repeat = |lines: &mut Vec<String>| {
        lines.push(lines[2].clone());
        set(lines, "median_ms", "123");
    };
    let error = fixture.load_after(repeat).unwrap_err();
    assert!(matches!(error, SearchError::ConflictingRows { line: 10, .. }), "{error}");
}

#[test]
fn a_fitted_overhead_corrects_sums_and_is_kept() {
    let fixture = Fixture::new();
    let space = &fixture.space;
    let (mut table, _) = fixture.build();
    let measured: Vec<(Arch, f64)> = all_archs(space)
        .into_iter()
        .map(|arch| {
            let sum = table.latency_ms(space, &arch).unwrap();
            (arch, 3.0 + 0.5 * sum)
        })
        .collect();
    let overhead = table.fit_overhead(space, &measured).unwrap();
    assert!((overhead.slope - 0.5).abs() < 1e-6 && (overhead.intercept_ms - 3.0).abs() < 1e-6, "{overhead:?}");
    table.save(&fixture.path()).unwrap();
    let loaded = LatencyTable::load(&fixture.path(), space).unwrap();
    let cost = loaded.cost(space).unwrap();
    for (arch, ms) in &measured {
        assert!((loaded.latency_ms(space, arch).unwrap() - ms).abs() < 1e-6);
        assert!((cost.of(arch) - ms).abs() < 1e-6);
    }
    assert_eq!(fixture.build().0.header().overhead, Some(overhead), "an overhead is a result, not a condition");

    let error = table.fit_overhead(space, &[(measured[0].0.clone(), -1.0)]).unwrap_err();
    assert!(matches!(error, SearchError::InvalidLatency { latency_ms: -1.0, .. }), "{error}");
    assert_eq!(table.header().overhead, Some(overhead), "a failed fit changes nothing");
    let again = table.fit_overhead(space, &measured).unwrap();
    assert!((again.slope - 0.5).abs() < 1e-6, "a new fit does not build on the old one: {again:?}");
}

#[test]
fn rows_are_brought_to_one_pace_which_a_resumed_builder_keeps() {
    let fixture = Fixture::new();
    let (whole, _) = fixture.build();
    let pace_ms = whole.header().pace_ms.unwrap();
    assert!(pace_ms > 0.0);
    // As if the machine had been a million times slower when the table was started: later rows are scaled to that pace.
    let text = std::fs::read_to_string(fixture.path()).unwrap();
    let usual = pace_ms * 1e6;
    let begun: Vec<String> = text.lines().take(3).map(Into::into).collect();
    let begun = begun.join("\n").replace(&format!("\"pace_ms\":{pace_ms}"), &format!("\"pace_ms\":{usual}"));
    assert!(begun.contains(&format!("\"pace_ms\":{usual}")), "{begun}");
    std::fs::write(fixture.path(), begun + "\n").unwrap();
    let (table, seen) = fixture.build();
    assert_eq!((table.header().pace_ms, seen.len()), (Some(usual), 6));
    let slow = table.units.values().filter(|latency| latency.median_ms > 100.0).count();
    assert_eq!(slow, 6, "{:?}", table.units.values());
}

#[test]
fn a_table_without_a_pace_goes_on_without() {
    let fixture = Fixture::new();
    let (whole, _) = fixture.build();
    let pace = format!(",\"pace_ms\":{}", whole.header().pace_ms.unwrap());
    let text = std::fs::read_to_string(fixture.path()).unwrap();
    assert!(text.contains(&pace), "{text}");
    let begun: Vec<String> = text.replace(&pace, "").lines().take(3).map(Into::into).collect();
    std::fs::write(fixture.path(), begun.join("\n") + "\n").unwrap();
    let (table, seen) = fixture.build();
    assert_eq!((table.header().pace_ms, seen.len()), (None, 6));
}

#[test]
fn a_constraint_takes_tables_of_its_quantity_alone() {
    let fixture = Fixture::new();
    let (mut table, _) = fixture.build();
    let (space, arch) = (&fixture.space, fixture.space.largest());
    let refused = |result: Result<crate::Constraint<'_>, SearchError>| result.unwrap_err().to_string();
    let message = refused(crate::Constraint::energy(&table, space, 1.0));
    assert!(message.contains("quantity is latency in ms, not energy_mj"), "{message}");
    table.header.quantity = Some(LatencyTable::ENERGY.into());
    let message = refused(crate::Constraint::latency(&table, space, 1.0));
    assert!(message.contains("quantity is energy_mj, not latency in ms"), "{message}");
    let energy = crate::Constraint::energy(&table, space, 1.0).unwrap();
    assert_eq!((energy.cost)(&arch), table.cost(space).unwrap().of(&arch));
    assert_eq!(format!("{energy:?}"), "energy <= 1 mJ");
}
