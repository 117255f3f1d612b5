//! The image commands on small real images.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A command of `ofa`.
fn ofa(command: &str) -> Command {
    let mut ofa = Command::new(env!("CARGO_BIN_EXE_ofa"));
    ofa.args(command.split(' '));
    ofa
}

fn check(arguments: &[&str]) -> Output {
    ofa("data check").args(arguments).output().unwrap()
}

/// An ImageFolder with two classes, of two images each in train and in val.
fn folder(root: &Path) {
    for (i, class) in ["train/cat", "train/dog", "val/cat", "val/dog"].iter().enumerate() {
        fs::create_dir_all(root.join(class)).unwrap();
        for number in 0..2 {
            let image = image::RgbImage::from_fn(16, 12, |x, y| image::Rgb([(x * 9) as u8, (y * 20) as u8, i as u8]));
            image.save(root.join(class).join(format!("{number}.png"))).unwrap();
        }
    }
}

#[test]
fn a_sound_folder_passes_and_a_broken_one_is_listed() {
    let temporary = tempfile::tempdir().unwrap();
    let (root, list) = (temporary.path().join("images"), temporary.path().join("broken.csv"));
    folder(&root);
    let root_text = root.to_str().unwrap();
    let output = check(&[root_text]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("8 images in 2 classes"), "{said}");

    let path = root.join("train/dog/1.png");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    fs::write(root.join("val/cat/1.png"), "").unwrap();
    let output = check(&[root_text, "--out", list.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("2 problems in 8 images") && error.contains("broken.csv"), "{error}");
    let csv = fs::read_to_string(&list).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "path,problem"));
    assert!(lines[1].contains("train/dog/1.png") && lines[2].ends_with("empty file"), "{csv}");

    let output = check(&[root.join("val/cat").to_str().unwrap()]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("no known layout of labelled images"), "{error}");
}

#[test]
fn a_batch_can_be_looked_at() {
    let temporary = tempfile::tempdir().unwrap();
    let (root, sheet) = (temporary.path().join("images"), temporary.path().join("sheet.png"));
    folder(&root);
    let preview = |arguments: &[&str]| {
        let output = ofa("data preview").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let common = ["--data", root.to_str().unwrap(), "--columns", "2", "--out", sheet.to_str().unwrap()];
    let arguments = ["--evaluate", "--images", "4", "--resolution", "8", "--resolution", "12"];
    assert_eq!(preview(&[&common[..], &arguments].concat()), (Some(0), String::new()));
    let image = image::open(&sheet).unwrap().to_rgb8();
    assert_eq!((image.width(), image.height()), (2 * 14 + 2, 2 * 10 + 2 + 2 * 14 + 2));
    assert_eq!(image.get_pixel(0, 0).0, [255; 3]);
    // The blue channel identifies the directory: val/cat is 2, val/dog is 3.
    assert_eq!((image.get_pixel(4, 4).0[2], image.get_pixel(4, 14).0[2]), (2, 3));

    let (code, error) = preview(&[&common[..], &["--resolution", "9000"]].concat());
    assert!(code == Some(1) && error.contains("ask for fewer images"), "{error}");
}

#[test]
fn reading_images_can_be_timed() {
    let temporary = tempfile::tempdir().unwrap();
    folder(temporary.path());
    let bench = |arguments: &[&str]| {
        let output = ofa("data bench").arg(temporary.path()).args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (success, said, error) = bench(&["--images", "2", "--batch-size", "1", "--rounds", "2", "--resolution", "8"]);
    assert!(success && said.contains("loader, 2 threads") && said.contains("two threads are"), "{said}{error}");
    let (success, _, error) = bench(&["--batch-size", "99"]);
    assert!(!success && error.contains("at least 99 to fill a batch"), "{error}");
}
