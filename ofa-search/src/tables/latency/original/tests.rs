use super::*;
use crate::LatencyHeader;
use crate::timing::Latency;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn spaces() -> [SearchSpace; 3] {
    let at_two = |space| SearchSpace { resolutions: vec![128, 131], ..space };
    [
        at_two(SearchSpace::mobilenet_v3(1.0, 1000)),
        at_two(SearchSpace::proxyless_nas(1.3, 1000)),
        SearchSpace::small_mobilenet_v3(1, 10),
    ]
}

/// A table in which every unit has a different latency.
fn measured(space: &SearchSpace) -> LatencyTable {
    let latency = |i| Latency { median_ms: 0.25 + i as f64 / 128.0, iqr_ms: 0.0, samples: 7 };
    let units = distinct_units(space).into_iter().enumerate().map(|(i, unit)| (unit, latency(i))).collect();
    let (space, device, threads) = (space.name.clone(), "phone".into(), "1".into());
    LatencyTable {
        header: LatencyHeader { space, device, batch: 1, threads, quantity: None, pace_ms: None, overhead: None },
        units,
        dropped_line: None,
    }
}

#[test]
fn tables_taken_to_the_original_and_back_give_the_same_latencies() {
    for space in spaces() {
        let table = measured(&space);
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("phone");
        table.to_original(&space).unwrap().save(&directory).unwrap();
        let original = OriginalLatencyTable::load(&directory).unwrap();
        assert_eq!(original.resolutions().collect::<Vec<_>>(), space.resolutions);
        let cost = original.cost(&space).unwrap();
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            let arch = space.sample(rng);
            let expected = table.latency_ms(&space, &arch).unwrap();
            // Multiples of 1/128 sum exactly.
            assert_eq!(original.latency_ms(&space, &arch).unwrap(), expected, "{arch}");
            assert_eq!(cost.of(&arch), expected, "{arch}");
        }
    }
}

/// The error message from loading a table whose only file contains `text`.
fn refused(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("224_lookup_table.yaml"), text).unwrap();
    let message = OriginalLatencyTable::load(dir.path()).unwrap_err().to_string();
    assert!(message.contains("224_lookup_table.yaml:"), "{message}");
    message
}

#[test]
fn damaged_files_are_named_with_line_and_key() {
    let cases = [
        ("a:\n  mean: 1.5\nb:\n  count: 3\n  mean: .nan\n", ".yaml:5: `b` has a mean of NaN ms"),
        ("a:\n  mean: -0.5\n", ".yaml:2: `a` has a mean of -0.5 ms"),
        ("a:\n  mean: .inf\n", ".yaml:2: `a` has a mean of inf ms"),
        ("a:\n  mean: fast\n", ".yaml:2: "),
        ("a:\n  count: 2\n", "mean"),
        ("a:\n  mean: 1.5\na:\n  mean: 2.5\n", ".yaml:3: "),
        ("a:\n  mean: [1\n", ".yaml:"),
    ];
    for (text, expected) in cases {
        let message = refused(text);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn numbers_may_be_written_in_any_way_and_other_fields_are_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let text = "# phone\na: {mean: 1e-2, std: 3}\nb: {mean: 2, count: 9}\n";
    std::fs::write(dir.path().join("128_lookup_table.yaml"), text).unwrap();
    std::fs::write(dir.path().join("notes_lookup_table.yaml"), "not a table").unwrap();
    let table = OriginalLatencyTable::load(dir.path()).unwrap();
    let entries = [("a", Entry { count: None, mean: 0.01 }), ("b", Entry { count: Some(9), mean: 2.0 })];
    let entries = entries.map(|(key, entry)| (key.to_owned(), entry));
    assert_eq!(table.entries, BTreeMap::from([(128, BTreeMap::from(entries))]));
}

#[test]
fn everything_that_is_missing_is_listed() {
    let [space, ..] = spaces();
    let mut table = measured(&space).to_original(&space).unwrap();
    let arch = space.largest().at_resolution(131);
    table.entries.get_mut(&131).unwrap().retain(|key, _| !key.starts_with("Logits") && !key.starts_with("Conv-"));
    let both = "lacks 2 units of space `mobilenet_v3_w1.0`: Conv-input:131x131x3-output:66x66x16 in \
                131_lookup_table.yaml, Logits-input:1x1x1280-output:1000 in 131_lookup_table.yaml";
    for message in [table.cost(&space).unwrap_err(), table.latency_ms(&space, &arch).unwrap_err()] {
        assert!(message.to_string().ends_with(both), "{message}");
    }
    assert!(table.latency_ms(&space, &arch.at_resolution(128)).is_ok());

    let wider = SearchSpace { resolutions: vec![96, 128, 160], ..space };
    let message = table.cost(&wider).unwrap_err().to_string();
    assert!(message.contains("lack resolutions [96, 160]") && message.contains("have [128, 131]"), "{message}");
    let message = table.cost(&SearchSpace::resnet50d(1000)).unwrap_err().to_string();
    assert!(message.contains("`resnet50d`"), "{message}");
    let dir = tempfile::tempdir().unwrap();
    let message = OriginalLatencyTable::load(dir.path()).unwrap_err().to_string();
    assert!(message.contains("no file like `224_lookup_table.yaml`"), "{message}");
}
