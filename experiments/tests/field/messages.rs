//! T8, A4, kind 6: no word of a library reaches a user, whatever is wrong with what is read.

use crate::process::{failure, ofa, tiny};
use crate::{Place, SPACE, space};
use std::path::Path;

/// Words of Rust, serde and the readers of formats.
const LEAKS: [&str; 22] = [
    "untagged",
    "usize",
    "u64",
    "u32",
    "u8",
    "i64",
    "f64",
    "f32",
    "DuplicateKeyPolicy",
    "struct ",
    " enum ",
    "variant",
    "serde",
    "panicked",
    "unwrap",
    "RUST_BACKTRACE",
    "Os {",
    "ParseIntError",
    "Err(",
    "Some(",
    "EOF while",
    "expected value",
];

fn check(message: &str, what: &str) {
    for word in LEAKS {
        assert!(!message.contains(word), "`{word}` in the message for {what}: {message}");
    }
    assert!(message.starts_with("error: ") && message.len() < 2_500, "{what}: {message}");
}

/// Values of every other sort.
const VALUES: [&str; 9] = ["\"many\"", "-1", "1.5", "true", "[]", "[1]", "{}", "99999999999999999999", "nan"];

#[test]
fn a_configuration_with_any_value_of_another_sort_is_refused_in_plain_words() {
    let place = Place::new();
    let good = tiny().to_toml().unwrap();
    let keys = [
        "seed",
        "batch_size",
        "channels",
        "archs",
        "holdout_fraction",
        "checkpoint_steps",
        "queries",
        "resolutions",
        "epochs",
        "learning_rate",
        "augment",
        "name",
        "keep_checkpoints",
    ];
    for key in keys {
        let Some(line) = good.lines().find(|line| line.starts_with(&format!("{key} = "))) else { continue };
        for value in VALUES {
            let file = place.file("config.toml", good.replacen(line, &format!("{key} = {value}"), 1));
            let output = ofa("plan", &["--config", &file, "--steps", "0"]);
            if !output.status.success() {
                let message = failure(output);
                check(&message, &format!("{key} = {value}"));
                assert!(message.contains("config.toml") || message.contains(key), "{key} = {value}: {message}");
            }
        }
    }
    for (text, expected) in [
        ("", "config.toml"),
        ("[training", "config.toml"),
        ("seed = 1\nseed = 2\n", "seed"),
        ("\u{1}", "config.toml"),
        ("{\"seed\": 1}", "config.toml"),
    ] {
        let message = failure(ofa("plan", &["--config", &place.file("config.toml", text)]));
        check(&message, text);
        assert!(message.contains(expected), "{text}: {message}");
    }
    let binary = failure(ofa("plan", &["--config", &place.file("config.toml", b"\x80\x81\xfe\xff")]));
    assert!(binary.contains("no text"), "{binary}");
}

#[test]
fn scenarios_spaces_and_schedules_are_refused_in_plain_words() {
    let place = Place::new();
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-24-default-14-epochs");
    let record = record.to_str().unwrap();
    for key in ["macs", "latency_ms", "latency_share", "energy_mj", "parameters", "name", "device", "limit"] {
        for value in VALUES {
            let name = if key == "name" { "" } else { "name = \"a\"\n" };
            let file = place.file("scenarios.toml", format!("[[scenario]]\n{name}{key} = {value}\n"));
            let output = ofa("deploy", &["--tables", record, "--scenarios", &file]);
            if !output.status.success() {
                check(&failure(output), &format!("{key} = {value}"));
            }
        }
    }
    for text in [
        "queries = -1\n",
        "strategies = [\"best\"]\n",
        "strategies = 3\n",
        "[devices.x]\nlatency = 3\n",
        "[[scenario]]\n",
    ] {
        let file = place.file("scenarios.toml", text);
        check(&failure(ofa("deploy", &["--tables", record, "--scenarios", &file])), text);
    }
    let good = serde_json::to_value(space()).unwrap();
    for key in ["name", "stages", "resolutions", "classes", "image_channels", "head", "stem"] {
        for value in ["null", "\"x\"", "-1", "1.5", "[]", "[null]", "{}", "[{}]", "true"] {
            let mut wrong = good.clone();
            wrong[key] = serde_json::from_str(value).unwrap();
            let file = place.file("space.json", wrong.to_string());
            let output = ofa("space show", &["--space", &file]);
            if !output.status.success() {
                check(&failure(output), &format!("{key}: {value}"));
            }
        }
    }
    for text in ["", "{", "[]", "3", "null", "{\"name\": \"x\"}", "not json", "{\"name\": \"x\",}"] {
        check(&failure(ofa("space show", &["--space", &place.file("space.json", text)])), text);
    }
    for text in ["", "name = 3\n", "name = \"x\"\n[[phases]]\n", "phases = 3\n", "[[phases]]\nepochs = -1\n", "name"] {
        let file = place.file("schedule.toml", text);
        check(&failure(ofa("plan", &["--preset", "smoke", "--schedule", &file, "--steps", "0"])), text);
    }
}

#[test]
fn archs_tables_and_checkpoints_are_refused_in_plain_words() {
    let place = Place::new();
    for text in [
        "",
        "{",
        "[]",
        "{}",
        "7",
        "null",
        "x",
        "r28",
        "{'ks': }",
        "{'ks': {}, 'e': 6, 'd': 4}",
        "{'ks': 7, 'e': 6, 'd': [4, -1, 4]}",
        "{'ks': 7, 'e': 6, 'd': 1e300}",
        "{\"stages\": [{}], \"resolution\": 28}",
        "{\"blocks\": [{\"conv\": {}}]}",
        "OrderedDict(",
        "{'arch': {'arch': 3}}",
        "r28-k7e6.k7e6-k7e6.k7e6-k7e6.k7e99999999999999999999",
        "[[[[]]]]",
        "r999999999999999999999-k3e3",
    ] {
        check(&failure(ofa("space show", &[&SPACE[..], &["--arch", text]].concat())), text);
        if !text.is_empty() {
            let file = place.file("arch.json", text);
            check(&failure(ofa("space show", &[&SPACE[..], &["--arch", &file]].concat())), text);
        }
    }
    for text in
        ["", "arch,ms", "{", "{}", "[]", "{\"a\": {}}", "arch,ms\n\"", "arch,ms\nx,1\n", "arch,ms\nr28-k3e3,\u{0}\n"]
    {
        let arguments =
            ["--measured", &place.file("phone.csv", text), "--device-name", "x", "--out", &place.at("t.csv")];
        check(&failure(ofa("tables import-latency", &[&SPACE[..], &arguments].concat())), text);
    }
    for text in ["", "PK\u{3}\u{4}", "\u{80}\u{2}.", "{}", "<html>", "\u{8}\0\0\0\0\0\0\0{\"a\": 1}"] {
        for name in ["net.pth", "net.safetensors"] {
            let arguments = ["--checkpoint", &place.file(name, text), "--out", &place.at("out")];
            check(&failure(ofa("weights import", &[&SPACE[..], &arguments].concat())), text);
        }
    }
}
