//! Checkpoints as they are in the world: wrapped, damaged, with other classes; and equal bytes for equal weights.

mod torch_file;

use burn::tensor::{Device, Tensor, TensorData};
use ofa_model::*;
use std::path::{Path, PathBuf};
use std::process::Command;
use torch_file::{Value, dictionary};

type Tensors = Vec<(String, TensorData)>;

fn space() -> SearchSpace {
    SearchSpace::small_mobilenet_v3(1, 10)
}

fn supernet(seed: u64) -> Supernet {
    SupernetConfig::new(space()).unwrap().with_seed(seed).init(&Device::flex())
}

fn state_dict(tensors: &Tensors, prefix: &str) -> Value {
    dictionary(tensors.iter().map(|(key, data)| (format!("{prefix}{key}"), Value::Tensor(data.clone()))))
}

/// A file with `tensors` under dictionaries and prefixes, as `.pth` or as safetensors, and with what trainers add.
fn wrapped(root: &Path, kind: &str, tensors: &Tensors, dictionaries: &[&str], prefix: &str) -> PathBuf {
    let path = root.join(format!("net.{kind}"));
    if kind == "pth" {
        let mut value = state_dict(tensors, prefix);
        for key in dictionaries.iter().rev() {
            value = dictionary([(*key, value), ("epoch", Value::Whole(180))]);
        }
        torch_file::write(&path, &value);
    } else {
        let before: String = dictionaries.iter().map(|key| format!("{key}.")).collect();
        let named: Tensors =
            tensors.iter().map(|(key, data)| (format!("{before}{prefix}{key}"), data.clone())).collect();
        write_state_dict(&path, &named).unwrap();
    }
    path
}

fn error(path: &Path) -> String {
    let weights = Checkpoint::open(path).and_then(|file| file.weights(None));
    let imported = weights.and_then(|weights| supernet(2).import_original(weights.tensors));
    imported.and_then(|(_, report)| report.check()).unwrap_err().to_string()
}

#[test]
fn c1_c2_weights_are_found_whatever_wraps_them() {
    let root = tempfile::tempdir().unwrap();
    let of_supernet = supernet(1);
    let of_subnet = of_supernet.subnet(&space().smallest());
    let prefixes = ["", "module.", "_orig_mod.", "module._orig_mod.", "model.", "net.backbone.", "0."];
    let dictionaries: [&[&str]; 5] =
        [&[], &["state_dict"], &["model"], &["checkpoint", "model_state"], &["a", "b", "net_state_dict"]];
    for kind in ["pth", "safetensors"] {
        for dictionaries in dictionaries {
            for prefix in prefixes {
                let path = wrapped(root.path(), kind, &of_supernet.to_original(), dictionaries, prefix);
                let weights = Checkpoint::open(&path).unwrap().weights(None).unwrap();
                let around = [dictionaries, &prefix.split_terminator('.').collect::<Vec<_>>()].concat().join(".");
                match &weights.found {
                    None => assert_eq!(around, ""),
                    Some(found) => assert!(found.contains(&format!("tensors under `{around}.`")), "{found}"),
                }
                let (imported, report) = supernet(2).import_original(weights.tensors).unwrap();
                report.check().unwrap();
                assert_eq!(imported.to_original(), of_supernet.to_original(), "{kind} {around}");
            }
        }
        let path = wrapped(root.path(), kind, &of_subnet.to_original(), &["model"], "module.");
        let weights = Checkpoint::open(&path).unwrap().weights(None).unwrap();
        let (imported, report) = supernet(2).subnet(&space().smallest()).import_original(weights.tensors).unwrap();
        report.check().unwrap();
        assert_eq!(imported.to_original(), of_subnet.to_original());
    }
}

#[test]
fn c2_of_several_sets_one_is_taken_and_said() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("run.pth");
    let [raw, average] = [1, 2].map(|seed| supernet(seed).to_original());
    let momentum = dictionary([("0", Value::Tensor(raw[0].1.clone()))]);
    let all = dictionary([
        ("state_dict", state_dict(&raw, "")),
        ("state_dict_ema", state_dict(&average, "module.")),
        ("optimizer", dictionary([("state", momentum)])),
        ("epoch", Value::Whole(3)),
    ]);
    torch_file::write(&path, &all);
    let read = |chosen: Option<&str>| Checkpoint::open(&path).unwrap().weights(chosen);
    let taken = read(None).unwrap();
    let found = taken.found.unwrap();
    for part in ["under `state_dict_ema.module.`", "the moving average; other weights: `state_dict`", "`optimizer`"] {
        assert!(found.contains(part), "{found}");
    }
    let imported = |tensors| supernet(3).import_original(tensors).unwrap().0.to_original();
    assert_eq!(imported(taken.tensors), average);
    assert_eq!(imported(read(Some("state_dict")).unwrap().tensors), raw);
    assert_eq!(imported(read(Some("state_dict_ema")).unwrap().tensors), average);
    let message = read(Some("ema")).err().unwrap().to_string();
    assert!(message.contains("no weights under `ema`; there are weights under `state_dict`"), "{message}");
}

#[test]
fn c2_a_file_without_weights_names_its_keys() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("other.pth");
    let one = || Value::Tensor(TensorData::from([1.0f32]));
    let cases = [
        (dictionary([("features.0.0.weight", one()), ("lr", Value::Whole(1))]), "none of its 1 tensors"),
        (
            dictionary([("epoch", Value::Whole(1)), ("step", Value::Whole(2))]),
            "it holds no tensor; its keys are: `epoch`, `step`",
        ),
    ];
    for (value, expected) in cases {
        torch_file::write(&path, &value);
        assert!(error(&path).contains(expected), "{}", error(&path));
    }
    torch_file::write(&path, &dictionary(Vec::<(String, Value)>::new()));
    assert!(error(&path).ends_with("it holds no tensor, nor any key"), "{}", error(&path));
    for (content, expected) in [
        ("", "it is empty"),
        ("\n<!DOCTYPE html><html>virus scan warning</html>", "it is a page of HTML"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "fetch it with `git lfs pull`"),
        ("no weights at all", "cannot be read"),
    ] {
        for name in ["net.pth", "net.safetensors"] {
            let path = root.path().join(name);
            std::fs::write(&path, content).unwrap();
            let message = error(&path);
            assert!(
                message.contains(expected) || name.ends_with("s") && message.contains("no whole safetensors"),
                "{message}"
            );
        }
    }
    let dir = root.path().join("saved");
    supernet(1).save(&dir).unwrap();
    assert!(error(&dir.join("weights.safetensors")).contains("name the directory"));
}

#[test]
fn a_misfit_is_short_and_names_what_would_fit() {
    let root = tempfile::tempdir().unwrap();
    let config = SupernetConfig::new(SearchSpace::mobilenet_v3(0.5, 10)).unwrap();
    let other = config.init(&Device::flex()).to_original();
    let message = error(&wrapped(root.path(), "safetensors", &other, &[], ""));
    assert!(message.contains("they fit the space mobilenet_v3 at width 0.5 with 10 classes"), "{message}");
    assert!(message.len() < 3000, "{} bytes: {message}", message.len());
}

#[test]
fn c5_what_no_training_leaves_is_refused_by_every_reader() {
    let root = tempfile::tempdir().unwrap();
    let broken = |name: &str, value: f32| -> Tensors {
        let mut tensors = supernet(1).to_original();
        let (_, data) = tensors.iter_mut().find(|(key, _)| key.ends_with(name)).unwrap();
        let (mut numbers, shape) = (data.as_slice::<f32>().unwrap().to_vec(), data.shape().clone());
        *numbers.last_mut().unwrap() = value;
        *data = TensorData::new(numbers, shape);
        tensors
    };
    let cases = [
        ("first_conv.conv.weight", f32::NAN, "not finite"),
        ("classifier.linear.bias", f32::INFINITY, "not finite"),
        ("first_conv.bn.running_var", -0.5, "a variance below zero"),
    ];
    for (name, value, expected) in cases {
        for kind in ["pth", "safetensors"] {
            let message = error(&wrapped(root.path(), kind, &broken(name, value), &["model"], "module."));
            assert!(message.contains(name) && message.contains(expected), "{message}");
        }
    }
    // Directories of ours: a number in the file is overwritten.
    let (net, sub) = (root.path().join("supernet"), root.path().join("subnet"));
    supernet(1).save(&net).unwrap();
    let arch = space().smallest();
    let card = SubnetCard { arch: arch.to_string(), space: space(), classes: vec![], mean: vec![], std: vec![] };
    supernet(1).subnet(&arch).save(&card, &sub).unwrap();
    for dir in [&net, &sub] {
        let path = dir.join("weights.safetensors");
        let mut bytes = std::fs::read(&path).unwrap();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
    }
    let messages = [
        Supernet::load(&net, &Device::flex()).err().unwrap().to_string(),
        Subnet::load(&sub, &Device::flex()).err().unwrap().to_string(),
    ];
    for message in messages {
        assert!(message.contains("weights.safetensors: tensor `") && message.contains("not finite"), "{message}");
    }
}

#[test]
fn c7_everything_but_the_classifier_is_kept() {
    let original = supernet(1).to_original();
    let renewed = supernet(1).with_new_head(3, 5).unwrap();
    assert_eq!(renewed.space().classes, 3);
    for ((key, before), (_, after)) in original.iter().zip(&renewed.to_original()) {
        assert_eq!(before == after, !key.starts_with("classifier."), "{key}");
    }
    let head = |seed| supernet(1).with_new_head(3, seed).unwrap().to_original();
    assert_eq!(head(5), renewed.to_original());
    assert_ne!(head(6), renewed.to_original());
    assert!(supernet(1).with_new_head(0, 1).is_err());
    let subnet = supernet(1).subnet(&space().smallest()).with_new_head(3, 5).unwrap();
    assert_eq!(subnet.infer(Tensor::zeros([2, 1, 20, 20], &Device::flex())).dims(), [2, 3]);
    // Some classes of ten, in another order.
    let images = Tensor::<4>::ones([2, 1, 20, 20], &Device::flex());
    let all = logits(supernet(1), &images);
    let some = logits(supernet(1).with_classes(&[7, 2]), &images);
    assert_eq!(some, [all[7], all[2], all[17], all[12]]);
}

fn logits(supernet: Supernet, images: &Tensor<4>) -> Vec<f32> {
    let arch = supernet.space().smallest();
    supernet.subnet(&arch).infer(images.clone()).into_data().iter().collect()
}

const ROOT: &str = "OFA_TEST_EQUAL_BYTES";

#[test]
fn c8_equal_weights_are_equal_bytes_in_every_process() {
    let write = |root: &Path| {
        supernet(1).save(&root.join("supernet")).unwrap();
        let (arch, space) = (space().smallest(), space());
        let (classes, mean, std) = (vec!["a".to_owned()], vec![0.5], vec![0.5]);
        let card = SubnetCard { arch: arch.to_string(), space, classes, mean, std };
        supernet(1).subnet(&arch).save(&card, &root.join("subnet")).unwrap();
        write_state_dict(&root.join("original.safetensors"), &supernet(1).to_original()).unwrap();
    };
    if let Ok(root) = std::env::var(ROOT) {
        write(Path::new(&root));
        return;
    }
    let files = ["supernet/weights.safetensors", "subnet/weights.safetensors", "original.safetensors"];
    let mut first: Option<Vec<Vec<u8>>> = None;
    for _ in 0..20 {
        let root = tempfile::tempdir().unwrap();
        let name = "c8_equal_weights_are_equal_bytes_in_every_process";
        let child =
            Command::new(std::env::current_exe().unwrap()).args(["--exact", name]).env(ROOT, root.path()).output();
        assert!(child.unwrap().status.success());
        let written: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(root.path().join(file)).unwrap()).collect();
        assert!(first.get_or_insert_with(|| written.clone()) == &written);
    }
}
