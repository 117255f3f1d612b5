//! Files written by PyTorch and safetensors files.

use crate::golden::*;
use burn::tensor::TensorData;
use ofa_model::{read_state_dict, write_state_dict};
use std::collections::BTreeMap;

#[test]
fn checkpoints_of_torch_are_read() {
    let all = Golden::read("mbv3_w1.0").state_dict("mbv3_w1.0", 1000);
    for file in ["first_conv_nested.pth", "first_conv_flat.pth"] {
        let found = golden_tensors(file);
        assert_eq!(found.len(), 6);
        assert_eq!(found["first_conv.bn.num_batches_tracked"], TensorData::new(vec![0i64], [0; 0]));
        for (key, expected) in all.iter().filter(|(key, _)| key.starts_with("first_conv.")) {
            assert_eq!(&found[key], expected, "{key}");
        }
    }
}

#[test]
fn a_supernet_leaves_as_it_came() {
    // As many entries as the original's state dicts.
    for (kind, entries) in [("mbv3_w1.0", 475), ("proxyless_w1.3", 446), ("resnets", 368)] {
        let golden = Golden::read(kind);
        let supernet = golden.supernet(kind, 1000);
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("supernet.safetensors");
        write_state_dict(&path, &supernet.to_original()).unwrap();
        let found: BTreeMap<_, _> = read_state_dict(&path).unwrap().into_iter().collect();
        for (key, expected) in &golden.state_dict(kind, 1000) {
            assert_eq!(&found[key], expected, "{key}");
            if let Some(norm) = key.strip_suffix("running_var") {
                assert_eq!(found[&format!("{norm}num_batches_tracked")], TensorData::new(vec![0i64], [0; 0]));
            }
        }
        assert_eq!(found.len(), entries, "{kind}");
    }
}

#[test]
fn what_is_no_checkpoint_is_refused_with_its_name_and_never_run() {
    let root = tempfile::tempdir().unwrap();
    let message = |name: &str, content: &[u8]| {
        let path = root.path().join(name);
        std::fs::write(&path, content).unwrap();
        let message = read_state_dict(&path).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
        message
    };
    message("text.pth", b"not a checkpoint");
    message("empty.pth", b"");
    message("header.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\xff");
    let whole = std::fs::read(golden_file("first_conv_flat.pth")).unwrap();
    message("truncated.pth", &whole[..whole.len() / 2]);
    // A pickle that calls `os.mkdir(ran)` when it is loaded.
    let ran = root.path().join("ran");
    let pickle = format!("cos\nmkdir\n(S'{}'\ntR.", ran.display());
    message("code.pth", pickle.as_bytes());
    assert!(!ran.exists());
    let missing = read_state_dict(&root.path().join("missing.pth")).unwrap_err().to_string();
    assert!(missing.contains("missing.pth"), "{missing}");
}
