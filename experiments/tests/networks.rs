//! The commands that work on networks instead of runs: checkpoints in, subnets out, and errors on bad input.

mod process;

use burn::tensor::{Device, TensorData};
use ofa_model::{Arch, SearchSpace, Supernet, SupernetConfig, read_state_dict, write_state_dict};
use process::{failure, ofa, success};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn space() -> SearchSpace {
    SearchSpace::small_mobilenet_v3(1, 10)
}

/// Writes a checkpoint with the original's keys and returns its supernet.
fn checkpoint(path: &Path) -> Supernet {
    let supernet = SupernetConfig::new(space()).unwrap().with_seed(3).init(&Device::flex());
    write_state_dict(path, &supernet.to_original()).unwrap();
    supernet
}

/// Writes images and returns the tensor.
fn images(path: &Path, shape: [usize; 4]) -> TensorData {
    let count = shape.iter().product::<usize>();
    let data = TensorData::new((0..count).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect(), shape);
    write_state_dict(path, &[("images".into(), data.clone())]).unwrap();
    data
}

#[test]
fn a_checkpoint_becomes_a_supernet_becomes_an_exported_subnet() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    let supernet = checkpoint(Path::new(&path("net.safetensors")));
    let pixels = images(Path::new(&path("images.safetensors")), [2, 1, 24, 24]);
    let arch: Arch = "r24-k7e6.k5e4-k3e3.k3e3.k7e3-k3e3.k5e6".parse().unwrap();
    let dictionary = serde_json::to_string(&arch.to_original(&space())).unwrap();
    fs::write(path("arch.json"), dictionary).unwrap();
    let expected = supernet.subnet(&arch).infer(burn::tensor::Tensor::from_data(pixels, &Device::flex())).into_data();

    let (net, image_file, arch_file) = (path("net.safetensors"), path("images.safetensors"), path("arch.json"));
    let checkpoint = ["--space", "small_mobilenet_v3", "--checkpoint", &net];
    let reference = ["--arch", &arch_file, "--images", &image_file, "--out", &path("logits.safetensors")];
    success(ofa("weights logits", &[&checkpoint[..], &reference].concat()));
    let logits = read_state_dict(Path::new(&path("logits.safetensors"))).unwrap();
    assert_eq!(logits, [("logits".to_owned(), expected)]);

    let said = success(ofa("weights import", &[&checkpoint[..], &["--out", &path("supernet")]].concat()));
    assert!(said.contains("supernet of 400478525811 networks"), "{said}");
    success(ofa(
        "subnet export",
        &[
            &path("supernet"),
            "--arch",
            &arch.to_string(),
            "--calibrate",
            &path("images.safetensors"),
            "--out",
            &path("a"),
        ],
    ));
    let card: experiments::deployment::model_card::ModelCard =
        serde_json::from_str(&fs::read_to_string(path("a/card.json")).unwrap()).unwrap();
    assert_eq!((card.arch, card.cost), (arch.to_string(), space().cost(&arch)));
    assert!(fs::metadata(path("a/model.onnx")).unwrap().len() > 4 * card.cost.parameters);

    // The export is a static net of the original: it can be imported as a subnet, and exporting that gives the same
    // files.
    let exported = path("a/weights.safetensors");
    let specialised = ["--space", "small_mobilenet_v3", "--checkpoint", &exported, "--arch", &path("arch.json")];
    success(ofa("weights import", &[&specialised[..], &["--out", &path("subnet")]].concat()));
    success(ofa("subnet export", &[&path("subnet"), "--out", &path("b")]));
    for file in ["weights.safetensors", "model.onnx", "card.json"] {
        assert_eq!(
            fs::read(path(&format!("a/{file}"))).unwrap(),
            fs::read(path(&format!("b/{file}"))).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn what_does_not_fit_is_named_and_nothing_is_left_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    checkpoint(Path::new(&path("net.safetensors")));
    images(Path::new(&path("colour.safetensors")), [2, 3, 24, 24]);
    images(Path::new(&path("gray.safetensors")), [2, 1, 24, 24]);
    fs::write(path("text.pth"), "not a checkpoint").unwrap();
    let import = |space: &str, file: &str, more: &[&str]| {
        let arguments = ["--space", space, "--checkpoint", &path(file), "--out", &path("out")];
        failure(ofa("weights import", &[&arguments[..], more].concat()))
    };
    let logits = |arch: &str, images: &str| {
        let arguments = ["--space", "small_mobilenet_v3", "--checkpoint", &path("net.safetensors"), "--arch", arch];
        let more = ["--images", &path(images), "--out", &path("out")];
        failure(ofa("weights logits", &[&arguments[..], &more].concat()))
    };
    let arch = space().smallest().to_string();
    let cases = [
        (
            import("mobilenet_v3", "net.safetensors", &[]),
            "first_conv.conv.weight is [8, 1, 3, 3], expected [16, 3, 3, 3]",
        ),
        (import("mobilenet_v3", "net.safetensors", &[]), "missing: "),
        (import("vgg", "net.safetensors", &[]), "unknown space `vgg`"),
        (import("mobilenet_v3", "net.safetensors", &[]), "they fit the space small_mobilenet_v3 with 10 classes"),
        (import("small_mobilenet_v3", "net.safetensors", &["--classes", "3"]), "`--new-head` keeps the rest"),
        (import("small_mobilenet_v3", "net.safetensors", &["--weights", "ema"]), "no weights under `ema`"),
        (import("small_mobilenet_v3", "text.pth", &[]), "text.pth"),
        (import("small_mobilenet_v3", "missing.pth", &[]), "missing.pth"),
        (import("small_mobilenet_v3", "net.safetensors", &["--arch", &arch]), "unused (all under `blocks.`): "),
        (logits(&arch, "colour.safetensors"), "takes 1 channels"),
        (logits("r24-k9e3.k3e3-k3e3.k3e3-k3e3.k3e3", "gray.safetensors"), "kernel size is 9, allowed: 3, 5, 7"),
        (logits(&path("missing.json"), "gray.safetensors"), "missing.json"),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "{message}");
    }
    let export = |network: &str, more: &[&str]| {
        let arguments = [network, "--out", &path("out")];
        failure(ofa("subnet export", &[&arguments[..], more].concat()))
    };
    assert!(export(&path("nothing"), &[]).contains("arch.json"));
    assert!(export(&path("nothing"), &["--arch", &arch]).contains("holds no supernet"));
    let left: Vec<_> = fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn a_space_and_an_arch_are_shown() {
    let said = success(ofa("space show", &["--space", "mobilenet_v3", "--width", "1.2", "--samples", "100"]));
    for part in ["21758655492572485851 networks", "mb_conv to 136 channels", "MACs", "843.10 M", "10.70 M"] {
        assert!(said.contains(part), "{said}");
    }
    let said = success(ofa("space show", &["--space", "small_mobilenet_v3", "--arch", &space().largest().to_string()]));
    assert!(said.contains("mb_conv k7 s1 32-192-32 hard_swish se +input"), "{said}");
    let said = failure(ofa("space show", &["--space", "small_mobilenet_v3", "--arch", "r28-k3e3"]));
    assert!(said.contains("number of stages"), "{said}");
}

#[test]
fn c7_published_weights_become_a_start_for_other_classes() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    let before = checkpoint(Path::new(&path("net.safetensors"))).to_original();
    let net = path("net.safetensors");
    let options = ["--space", "small_mobilenet_v3", "--checkpoint", &net, "--new-head", "--classes", "2"];
    let said = success(ofa("weights import", &[&options[..], &["--out", &path("start")]].concat()));
    assert!(said.contains("a new classifier for 2 classes, drawn by seed 0, replaces that of 10"), "{said}");
    let start = Supernet::load(Path::new(&path("start")), &Device::flex()).unwrap();
    assert_eq!(start.space().classes, 2);
    for ((key, before), (_, after)) in before.iter().zip(&start.to_original()) {
        assert_eq!(before == after, !key.starts_with("classifier."), "{key}");
    }
}

#[test]
fn r7_a5_archs_at_any_resolution_and_older_onnx_are_exported() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    checkpoint(Path::new(&path("net.safetensors")));
    images(Path::new(&path("images.safetensors")), [2, 1, 33, 33]);
    let (net, pixels) = (path("net.safetensors"), path("images.safetensors"));
    let import = ["--space", "small_mobilenet_v3", "--checkpoint", &net, "--out", &path("supernet")];
    success(ofa("weights import", &import));
    let arch = "{'wid': None, 'ks': 7, 'e': 6, 'd': 2, 'r': [33]}";
    let said = success(ofa("space show", &["--space", "small_mobilenet_v3", "--arch", arch]));
    assert!(said.contains("33"), "{said}");
    let export = |network: &str, arch: &str, out: &str| {
        let arguments = [network, "--arch", arch, "--calibrate", &pixels, "--opset", "12", "--fixed-batch", "4"];
        success(ofa("subnet export", &[&arguments[..], &["--out", out]].concat()));
    };
    export(&path("supernet"), arch, &path("a"));
    // The directory that was written names the arch again.
    export(&path("supernet"), &path("a"), &path("b"));
    for file in ["weights.safetensors", "model.onnx", "card.json"] {
        let read = |dir: &str| fs::read(Path::new(&path(dir)).join(file)).unwrap();
        assert_eq!(read("a"), read("b"), "{file}");
    }
}

#[cfg(feature = "onnx")]
#[test]
fn a_subnet_is_exported_in_integers() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    checkpoint(Path::new(&path("net.safetensors")));
    images(Path::new(&path("images.safetensors")), [4, 1, 24, 24]);
    let (net, pixels) = (path("net.safetensors"), path("images.safetensors"));
    success(ofa(
        "weights import",
        &["--space", "small_mobilenet_v3", "--checkpoint", &net, "--out", &path("supernet")],
    ));
    let arch = "r24-k7e6.k5e4-k3e3.k3e3.k7e3-k3e3.k5e6";
    let export = |more: &[&str], out: &str| {
        let arguments = [&path("supernet"), "--arch", arch, "--calibrate", &pixels, "--out", &path(out)];
        ofa("subnet export", &[&arguments[..], more].concat())
    };
    let files = |dir: &str| fs::read_dir(path(dir)).unwrap().count();
    success(export(&[], "float"));
    success(export(&["--int8"], "both"));
    success(export(&["--int8", "--int8-range", "percentile-99.9", "--int8-symmetric", "--opset", "13"], "other"));
    assert_eq!((files("float"), files("both"), files("other")), (3, 4, 4));
    let int8 = |dir: &str| fs::read(Path::new(&path(dir)).join("model_int8.onnx")).unwrap();
    assert_ne!(int8("both"), int8("other"));
    // Weights of one byte instead of four; the graph and the scales take more.
    assert!(int8("both").len() < fs::metadata(Path::new(&path("both")).join("model.onnx")).unwrap().len() as usize);
    for (code, more, expected) in [
        (1, &["--int8", "--opset", "12"][..], "expected an opset of 13..=18"),
        (1, &["--int8", "--calibration-images", "0"], "at least one image"),
        (2, &["--calibration-images", "4"], "--int8"),
        (2, &["--int8", "--int8-range", "widest"], "`widest` is no rule for ranges: expected min-max"),
    ] {
        let output = export(more, "refused");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(message.contains(expected), "{message}");
    }
    // A subnet of no run, and no images.
    let original = path("float/weights.safetensors");
    let import = ["--space", "small_mobilenet_v3", "--checkpoint", &original, "--arch", arch, "--out", &path("subnet")];
    success(ofa("weights import", &import));
    let message = failure(ofa("subnet export", &[&path("subnet"), "--int8", "--out", &path("refused")]));
    assert!(message.contains("--int8 needs images") && message.contains("--calibrate"), "{message}");
}

#[test]
fn wrong_files_are_refused_once_and_in_plain_words() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("space.json"), r#"{"name": "x", "classes": "ten"}"#).unwrap();
    fs::write(path("config.toml"), "[training]\nbatch_size = \"many\"\n").unwrap();
    fs::write(path("arch.json"), r#"{"ks": {}, "e": 1, "d": 1}"#).unwrap();
    let space = ["--space", "small_mobilenet_v3", "--arch"];
    let said = [
        failure(ofa("space show", &["--space", &path("space.json")])),
        failure(ofa("space show", &[&space[..], &[&path("arch.json")]].concat())),
        failure(ofa("space show", &[&space[..], &[&path("missing.json")]].concat())),
        failure(ofa("space show", &[&space[..], &["{'ks': [7, 'e': 6}"]].concat())),
        failure(ofa("train", &["--config", &path("config.toml"), "--out", &path("run")])),
        failure(ofa("subnet export", &[&path("missing"), "--out", &path("out")])),
    ];
    for message in said {
        for word in ["untagged", "usize", "u64", "f64", "DuplicateKeyPolicy", "expected struct", "expected enum"] {
            assert!(!message.contains(word), "{message}");
        }
        assert!(message.matches("os error").count() < 2, "{message}");
        assert!(message.starts_with("error: "), "{message}");
    }
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let space = ["--space", "resnet50d", "--samples", "2000"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_ofa"))
        .args(["space", "show"])
        .args(space)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
