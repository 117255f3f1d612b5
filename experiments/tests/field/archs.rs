//! A1 to A5, kinds 5, 7 and 23: archs as people have them.

use crate::process::{failure, ofa, said, success};
use crate::{Place, SPACE, sampled, space};
use std::fs;
use std::path::Path;

/// What `ofa space show` prints first for an arch: its text form.
fn shown(arch: &str) -> String {
    let said = success(ofa("space show", &[&SPACE[..], &["--arch", arch]].concat()));
    said.lines().next().unwrap_or_default().to_owned()
}

fn refused(arch: &str) -> String {
    failure(ofa("space show", &[&SPACE[..], &["--arch", arch]].concat()))
}

const LARGEST: &str = "r28-k7e6.k7e6.k7e6.k7e6-k7e6.k7e6.k7e6.k7e6-k7e6.k7e6.k7e6.k7e6";

#[test]
fn a1_dictionaries_of_tutorials_and_logs() {
    let place = Place::new();
    let (ks, e) = ([7; 12], [6; 12]);
    let written = [
        format!("{{'wid': None, 'ks': {ks:?}, 'e': {e:?}, 'd': [4, 4, 4], 'r': [28]}}"),
        format!("{{\"d\": [4, 4, 4], \"e\": {e:?}, \"ks\": {ks:?}, \"r\": 28, \"w\": null}}"),
        format!("OrderedDict([('ks', {ks:?}), ('e', {e:?}), ('d', (4, 4, 4)), ('r', [28])])"),
        format!("INFO 12:03 best subnet so far: {{'ks': {ks:?}, 'e': {e:?}, 'd': [4, 4, 4], 'r': [28]}} acc 0.79"),
        format!("Namespace(ks={ks:?}, e={e:?}, d=[4, 4, 4], image_size=28)"),
        format!("{{'ks': array({ks:?}, dtype=int64), 'e': tensor({e:?}), 'd': [np.int64(4), 4.0, '4']}}"),
    ];
    for text in written {
        assert_eq!(shown(&text), LARGEST, "{text}");
        assert_eq!(shown(&place.file("arch.json", &text)), LARGEST, "{text}");
    }
}

#[test]
fn a2_one_value_for_all_blocks_in_any_number_format() {
    for text in [
        "{'ks': 7, 'e': 6, 'd': 4}",
        "{\"ks\": 7.0, \"e\": \"6\", \"d\": 4}",
        "{'ks': 7, 'e': 6, 'd': '4', 'acc': nan, 'latency': {'cpu': 3.2}}",
        "dict(ks=7, e=6, d=4, seed=0)",
    ] {
        assert_eq!(shown(text), LARGEST, "{text}");
    }
    assert!(refused("{'ks': [7], 'e': 6, 'd': 4}").contains("`ks` of the original's arch has 1 entries"));
    assert!(refused("{'ks': 7, 'e': 6, 'd': 5}").contains("stage 1 depth is 5, allowed: 2, 3, 4"));
    assert!(refused("{'ks': 'big', 'e': 6, 'd': 4}").contains("`ks` is \"big\", expected a whole number"));
}

#[test]
fn a3_what_we_write_is_read_again() {
    let place = Place::new();
    let (net, pixels, out) = (place.supernet("net", 1), place.pixels(24), place.at("run/subnets/small"));
    let arch = space().smallest().at_resolution(24).to_string();
    fs::create_dir_all(place.at("run/subnets")).unwrap();
    success(ofa("subnet export", &[&net, "--arch", &arch, "--calibrate", &pixels, "--out", &out]));
    let lines = format!("# scores\n\n{arch}\r\n{arch},0.7,0.9\n(0.7, {{'ks': 3, 'e': 3, 'd': 2, 'r': 24}})\n");
    for form in [&*out, &format!("{out}/"), &format!("{out}/card.json"), &format!("{arch},0.71,12"), &arch] {
        assert_eq!(shown(form), arch, "{form}");
    }
    let archs = place.file("archs.csv", lines);
    let scored =
        said(ofa("subnet evaluate", &[&net, "--archs", &archs, "--images", "10", "--calibration-images", "8"]));
    assert_eq!(scored.matches(&format!("\n{arch},10,")).count(), 3, "{scored}");
    // Directories that are none are named as what they are.
    assert!(refused(&place.at("run")).contains("is a run, not an arch: name one of the directories in"));
    assert!(refused(&net).contains("is a supernet, not an arch"));
    assert!(refused(place.0.path().to_str().unwrap()).contains("has neither an arch.json nor a card.json"));
}

#[test]
fn a4_the_configuration_of_a_supernet_is_no_subnet() {
    let place = Place::new();
    let block = r#"{"name": "ResidualBlock", "conv": {"name": "DynamicMBConvLayer", "in_channel_list": [16],
        "out_channel_list": [16, 24], "kernel_size_list": [3, 5, 7], "expand_ratio_list": [3, 4, 6]}, "shortcut": null}"#;
    for name in ["OFAMobileNetV3", "OFAProxylessNASNets", "CompOFAMobileNetV3"] {
        let config = format!(r#"{{"name": "{name}", "bn": {{"momentum": 0.1}}, "blocks": [{block}, {block}]}}"#);
        for file in ["net.config", "supernet.json"] {
            let message = refused(&place.file(file, &config));
            assert!(message.contains("this is the configuration of a supernet; name a subnet"), "{message}");
        }
    }
}

#[test]
fn a5_any_resolution_wherever_one_is_given() {
    let place = Place::new();
    let net = place.supernet("net", 1);
    for side in [21, 33, 45] {
        let arch = format!("{{'ks': 3, 'e': 3, 'd': 2, 'image_size': {side}}}");
        let text = shown(&arch);
        assert!(text.starts_with(&format!("r{side}-")), "{text}");
        let (out, pixels) = (place.at(&format!("out-{side}")), place.pixels(side));
        success(ofa("subnet export", &[&net, "--arch", &arch, "--calibrate", &pixels, "--out", &out]));
        let file = format!("{out}/weights.safetensors");
        let subnet = place.at(&text);
        let import = [&SPACE[..], &["--checkpoint", &file, "--arch", &arch, "--out", &subnet]].concat();
        assert!(success(ofa("weights import", &import)).contains(&text));
        let few = ["--images", "10", "--calibration-images", "8"];
        assert!(success(ofa("subnet evaluate", &[&[&*net, "--arch", &arch], &few[..]].concat())).contains(&text));
        let logits = ["--arch", &arch, "--images", &pixels, "--out", &place.at("logits.safetensors")];
        let whole = place.at("whole.safetensors");
        ofa_model::write_state_dict(Path::new(&whole), &crate::supernet(1).to_original()).unwrap();
        success(ofa("weights logits", &[&SPACE[..], &["--checkpoint", &whole], &logits].concat()));
    }
    for wrong in ["r0-k3e3.k3e3-k3e3.k3e3-k3e3.k3e3", "{'ks': 3, 'e': 3, 'd': 2, 'r': 99999}"] {
        assert!(refused(wrong).contains("resolution is"), "{}", refused(wrong));
    }
}

/// A text as UTF-8 with a byte order mark, and as UTF-16 of either order.
fn marked(text: &str) -> [Vec<u8>; 3] {
    let units = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    [
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        [vec![0xff, 0xfe], units(u16::to_le_bytes)].concat(),
        [vec![0xfe, 0xff], units(u16::to_be_bytes)].concat(),
    ]
}

#[test]
fn kind_23_byte_order_marks_are_passed_over_in_every_text() {
    let place = Place::new();
    let arch = space().smallest().to_string();
    let config = crate::process::tiny();
    let schedule = toml::to_string(&config.training.schedule).unwrap();
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("records/2026-11-24-default-14-epochs");
    let record = record.to_str().unwrap();
    let rows: String = (1..31).map(|i| format!("{},{i}\n", sampled(i))).collect();
    for form in 0..3 {
        let file = |name: &str, text: &str| place.file(name, &marked(text)[form]);
        assert_eq!(shown(&file("arch.json", &format!("\"{arch}\""))), arch);
        let own = file("space.json", &serde_json::to_string(&space()).unwrap());
        success(ofa("space show", &["--space", &own, "--arch", &arch]));
        let file_of_config = file("config.toml", &config.to_toml().unwrap());
        success(ofa("plan", &["--config", &file_of_config, "--steps", "0"]));
        let schedule = file("schedule.toml", &schedule);
        success(ofa("plan", &["--preset", "smoke", "--schedule", &schedule, "--steps", "0"]));
        let scenarios = file("scenarios.toml", "queries = 50\n[[scenario]]\nname = \"a\"\nmacs = 2_000_000\n");
        success(ofa("deploy", &["--tables", record, "--scenarios", &scenarios]));
        let (measured, out) = (file("phone.csv", &format!("arch,ms\n{rows}")), place.at(&format!("{form}.csv")));
        let import = ["--measured", &measured, "--device-name", "p", "--out", &out];
        success(ofa("tables import-latency", &[&SPACE[..], &import].concat()));
        let archs = file("archs.txt", &format!("{arch}\n"));
        let net = place.supernet(&format!("net-{form}"), 1);
        success(ofa("subnet evaluate", &[&net, "--archs", &archs, "--images", "5", "--calibration-images", "5"]));
    }
}
