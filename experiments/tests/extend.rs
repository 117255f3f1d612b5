//! `examples/extend.rs` is a crate of its own, outside the workspace: whatever it uses is public and needs no change of
//! ours.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The crate's manifest. It does not use `experiments`; with it, dependencies have the features that they have here, so
/// that what is built of them is taken, and only our own crates are compiled again.
fn manifest(root: &Path) -> String {
    let path = |name: &str| format!("{name}.path = {:?}\n", root.join(name));
    let ours = ["ofa-data", "ofa-model", "ofa-search", "ofa-train", "experiments"].map(path).concat();
    format!(
        r#"[package]
name = "extend"
version = "0.1.0"
edition = "2024"

[workspace]

[dependencies]
burn = {{ version = "=0.22.1", default-features = false, features = ["std", "flex", "autodiff"] }}
rand = {{ version = "0.10", default-features = false, features = ["std"] }}
rand_chacha = "0.10"
{ours}"#
    )
}

#[test]
fn another_crate_brings_parts_of_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("src")).unwrap();
    fs::copy(root.join("experiments/examples/extend.rs"), dir.path().join("src/main.rs")).unwrap();
    fs::copy(root.join("Cargo.lock"), dir.path().join("Cargo.lock")).unwrap();
    fs::write(dir.path().join("Cargo.toml"), manifest(root)).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--release", "--offline"]).current_dir(dir.path()).env("CARGO_TARGET_DIR", target);
    let output = cargo.output().unwrap();
    let (found, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    assert!(found.contains("epoch 4: ") && found.contains("measured"), "{found}");
}
