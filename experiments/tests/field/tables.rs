//! T1 to T8, kinds 17 to 19: tables as people measure them.

use crate::process::{failure, ofa, success};
use crate::{Place, SPACE, sampled, space};
use ofa_model::Arch;
use ofa_search::{AccuracyTable, LatencyTable};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Random networks, and a latency in milliseconds that is a sum over their blocks.
fn measured(count: u64) -> Vec<(Arch, f64)> {
    let latency = |arch: &Arch| {
        let blocks = arch.stages.iter().flat_map(|stage| &stage.blocks);
        0.1 + blocks.map(|block| 0.02 * block.kernel_size as f64).sum::<f64>() * (arch.resolution as f64 / 28.0)
    };
    (0..count).map(sampled).map(|arch| (arch.clone(), latency(&arch))).collect()
}

/// A file with a header and one line for each network.
fn lines(header: &str, line: impl Fn(&Arch, f64) -> String) -> String {
    let rows: String = measured(50).iter().map(|(arch, ms)| line(arch, *ms) + "\n").collect();
    format!("{header}\n{rows}")
}

/// Imports a file of latencies: the table, and what was said.
fn imported(place: &Place, text: &str, more: &[&str]) -> Result<(LatencyTable, String), String> {
    let (file, out) = (place.file("phone.csv", text), place.at("table.csv"));
    fs::remove_file(&out).ok();
    let arguments = ["--measured", &file, "--device-name", "phone", "--out", &out];
    let output = ofa("tables import-latency", &[&SPACE[..], &arguments, more].concat());
    if !output.status.success() {
        assert!(!Path::new(&out).exists());
        return Err(failure(output));
    }
    let said = success(output);
    Ok((LatencyTable::load(Path::new(&out), &space()).unwrap(), said))
}

#[test]
fn t1_units_are_those_of_the_columns_name() {
    let place = Place::new();
    let (expected, said) = imported(&place, &lines("arch,ms", |arch, ms| format!("{arch},{ms}")), &[]).unwrap();
    let range = said.split("column `ms`, ").nth(1).unwrap().split(" ms").next().unwrap().to_owned();
    let arch = space().largest();
    let of = |table: &LatencyTable| table.latency_ms(&space(), &arch).unwrap();
    for (name, factor) in [
        ("seconds", 1e-3),
        ("Latency (us)", 1e3),
        ("cpu_time_ns", 1e6),
        ("p50 [msec]", 1.0),
        ("mean latency, \u{b5}s", 1e3),
        ("elapsed_sec", 1e-3),
    ] {
        let text = lines(&format!("arch\t{name}"), |arch, ms| format!("{arch}\t{}", ms * factor));
        let (table, said) = imported(&place, &text, &[]).unwrap();
        assert!(said.contains(&range), "{name}: {said}");
        assert!((of(&table) / of(&expected) - 1.0).abs() < 1e-6, "{name}");
    }
    for name in ["minutes", "fps", "latency", "cycles", "images/second per core"] {
        let message = imported(&place, &lines(&format!("arch;{name}"), |arch, ms| format!("{arch};{ms}")), &[]);
        let message = message.err().unwrap_or_else(|| panic!("{name} is no time"));
        assert!(message.contains("does not say its unit: rename it to latency_ms"), "{message}");
    }
}

#[test]
fn t2_repeats_are_medians_and_columns_come_in_any_order() {
    let place = Place::new();
    let text: String = measured(50)
        .iter()
        .flat_map(|(arch, ms)| [0.9, 1.0, 4.0].map(|noise| format!("{noise},{},\"{arch}\",x y\n", noise * ms)))
        .collect();
    let (table, said) = imported(&place, &format!("run,latency_ms,arch,note\n{text}"), &[]).unwrap();
    assert!(said.contains("50 networks") && said.contains("150 rows, medians of repeats"), "{said}");
    let (once, _) = imported(&place, &lines("arch,ms", |arch, ms| format!("{arch},{ms}")), &[]).unwrap();
    let of = |table: &LatencyTable| table.latency_ms(&space(), &space().smallest()).unwrap();
    assert!((of(&table) / of(&once) - 1.0).abs() < 1e-6);
    // Columns of an index, of others' names, and numbers with a comma.
    let text = lines(";Unnamed: 0;Sub-network;Latency (ms)", |arch, ms| {
        format!("3;4;{arch};{}", ms.to_string().replace('.', ","))
    });
    assert!((of(&imported(&place, &text, &[]).unwrap().0) / of(&once) - 1.0).abs() < 1e-6);
    let two = lines("arch,cpu_ms,gpu_ms", |arch, ms| format!("{arch},{ms},1"));
    let message = imported(&place, &two, &[]).err().unwrap();
    assert!(message.contains("several columns would fit: cpu_ms, gpu_ms; choose one with --column"), "{message}");
    assert!((of(&imported(&place, &two, &["--column", "cpu_ms"]).unwrap().0) / of(&once) - 1.0).abs() < 1e-6);
    let energy = lines("energy_mj,arch", |arch, ms| format!("{ms},{arch}"));
    assert!(imported(&place, &energy, &["--quantity", "energy_mj"]).unwrap().1.contains("mj"));
    for (text, problem) in [
        (lines("arch,ms", |arch, _| format!("{arch},-1")), "not a positive number"),
        (lines("arch,ms", |arch, _| format!("{arch},n/a")), "was measured as `n/a`"),
        (lines("net,ms", |_, ms| format!("resnet18,{ms}")), "no column is called `arch`, and none alone begins with"),
        (lines("arch,ms", |_, ms| format!("r28-k3e3,{ms}")), "csv:2: arch `r28-k3e3` is outside the space"),
        (lines("", |arch, ms| format!("{arch},{ms}")).trim_start().to_owned(), "the first line is a row"),
        (String::new(), "no column is called `arch`"),
        (format!("[{{\"arch\": \"{}\"}}]", "x".repeat(9000)), "no column is called `arch`"),
    ] {
        let message = imported(&place, &text, &[]).err().unwrap();
        assert!(message.contains(problem) && message.len() < 700, "{message}");
    }
}

#[test]
fn t5_accuracies_of_others_become_a_table_that_predictors_learn_from() {
    let place = Place::new();
    let dictionary: BTreeMap<String, f64> = measured(40)
        .iter()
        .map(|(arch, ms)| (serde_json::to_string(&arch.to_original(&space())).unwrap(), 0.5 + ms / 40.0))
        .collect();
    let as_dict = serde_json::to_string(&dictionary).unwrap();
    let csv = |header: &str, scale: f64| {
        let rows = measured(40).into_iter().map(|(arch, ms)| format!("{ms},{},{arch}\n", scale * (0.5 + ms / 40.0)));
        format!("{header}\n{}", rows.collect::<String>())
    };
    for (name, text) in [
        ("224.dict", as_dict),
        ("ours.csv", csv("latency,top1,arch", 1.0)),
        ("percent.csv", csv("Latency (ms),Top-1 Acc (%),Sub-network", 100.0)),
    ] {
        let (file, out) = (place.file(name, text), place.at(&format!("of-{name}/accuracy.csv")));
        let arguments = ["--measured", &file, "--images", "10000", "--out", &out];
        success(ofa("tables import-accuracy", &[&SPACE[..], &arguments].concat()));
        let table = AccuracyTable::load(Path::new(&out), &space()).unwrap();
        let (arch, ms) = &measured(40)[7];
        assert!((table.get(arch).unwrap() - (0.5 + ms / 40.0)).abs() < 1e-9, "{name}");
        let fit = [
            "--predictors",
            "kernel_ridge",
            "--rows",
            "20",
            "--seeds",
            "1",
            "--tables",
            &place.at(&format!("of-{name}")),
        ];
        assert!(success(ofa("tables fit", &fit)).contains("40 rows of small_mobilenet_v3 on 10000 images"));
    }
    let wrong = place.file("wrong.dict", "{\"ks\": 3}");
    let arguments = ["--measured", &wrong, "--images", "1", "--out", &place.at("no/accuracy.csv")];
    let message = failure(ofa("tables import-accuracy", &[&SPACE[..], &arguments].concat()));
    assert!(message.contains("wrong.dict") && !Path::new(&place.at("no")).exists(), "{message}");
}

#[test]
fn t8_scenarios_say_what_a_limit_may_be() {
    let place = Place::new();
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-24-default-14-epochs");
    for limit in ["\"0.6 ms\"", "true", "{ ms = 3 }", "[1, \"2\"]", "[[1]]"] {
        let text = format!("[[scenario]]\nname = \"a\"\nlatency_ms = {limit}\n");
        let file = place.file("scenarios.toml", text);
        let message = failure(ofa("deploy", &["--tables", record.to_str().unwrap(), "--scenarios", &file]));
        assert!(message.contains("latency_ms must be a number or a list of numbers"), "{message}");
    }
    for limit in ["[]", "-1", "0", "nan"] {
        let file = place.file("scenarios.toml", format!("[[scenario]]\nname = \"a\"\nlatency_ms = {limit}\n"));
        let message = failure(ofa("deploy", &["--tables", record.to_str().unwrap(), "--scenarios", &file]));
        assert!(message.contains("latency_ms") && message.contains("`a`"), "{message}");
    }
}
