use std::fs;

use super::cifar::Cifar;
use super::fashion_mnist::FashionMnist;
use super::*;

fn name(dir: &Path) -> String {
    Layout::detect(dir).unwrap().to_string()
}

fn message(dir: &Path) -> String {
    Layout::detect(dir).unwrap_err().to_string()
}

#[test]
fn the_files_tell_the_layout() {
    assert_eq!(name(&FashionMnist::directory()), "Fashion-MNIST");
    let dir = tempfile::tempdir().unwrap();
    let error = message(dir.path());
    assert!(error.contains("train/<class>/<image>") && error.contains("data_batch_1.bin"), "{error}");
    let error = message(&dir.path().join("nothing"));
    assert!(error.contains("nothing not found"), "{error}");
    fs::create_dir_all(dir.path().join("train/cat")).unwrap();
    assert_eq!(name(dir.path()), "ImageFolder");
    fs::create_dir_all(dir.path().join("val/cat")).unwrap();
    assert_eq!(name(dir.path()), "ImageFolder");
    fs::write(dir.path().join("train.bin"), "").unwrap();
    assert_eq!(Cifar::in_directory(dir.path()), Some(Cifar::Hundred));
    assert_eq!(name(dir.path()), "CIFAR-100");
    let parquet = tempfile::tempdir().unwrap();
    fs::write(parquet.path().join("train-00000-of-00001.parquet"), "").unwrap();
    let layout = Layout::detect(parquet.path()).unwrap();
    assert_eq!(layout.to_string(), "parquet shards");
    let error = layout.load(3, 1).unwrap_err().to_string();
    assert!(
        error.contains(if cfg!(feature = "parquet") { "damaged" } else { "build with `--features parquet`" }),
        "{error}"
    );
    let layout = Layout::detect(&FashionMnist::directory()).unwrap();
    let error = layout.load(3, 1).unwrap_err().to_string();
    assert!(error.contains("channels is 3, expected 1: Fashion-MNIST is gray"), "{error}");
    assert_eq!(layout.channels(), 1);
}

#[test]
fn what_fits_nothing_is_described() {
    let dir = tempfile::tempdir().unwrap();
    assert!(message(dir.path()).contains("it is empty; it may be the wrong directory"), "{}", message(dir.path()));
    let file = dir.path().join("0.jpg");
    fs::write(&file, "").unwrap();
    assert!(message(&file).ends_with("0.jpg is a file: pass the directory that it lies in"), "{}", message(&file));
    fs::write(dir.path().join("labels.csv"), "").unwrap();
    let error = message(dir.path());
    assert!(
        error.contains("it holds 2 files (0.jpg, labels.csv); 1 .csv, 1 .jpg; nearest is <class>/<image>"),
        "{error}"
    );
    fs::create_dir(dir.path().join("train")).unwrap();
    fs::write(dir.path().join("train/1.jpg"), "").unwrap();
    let error = message(dir.path());
    assert!(error.contains("but `train` holds 1 file (1.jpg), where train/<class>/<image> is expected"), "{error}");
    let python = tempfile::tempdir().unwrap();
    fs::write(python.path().join("data_batch_1"), "").unwrap();
    assert!(message(python.path()).contains("download the binary version"), "{}", message(python.path()));
}

#[test]
fn held_out_fractions_are_checked() {
    let layout = Layout::detect(&FashionMnist::directory()).unwrap();
    for fraction in [0.0, 0.5, -1.0, f64::NAN] {
        let error = layout.clone().with_hold_out(Some(fraction)).unwrap_err().to_string();
        assert!(error.starts_with("hold_out is "), "{error}");
    }
    let splits = layout.with_hold_out(Some(0.25)).unwrap().load(1, 1).unwrap();
    assert_eq!((splits.train.len(), splits.validation.len()), (45_000, 15_000));
}
