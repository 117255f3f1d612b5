//! C1 to C8, kinds 1 to 4 and 22: checkpoints in, subnets out.

use crate::process::{config_file, failure, ofa, said, success, tiny};
use crate::torch_file::{self, Value, dictionary};
use crate::{Place, SPACE, sampled, space, supernet};
use burn::tensor::{Device, TensorData};
use ofa_model::{SubnetCard, Supernet, write_state_dict};
use std::fs;
use std::path::Path;

type Tensors = Vec<(String, TensorData)>;

/// Writes `tensors` under three dictionaries or fewer and a prefix, with what trainers put beside them.
fn checkpoint(path: &str, tensors: &Tensors, dictionaries: &[&str], prefix: &str) {
    let named = |before: &str| -> Tensors {
        tensors.iter().map(|(key, data)| (format!("{before}{prefix}{key}"), data.clone())).collect()
    };
    if path.ends_with("safetensors") {
        let before: String = dictionaries.iter().map(|key| format!("{key}.")).collect();
        return write_state_dict(Path::new(path), &named(&before)).unwrap();
    }
    let mut value = dictionary(named("").into_iter().map(|(key, data)| (key, Value::Tensor(data))));
    for key in dictionaries.iter().rev() {
        let loss = Value::Tensor(TensorData::from([0.5f32]));
        value = dictionary([(*key, value), ("iteration", Value::Whole(9)), ("best_loss", loss)]);
    }
    torch_file::write(Path::new(path), &value);
}

/// The weights that an import with these options writes, and what it says.
fn imported(place: &Place, file: &str, more: &[&str]) -> (Vec<u8>, String) {
    let out = place.at("imported");
    let said = said(ofa("weights import", &[&SPACE[..], &["--checkpoint", file, "--out", &out], more].concat()));
    let weights = fs::read(format!("{out}/weights.safetensors")).unwrap();
    fs::remove_dir_all(out).unwrap();
    (weights, said)
}

#[test]
fn c1_c2_wrappers_of_three_levels_and_five_prefixes_change_no_bit() {
    let place = Place::new();
    let arch = space().smallest();
    let whole = (supernet(1).to_original(), vec![]);
    let text = arch.to_string();
    let alone = (supernet(1).subnet(&arch).to_original(), vec!["--arch", text.as_str()]);
    let wrappers: [(&[&str], &str); 6] = [
        (&["best"], "_forward_module.module."),
        (&["ckpt", "net_g"], "_orig_mod."),
        (&["state", "ema_state_dict", "params"], "module.ofa_net."),
        (&[], "backbone.0."),
        (&["generator_ema"], ""),
        (&["a", "b", "c"], "module.module._orig_mod.student."),
    ];
    for (tensors, more) in [&whole, &alone] {
        let plain = place.at("plain.pth");
        checkpoint(&plain, tensors, &[], "");
        let (expected, quiet) = imported(&place, &plain, more);
        assert!(!quiet.contains("took the"), "{quiet}");
        for kind in ["pth", "safetensors"] {
            for (dictionaries, prefix) in wrappers {
                let file = place.at(&format!("wrapped.{kind}"));
                checkpoint(&file, tensors, dictionaries, prefix);
                let (found, said) = imported(&place, &file, more);
                let around = dictionaries.iter().map(|key| format!("{key}.")).collect::<String>() + prefix;
                assert!(said.contains(&format!("took the {} tensors under `{around}`", tensors.len())), "{said}");
                assert!(found == expected, "{kind} {around}");
            }
        }
    }
}

#[test]
fn c2_one_of_several_networks_is_taken_said_and_chosen() {
    let place = Place::new();
    let file = place.at("run.safetensors");
    let [raw, average] = [1, 2].map(|seed| supernet(seed).to_original());
    let named = |before: &str, tensors: &Tensors| -> Tensors {
        tensors.iter().map(|(key, data)| (format!("{before}{key}"), data.clone())).collect()
    };
    write_state_dict(Path::new(&file), &[named("net.", &raw), named("swa.module.", &average)].concat()).unwrap();
    let (taken, said) = imported(&place, &file, &[]);
    assert!(said.contains("under `swa.module.` (the moving average; other weights: `net`, see --weights)"), "{said}");
    let (chosen, _) = imported(&place, &file, &["--weights", "net"]);
    let alone = |tensors| {
        let file = place.at("alone.pth");
        checkpoint(&file, tensors, &[], "");
        imported(&place, &file, &[]).0
    };
    assert!(taken == alone(&average) && chosen == alone(&raw));
}

#[test]
fn c1_a_misfit_is_short_and_names_what_would_fit() {
    let place = Place::new();
    let file = place.at("net.pth");
    checkpoint(&file, &supernet(1).to_original(), &["model"], "module.");
    for other in ["mobilenet_v3", "proxyless_nas", "resnet50d"] {
        let arguments = ["--space", other, "--checkpoint", &file, "--out", &place.at("out")];
        let message = failure(ofa("weights import", &arguments));
        assert!(message.contains("they fit the space small_mobilenet_v3 with 10 classes"), "{message}");
        assert!(message.len() < 4000 && message.contains(" more"), "{} bytes: {message}", message.len());
    }
}

/// Replaces the last number of a safetensors file.
fn spoil(file: &str, number: f32) {
    let mut bytes = fs::read(file).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&number.to_le_bytes());
    fs::write(file, bytes).unwrap();
}

#[test]
fn c5_every_command_that_reads_weights_refuses_what_no_training_leaves() {
    let place = Place::new();
    let (text, pixels) = (space().smallest().to_string(), place.pixels(20));
    for (number, problem) in [(f32::NAN, "NaN, not finite"), (f32::NEG_INFINITY, "-inf, not finite")] {
        let (net, sub, file) = (place.supernet("net", 1), place.at("sub"), place.at("net.safetensors"));
        write_state_dict(Path::new(&file), &supernet(1).to_original()).unwrap();
        let (classes, mean, std) = (vec!["x".to_owned(); 10], vec![0.5], vec![0.5]);
        let card = SubnetCard { arch: text.clone(), space: space(), classes, mean, std };
        supernet(1).subnet(&space().smallest()).save(&card, Path::new(&sub)).unwrap();
        [format!("{net}/weights.safetensors"), format!("{sub}/weights.safetensors"), file.clone()]
            .iter()
            .for_each(|file| spoil(file, number));
        let image = place.file("x.png", crate::png(20, |x, y| image::Rgb([x as u8, y as u8, 0])));
        let (out, read) = (place.at("out"), ["--checkpoint", &file]);
        let mut config = tiny();
        config.training.start = Some(net.clone().into());
        let config = config_file(&config, Path::new(&place.at("run")));
        let commands: [(&str, Vec<&str>); 7] = [
            ("weights import", [&SPACE[..], &read, &["--out", &out]].concat()),
            ("weights logits", [&SPACE[..], &read, &["--arch", &text, "--images", &pixels, "--out", &out]].concat()),
            ("subnet export", vec![&net, "--arch", &text, "--calibrate", &pixels, "--out", &out]),
            ("subnet export", vec![&sub, "--out", &out]),
            ("subnet evaluate", vec![&net, "--images", "10"]),
            ("subnet classify", vec![&sub, &image]),
            ("train", vec!["--config", config.to_str().unwrap(), "--out", &out]),
        ];
        for (command, arguments) in commands {
            let message = failure(ofa(command, &arguments));
            assert!(message.contains("tensor `") && message.contains(problem), "{command}: {message}");
            assert!(!Path::new(&out).exists(), "{command}");
        }
        fs::remove_dir_all(net).unwrap();
        fs::remove_dir_all(sub).unwrap();
    }
    // A variance below zero, in a wrapped checkpoint.
    let mut tensors = supernet(1).to_original();
    let (key, data) = tensors.iter_mut().find(|(key, _)| key.ends_with("running_var")).unwrap();
    let key = key.clone();
    *data = TensorData::new(vec![-1e-6f32; data.shape().num_elements()], data.shape().to_vec());
    let file = place.at("negative.pth");
    checkpoint(&file, &tensors, &["state_dict"], "module.");
    let message =
        failure(ofa("weights import", &[&SPACE[..], &["--checkpoint", &file, "--out", &place.at("out")]].concat()));
    assert!(message.contains(&key) && message.contains("a variance below zero"), "{message}");
}

#[test]
fn c7_own_classes_start_from_published_weights_and_some_classes_are_scored() {
    let place = Place::new();
    let file = place.at("published.pth");
    checkpoint(&file, &supernet(3).to_original(), &["ema", "state_dict"], "module.");
    place.images("own/train", &["emu", "yak", "gnu"], 16, 24);
    place.images("own/val", &["emu", "yak", "gnu"], 4, 24);
    let refused = failure(ofa(
        "weights import",
        &[&SPACE[..], &["--checkpoint", &file, "--classes", "3", "--out", &place.at("no")]].concat(),
    ));
    assert!(refused.contains("`--new-head` keeps the rest"), "{refused}");
    let import = |out: &str, seed: &str| {
        let new = ["--classes", "3", "--new-head", "--seed", seed, "--out", out];
        success(ofa("weights import", &[&SPACE[..], &["--checkpoint", &file], &new].concat()));
        fs::read(format!("{out}/weights.safetensors")).unwrap()
    };
    assert!(import(&place.at("a"), "7") == import(&place.at("b"), "7"));
    assert!(import(&place.at("c"), "8") != import(&place.at("d"), "7"));
    let start = |name: &str| Supernet::load(Path::new(&place.at(name)), &Device::flex()).unwrap();
    for ((key, one), (_, other)) in start("a").to_original().iter().zip(&supernet(3).to_original()) {
        assert_eq!(one == other, !key.starts_with("classifier."), "{key}");
    }
    // A training on other classes begins with either: the published supernet, or one with a new head.
    place.supernet("published", 3);
    let mut config = tiny();
    config.training.schedule.phases.truncate(1);
    for name in ["published", "a"] {
        config.training.start = Some(place.at(name).into());
        let root = place.at(&format!("run-{name}"));
        let mut own = config.clone();
        (own.data.channels, own.space.classes) = (1, 3);
        let file = config_file(&own, Path::new(&root));
        let arguments =
            ["--config", file.to_str().unwrap(), "--data", &place.at("own"), "--channels", "1", "--out", &root];
        success(ofa("train", &arguments));
        let trained = Supernet::load(Path::new(&format!("{root}/supernet")), &Device::flex()).unwrap();
        assert_eq!(trained.space().classes, 3);
    }
    // The run knows its classes: two of them, in another order, are scored by name; an unknown one is named.
    place.images("two/train", &["Gnu", "emu"], 4, 24);
    place.images("two/val", &["Gnu", "emu"], 4, 24);
    let run = place.at("run-a");
    let scored = said(ofa("subnet evaluate", &[&run, "--data", &place.at("two"), "--calibration-images", "4"]));
    assert!(scored.contains("scored among 2 of the network's 3 classes, matched by name"), "{scored}");
    place.images("other/train", &["gnu", "axolotl"], 4, 24);
    place.images("other/val", &["gnu", "axolotl"], 4, 24);
    let message = failure(ofa("subnet evaluate", &[&run, "--data", &place.at("other")]));
    assert!(message.contains("the network has 3 classes, and none called `axolotl`"), "{message}");
}

#[test]
fn c8_equal_weights_are_equal_files_in_every_process() {
    let place = Place::new();
    let (file, pixels) = (place.at("net.pth"), place.pixels(24));
    checkpoint(&file, &supernet(1).to_original(), &["model"], "module.");
    let net = place.supernet("net", 1);
    let arch = sampled(4).at_resolution(24).to_string();
    let mut first: Option<Vec<Vec<u8>>> = None;
    for _ in 0..6 {
        let out = place.at("out");
        success(ofa("subnet export", &[&net, "--arch", &arch, "--calibrate", &pixels, "--out", &out]));
        let read = |name: &str| fs::read(format!("{out}/{name}")).unwrap();
        let mut files = vec![read("weights.safetensors"), read("model.onnx"), read("card.json")];
        fs::remove_dir_all(&out).unwrap();
        files.push(imported(&place, &file, &[]).0);
        files.push(imported(&place, &file, &["--new-head", "--classes", "4"]).0);
        assert!(first.get_or_insert_with(|| files.clone()) == &files);
    }
    let arguments = ["--checkpoint", &file, "--arch", &arch, "--out", &place.at("sub")];
    let message = failure(ofa("weights import", &[&SPACE[..], &arguments].concat()));
    assert!(message.contains("unused"), "a supernet is no subnet: {message}");
}

#[test]
fn r7_older_operator_sets_and_fixed_batches_are_exported() {
    let place = Place::new();
    let (net, pixels, arch) = (place.supernet("net", 1), place.pixels(20), space().smallest().to_string());
    let export = |more: &[&str]| {
        let out = place.at("out");
        let arguments = [&[&*net, "--arch", &arch, "--calibrate", &pixels, "--out", &out], more].concat();
        let output = ofa("subnet export", &arguments);
        let model = fs::read(format!("{out}/model.onnx"));
        fs::remove_dir_all(out).ok();
        (output, model.ok())
    };
    let has = |model: &[u8], word: &str| model.windows(word.len()).any(|window| window == word.as_bytes());
    // HardSwish is an operator since set 14; before, it is spelled out.
    for (opset, is_one) in [("12", false), ("13", false), ("14", true), ("17", true), ("18", true)] {
        let model = export(&["--opset", opset]).1.unwrap();
        assert_eq!(has(&model, "HardSwish"), is_one, "{opset}");
    }
    let [free, fixed, again] =
        [vec![], vec!["--fixed-batch", "3"], vec!["--fixed-batch", "3"]].map(|more| export(&more).1);
    assert!(fixed != free && fixed == again && fixed.is_some());
    for wrong in [["--opset", "11"], ["--opset", "99"], ["--fixed-batch", "0"], ["--opset", "new"]] {
        let (output, model) = export(&wrong);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && model.is_none() && message.contains(wrong[0]), "{message}");
    }
}
