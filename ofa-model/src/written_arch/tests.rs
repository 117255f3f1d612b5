//! Archs as they are in the world.

use super::*;
use serde_json::json;

const KS: &str = "[3, 5, 7, 7, 3, 5, 7, 7, 3, 5, 7, 7, 3, 5, 7, 7, 3, 5, 7, 7]";
const E: &str = "[3, 4, 6, 6, 3, 4, 6, 6, 3, 4, 6, 6, 3, 4, 6, 6, 3, 4, 6, 6]";

fn space() -> SearchSpace {
    SearchSpace::mobilenet_v3(1.0, 1000)
}

fn read(text: &str) -> String {
    WrittenArch::parse(text, &space()).unwrap_or_else(|error| panic!("{text}: {error}")).arch.to_string()
}

fn problem(text: &str) -> String {
    WrittenArch::parse(text, &space()).unwrap_err().to_string()
}

const ARCH: &str = "k3e3.k5e4-k3e3.k5e4.k7e6-k3e3.k5e4.k7e6.k7e6-k3e3.k5e4-k3e3.k5e4.k7e6";

#[test]
fn a1_dictionaries_of_the_tutorial() {
    let text = |more: &str| format!(r#"{{"ks": {KS}, "e": {E}, "d": [2, 3, 4, 2, 3]{more}}}"#);
    for more in [r#", "wid": null, "r": [224]"#, r#", "r": 224"#, r#", "image_size": "224""#, r#", "wid": [0]"#, ""] {
        assert_eq!(read(&text(more)), format!("r224-{ARCH}"), "{more}");
    }
    let found = WrittenArch::parse(&text(r#", "accuracy": 0.78, "latency": {"ms": 20}"#), &space()).unwrap();
    assert_eq!(found.ignored, ["accuracy", "latency"]);
    assert!(problem(&text(r#", "wid": 1"#)).contains("`wid` is 1, expected null or 0"));
    assert!(problem(&text(r#", "r": [224, 192]"#)).contains("`r` is [224,192], expected a whole number"));
    assert!(problem(&text(r#", "r": 224, "image_size": 192"#)).contains("`r` is 224, but `image_size` is 192"));
    assert!(problem(&text(r#", "r": 0"#)).contains("`r` is 0, expected the size"));
}

#[test]
fn a2_one_value_for_all() {
    let space = space();
    assert_eq!(read(r#"{"ks": 7, "e": 6, "d": 4}"#), space.largest().to_string());
    assert_eq!(read("{'ks': 3.0, 'e': '3', 'd': '2', 'r': 128}"), space.smallest().to_string());
    assert_eq!(read(r#"{"kernel_size": 7, "expand_ratio": 6, "depth": 4}"#), space.largest().to_string());
    let resnet = SearchSpace::resnet50d(10);
    let found = WrittenArch::parse(r#"{"d": 2, "e": 0.35, "w": 2, "ks": 3}"#, &resnet).unwrap();
    assert_eq!((found.arch, found.ignored), (resnet.largest(), vec!["ks".to_owned()]));
    let proxyless = SearchSpace::proxyless_nas(1.3, 10);
    assert_eq!(WrittenArch::parse(r#"{"ks": 7, "e": 6, "d": 4}"#, &proxyless).unwrap().arch, proxyless.largest());
    assert!(problem(r#"{"ks": 7, "e": 6}"#).contains("`d` is missing"));
    assert!(problem(r#"{"ks": 7.5, "e": 6, "d": 4}"#).contains("`ks` is 7.5, expected a whole number"));
    assert!(problem(r#"{"ks": true, "e": 6, "d": 4}"#).contains("`ks` is true, expected a whole number"));
    assert!(problem(r#"{"ks": -7, "e": 6, "d": 4}"#).contains("`ks` is -7, expected a whole number"));
}

#[test]
fn a3_our_own_files() {
    let arch = space().smallest();
    let text = arch.to_string();
    let own = serde_json::to_value(&arch).unwrap();
    let forms = [
        own.clone(),
        json!(text),
        json!({"arch": text, "space": space(), "classes": ["a"], "mean": [0.5], "std": [0.2]}),
        json!({"arch": text, "original_arch": arch.to_original(&space()), "resolution": 128, "latencies": []}),
        json!([text, 0.7]),
        json!({"top1": 0.7, "arch": own}),
        json!({"best": arch.to_original(&space())}),
    ];
    for form in forms {
        assert_eq!(read(&form.to_string()), text, "{form}");
    }
    assert_eq!(read(&format!("\u{feff}{text}\r\n")), text);
    let floats = own.to_string().replace("\"kernel_size\":3", "\"kernel_size\":3.0").replace("3.0}", "\"3.0\"}");
    assert_eq!(read(&floats), text);
    assert!(problem(&serde_json::to_string(&space()).unwrap()).contains("this is a search space"));
}

#[test]
fn a4_what_is_of_a_supernet_says_so() {
    let layer = json!({"name": "ResidualBlock", "conv": {"name": "DynamicMBConvLayer", "in_channel_list": [16],
        "kernel_size_list": [3, 5, 7], "stride": 2}, "shortcut": null});
    let config = json!({"name": "OFAMobileNetV3", "blocks": [layer], "first_conv": null});
    assert!(problem(&config.to_string()).contains("this is the configuration of a supernet; name a subnet"));
    let unnamed = json!({"blocks": [layer]});
    assert!(problem(&unnamed.to_string()).contains("this is the configuration of a supernet; name a subnet"));
    let broken = json!({"name": "MobileNetV3", "blocks": [{"conv": {"in_channels": "many"}}]});
    assert!(problem(&broken.to_string()).contains("layer 1: `in_channels` is \"many\", expected a whole number"));
}

#[test]
fn a5_any_resolution() {
    for (text, resolution) in [
        (format!("r130-{ARCH}"), 130),
        (r#"{"ks": 7, "e": 6, "d": 4, "image_size": 32}"#.to_owned(), 32),
        ("{'ks': 7, 'e': 6, 'd': 4, 'r': [80]}".to_owned(), 80),
    ] {
        assert_eq!(WrittenArch::parse(&text, &space()).unwrap().arch.resolution, resolution);
    }
    assert!(problem(&format!("r0-{ARCH}")).contains("resolution is 0"));
}

#[test]
fn lines_of_a_log_are_read() {
    let line = format!("[06:12] INFO best {{'wid': None, 'ks': {KS}, 'e': {E}, 'd': [2, 3, 4, 2, 3], 'r': [176]}}");
    assert_eq!(read(&line), format!("r176-{ARCH}"));
    assert_eq!(read("(0.79, {'ks': 7, 'e': 6, 'd': 4}, 21.5)"), space().largest().to_string());
    let largest = space().largest();
    for text in [
        "OrderedDict([('ks', 7), ('e', 6), ('d', 4)])",
        "Namespace(ks=7, e=6.0, d=4, seed=1)",
        "dict(ks=7, e=6, d=4)",
        r#"{"arch": "{'ks': 7, 'e': 6, 'd': 4}", "top1": 0.7}"#,
        &format!("{largest},0.78,21.5"),
        &format!("best so far (seed 1): {largest} predicted 0.78"),
        &format!("(0.78, '{largest}')"),
    ] {
        assert_eq!(read(text), largest.to_string(), "{text}");
    }
    assert!(problem(&format!("{largest} or {largest}")).contains("is not an arch"));
    assert!(problem("print(r28)").contains("is not an arch"), "{}", problem("print(r28)"));
}

#[test]
fn no_word_of_a_library_reaches_the_reader() {
    let long = format!("{{\"ks\": {:?}}}", vec![7; 1000]);
    let wrong = [
        "",
        "{",
        "[]",
        "{}",
        "7",
        "[1, 2]",
        "null",
        "true",
        "x",
        "r28",
        "a\nb",
        "{'ks': }",
        "{\"ks\": [[[]]], \"e\": 1, \"d\": 1}",
        "{\"stages\": []}",
        "{\"stages\": [1], \"resolution\": 1}",
        "{\"stages\": [{\"blocks\": [1]}], \"resolution\": -1}",
        "{\"stages\": [{\"blocks\": [{\"kernel_size\": \"a\"}]}], \"resolution\": 224}",
        "{\"blocks\": [1]}",
        "{\"blocks\": [{\"conv\": null}]}",
        "{\"blocks\": []}",
        "{\"arch\": 5}",
        "{\"arch\": {\"arch\": {}}}",
        &long,
        "{'ks': 1e400, 'e': 6, 'd': 4}",
        "{\"ks\": [7], \"e\": 6, \"d\": 99999999999999999999}",
    ];
    for text in wrong {
        let problem = problem(text);
        for word in ["untagged", "usize", "u64", "f64", "struct", "variant", "expected value", "EOF", "i64"] {
            assert!(!problem.contains(word), "{text}: {problem}");
        }
    }
}
