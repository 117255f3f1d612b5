//! D1 to D20, kinds 8 to 13, 15, 16, 24 and 26: images as they lie around.

use crate::process::{failure, ofa, said, success};
use crate::{Place, png};
use std::fs;
use std::io::Write;
use std::path::Path;

/// What `ofa plan` says of a set; nothing is trained.
fn planned(data: &str, more: &[&str]) -> String {
    said(ofa("plan", &[&["--preset", "smoke", "--data", data, "--steps", "0"], more].concat()))
}

fn refused(data: &str) -> String {
    failure(ofa("plan", &["--preset", "smoke", "--data", data, "--steps", "0"]))
}

fn checked(data: &str) -> String {
    success(ofa("data check", &[data]))
}

fn small(i: usize) -> Vec<u8> {
    png(20, |x, y| image::Rgb([i as u8, x as u8, y as u8]))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Shards of `train` and `val` with eight samples, whose files and labels are named and written so.
fn shards(
    place: &Place,
    set: &str,
    image: impl Fn(usize) -> String,
    label: impl Fn(usize) -> (String, String),
) -> String {
    for part in ["train", "val"] {
        let mut builder = tar::Builder::new(Vec::new());
        for i in 0..8 {
            let (name, text) = label(i);
            for (name, bytes) in [(image(i), small(i)), (name, text.into_bytes())] {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o644);
                builder.append_data(&mut header, name, &bytes[..]).unwrap();
            }
        }
        place.file(&format!("{set}/{part}-000000.tar"), builder.into_inner().unwrap());
    }
    place.at(set)
}

#[test]
fn d1_shards_without_a_usable_sample_say_what_is_in_them() {
    let place = Place::new();
    let cls = |i: usize| (format!("{i:05}.cls"), (i % 2).to_string());
    for (set, image) in [("one", "input_image.jpg"), ("two", "0.rgb.PNG"), ("three", "webp")] {
        let data = shards(&place, set, |i| format!("{i:05}.{image}"), cls);
        assert!(checked(&data).contains("16 images"), "{image}");
    }
    let dots = |i: usize| format!("./IMG_2024.01.0{i} v1.2 (copy)");
    let data = shards(&place, "dots", |i| dots(i) + ".jpeg", |i| (dots(i) + ".cls", (i % 2).to_string()));
    assert!(checked(&data).contains("16 images"));
    for (set, image) in [("npy", "npy"), ("mp4", "mp4"), ("bare", "pyd")] {
        let data = shards(&place, set, |i| format!("{i:05}.{image}"), cls);
        let message = refused(&data);
        let expected = format!("train-000000.tar has no sample: its first files are 00000.{image}, 00000.cls");
        assert!(message.contains(&expected) && message.contains("expected <key>.jpg"), "{message}");
    }
    let data = shards(&place, "caption", |i| format!("{i}.jpg"), |i| (format!("{i}.txt"), "a dog".into()));
    assert!(refused(&data).contains("0.jpg: no label: there is no .cls, .cls.txt or .json"), "{}", refused(&data));
    place.file("zipped/train-0.tar.gz", gzip(b""));
    assert!(refused(&place.at("zipped")).contains("unpack it with gunzip first"));
}

#[test]
fn d2_labels_are_numbers_or_names_in_json_or_text() {
    let place = Place::new();
    let names = ["sun fish", "Emu"];
    type Text = Box<dyn Fn(usize) -> String>;
    let texts: [(&str, Text, &str); 6] = [
        ("cls.txt", Box::new(|l| format!(" {l}\r\n")), "0"),
        ("json", Box::new(|l| format!("{{\"caption\": \"x\", \"label\": {l}.0}}")), "0"),
        ("json", Box::new(|l| format!("\u{feff}{{\"class\": \"{l}\"}}")), "0"),
        ("json", Box::new(move |l| format!("{{\"width\": 9, \"label\": {:?}}}", names[l])), "Emu"),
        ("cls", Box::new(move |l| names[l].to_owned()), "Emu"),
        ("cls.txt", Box::new(move |l| format!("{}\n", names[l])), "sun fish"),
    ];
    for (number, (extension, text, class)) in texts.iter().enumerate() {
        let set = format!("set-{number}");
        let label = |i: usize| (format!("{i}.{extension}"), text(i % 2));
        let data = shards(&place, &set, |i| format!("{i}.jpg"), label);
        let said = checked(&data);
        assert!(said.contains("16 images in 2 classes") && said.contains(class), "{said}");
    }
    let data = shards(&place, "bad", |i| format!("{i}.jpg"), |i| (format!("{i}.json"), "{\"id\": 3}".into()));
    assert!(refused(&data).contains("0.json: none of its fields (id) is a label: expected label, cls, class"));
}

#[test]
fn d3_labels_with_gaps_are_said_or_refused() {
    let place = Place::new();
    let of = |set: &str, label: fn(usize) -> usize| {
        shards(&place, set, |i| format!("{i}.jpg"), move |i| (format!("{i}.cls"), label(i).to_string()))
    };
    let one_based = of("one", |i| 1 + i % 3);
    assert!(
        planned(&one_based, &[]).contains("1 of 4 classes have no training image (class 0): do labels count from 1?")
    );
    assert!(checked(&one_based).contains("do labels count from 1?"));
    let gap = of("gap", |i| [0, 1, 3, 4][i % 4]);
    assert!(planned(&gap, &[]).contains("1 of 5 classes have no training image (class 2)"));
    let stray = of("stray", |i| if i == 0 { 999 } else { i % 2 });
    assert!(
        refused(&stray).contains("998 of 1000 classes have no training image") || refused(&stray).contains("997 of")
    );
    let negative = shards(&place, "negative", |i| format!("{i}.jpg"), |i| (format!("{i}.cls"), "-1".into()));
    assert!(refused(&negative).contains("\"-1\" is not a class index"));
    // IDX files also have labels.
    let labels: Vec<u8> = (0..20).map(|i| 1 + i % 2).collect();
    idx_set(&place, "idx", ["train", "t10k"], "", &idx(8, &[20, 6, 5], &[7; 600]), &idx(8, &[20], &labels));
    assert!(planned(&place.at("idx"), &[]).contains("1 of 3 classes have no training image (class 0)"));
}

#[test]
fn d5_tiny_imagenet_is_read_from_where_it_was_unpacked() {
    let place = Place::new();
    for (set, val) in [("tiny-imagenet-200", "val"), ("a/b/tiny", "Val")] {
        for (class, wnid) in ["n01443537", "n01629819", "n01641577"].iter().enumerate() {
            for i in 0..5 {
                place.file(&format!("{set}/train/{wnid}/images/{wnid}_{i}.JPEG"), small(i));
            }
            place.file(&format!("{set}/train/{wnid}/{wnid}_boxes.txt"), "x\t0\t0\t1\t1\n");
            place.file(&format!("{set}/{val}/images/val_{class}.JPEG"), small(class));
        }
        let lines =
            "\u{feff}val_2.JPEG\tn01641577\t0\t0\t1\t1\r\nval_0.JPEG\tn01443537\t0\t0\t1\t1\r\nval_1.JPEG n01629819\n";
        place.file(&format!("{set}/{val}/val_annotations.txt"), lines);
        place.file(&format!("{set}/test/images/test_0.JPEG"), small(0));
        place.file(&format!("{set}/wnids.txt"), "n01443537\n");
        let said = checked(&place.at(set));
        assert!(said.contains("18 images") && said.contains("n01641577"), "{said}");
    }
    // From the directory above, and two above.
    assert!(planned(&place.at("a"), &[]).contains("the images lie in "), "{}", planned(&place.at("a"), &[]));
}

#[test]
fn d6_parts_have_other_names_are_missing_or_lie_deeper() {
    let place = Place::new();
    let classes = ["cat", "dog"];
    let set = |name: &str, parts: &[&str]| {
        parts.iter().for_each(|part| place.images(&format!("{name}/{part}"), &classes, 5, 24));
        place.at(name)
    };
    let held_out = "2 images of train are held out for validation, by seed 1";
    for parts in [["TRAIN", "VALID"], ["training", "eval"], ["Train", "dev"], ["train", "Test"], ["train", "testing"]] {
        let data = set(&parts.concat(), &parts);
        assert!(planned(&data, &[]).contains(held_out), "{parts:?}: {}", planned(&data, &[]));
    }
    assert!(!planned(&set("three", &["train", "validation", "test"]), &[]).contains("held out"));
    let alone = set("alone", &["train"]);
    assert!(planned(&alone, &[]).contains("held out for validation"), "{}", planned(&alone, &[]));
    let plain = set("plain", &["."]);
    for data in [&plain, &set("deep", &["x/y/z"]), &set("only", &["valid"])] {
        let said = planned(data, &["--hold-out", "0.3"]);
        assert!(
            said.contains("the set has no parts: 4 images are held out for validation and 4 for testing"),
            "{said}"
        );
    }
    place.file("deep/__MACOSX/x/._y", "");
    place.file("deep/README.md", "a set");
    assert!(planned(&place.at("deep"), &[]).contains("the images lie in "));
    // What is none of these is described, with the nearest layout.
    place.file("flat/0.jpg", small(0));
    assert!(refused(&place.at("flat")).contains("nearest is <class>/<image>: give each class a directory"));
    place.images("listed/images", &["."], 3, 24);
    place.file("listed/labels.csv", "0.png,cat\n");
    let message = refused(&place.at("listed"));
    assert!(message.contains("holds 1 directory (images); 1 file (labels.csv)"), "{message}");
    place.file("packed/set.zip", "PK");
    assert!(refused(&place.at("packed")).contains("unpack the archives first"));
    place.file("arrays/x_train.npy", "x");
    assert!(refused(&place.at("arrays")).contains("files of this kind are not read"));
    fs::create_dir(place.at("void")).unwrap();
    assert!(refused(&place.at("void")).contains("it is empty"));
    assert!(refused(&place.at("missing")).contains("missing not found"));
    for wrong in ["0", "0.5", "nan", "-1"] {
        let arguments = ["--preset", "smoke", "--data", &plain, "--steps", "0", &format!("--hold-out={wrong}")];
        assert!(failure(ofa("plan", &arguments)).contains("expected a fraction between 0 and 0.5"), "{wrong}");
    }
    // And so in a configuration, before images are looked at.
    let mut config = crate::process::tiny();
    config.data.hold_out = Some(0.7);
    let file = crate::process::config_file(&config, Path::new(&place.at("run")));
    let message = failure(ofa("plan", &["--config", file.to_str().unwrap(), "--steps", "0"]));
    assert!(message.contains("hold_out is 0.7, expected a fraction between 0 and 0.5"), "{message}");
}

#[test]
fn d7_litter_is_passed_over_in_directories_and_shards() {
    let place = Place::new();
    place.images("set/train", &["cat", "dog"], 4, 24);
    place.images("set/val", &["cat", "dog"], 2, 24);
    for name in [
        "train/cat/._0.png",
        "train/cat/Desktop.ini",
        "train/cat/THUMBS.DB",
        "train/dog/0.png~",
        "train/dog/~$labels.docx",
        "train/dog/_SUCCESS",
        "train/.ipynb_checkpoints/a.png",
        "train/$RECYCLE.BIN/a.png",
        "train/@eaDir/a.png",
        "val/Network Trash Folder/a.png",
        "val/cat/.AppleDouble/a.png",
        "__MACOSX/train/cat/._a.png",
        ".git/HEAD",
    ] {
        place.file(&format!("set/{name}"), "litter");
    }
    let quiet = checked(&place.at("set"));
    assert!(quiet.contains("12 images in 2 classes") && !quiet.contains("passed over"), "{quiet}");
    for name in ["train/cat/0.txt", "train/dog/a.yolo", "val/dog/0.png.part", "val/dog/1.png.crdownload"] {
        place.file(&format!("set/{name}"), "no image");
    }
    let note = "4 files are no images by their names and are passed over (1 .crdownload, 1 .part, 1 .txt, 1 .yolo)";
    assert!(checked(&place.at("set")).contains(note), "{}", checked(&place.at("set")));
    // A broken image is another matter.
    place.file("set/train/cat/9.png", "no image");
    let output = ofa("data check", &[&place.at("set")]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("1 problems in 13 images"));
}

/// An IDX file with numbers of type `kind` (8: unsigned bytes).
fn idx(kind: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = shape.iter().flat_map(|size| size.to_be_bytes()).collect();
    [&[0, 0, kind, shape.len() as u8], &sizes[..], data].concat()
}

/// The four files of a set, gzipped, with `prefix` before their names.
fn idx_set(place: &Place, set: &str, parts: [&str; 2], prefix: &str, images: &[u8], labels: &[u8]) {
    for part in parts {
        for (kind, bytes) in [("images-idx3", images), ("labels-idx1", labels)] {
            place.file(&format!("{set}/{prefix}{part}-{kind}-ubyte.gz"), gzip(bytes));
        }
    }
}

#[test]
fn d17_any_idx_set_is_read_and_a_damaged_one_says_why() {
    let place = Place::new();
    let labels: Vec<u8> = (0..60).map(|i| i % 5).collect();
    let (images, labels) = (idx(8, &[60, 9, 7], &[3; 60 * 63]), idx(8, &[60], &labels));
    for (set, parts, prefix) in [
        ("kmnist", ["train", "t10k"], ""),
        ("emnist", ["train", "test"], "emnist-balanced-"),
        ("afro", ["train", "t10k"], "afro_mnist."),
    ] {
        idx_set(&place, set, parts, prefix, &images, &labels);
        let said = planned(&place.at(set), &[]);
        assert!(said.contains("an IDX set of 5 classes"), "{said}");
    }
    for (set, images, labels, problem) in [
        (
            "rgb",
            idx(8, &[60, 3, 9, 7], &[0; 60 * 189]),
            labels.clone(),
            "unsigned bytes in 4 dimensions, expected unsigned bytes in 3",
        ),
        ("floats", idx(13, &[60, 9, 7], &[0; 60 * 252]), labels.clone(), "it holds floats in 3 dimensions"),
        (
            "one hot",
            images.clone(),
            idx(8, &[60, 5], &[0; 300]),
            "unsigned bytes in 2 dimensions, expected unsigned bytes in 1",
        ),
        ("text", b"P5 28 28".to_vec(), labels.clone(), "no IDX data"),
        ("short", images[..900].to_vec(), labels.clone(), "the header announces 3780 bytes of data, the file has 884"),
        ("fewer", images.clone(), idx(8, &[59], &[1; 59]), "number of labels is 59, expected 60"),
        ("one class", images.clone(), idx(8, &[60], &[0; 60]), "one class (0): there is nothing to learn"),
    ] {
        idx_set(&place, set, ["train", "t10k"], "", &images, &labels);
        assert!(refused(&place.at(set)).contains(problem), "{set}: {}", refused(&place.at(set)));
    }
}

#[test]
fn d18_other_formats_are_read_or_named() {
    let place = Place::new();
    place.images("set/train", &["cat", "dog"], 4, 24);
    place.images("set/val", &["cat", "dog"], 2, 24);
    for (name, format) in
        [("a.webp", image::ImageFormat::WebP), ("b.bmp", image::ImageFormat::Bmp), ("c.jpg", image::ImageFormat::WebP)]
    {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_fn(24, 20, |x, y| image::Rgb([x as u8, y as u8, 9]))
            .write_to(&mut bytes, format)
            .unwrap();
        place.file(&format!("set/train/cat/{name}"), bytes.into_inner());
    }
    assert!(checked(&place.at("set")).contains("15 images"));
    for (bytes, name) in [
        (b"GIF87a\x01\0\x01\0".as_slice(), "GIF image"),
        (b"MM\0*\0\0\0\x08", "TIFF image"),
        (b"\0\0\x01\0\x01\0\x10\x10", "ICO"),
        (b"P6\n2 2\n255\n", "PPM image"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0heic", "convert it to JPEG or PNG"),
        (b"\0\0\0\x1cftypavis\0\0\0\0", "AVIF"),
        (b"\xff\x0a\0\0", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"8BPS\0\x01", "Photoshop"),
        (b"qoif\0\0\0\x01", "QOI"),
        (b"%PDF-1.7", "PDF"),
        (b"<!doctype html>", "HTML page"),
        (b"<?xml version='1.0'?><svg/>", "XML file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PK\x03\x04", "zip archive"),
    ] {
        let path = place.file("set/train/dog/x.jpg", bytes);
        let output = ofa("data check", &[&place.at("set")]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success() && said.contains(name), "{name}: {said}");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn d20_a_preparation_that_stopped_goes_on_without_broken_images() {
    let place = Place::new();
    place.images("set/train", &["cat", "dog"], 4, 24);
    place.images("set/val", &["cat", "dog"], 2, 24);
    place.file("set/train/dog/2.png", b"GIF89a");
    place.file("set/val/cat/0.png", small(0).split_at(100).0);
    let (set, out) = (place.at("set"), place.at("prepared"));
    let prepare = |more: &[&str]| ofa("data prepare", &[&[&*set, &*out, "--short-side", "16"], more].concat());
    let message = failure(prepare(&[]));
    assert!(message.contains("--skip-broken") && !message.contains("give the same command"), "{message}");
    assert!(success(prepare(&["--skip-broken", "0.5"])).contains("10 images in"));
    let listed = fs::read_to_string(format!("{out}/broken_images.csv")).unwrap();
    assert!(listed.contains("train/dog/2.png") && listed.contains("val/cat/0.png"), "{listed}");
    assert!(planned(&out, &[]).contains("held out"));
    let message = failure(prepare(&["--skip-broken", "0.5", "--quality", "40"]));
    assert!(message.contains("from other images or settings"), "{message}");
}

/// A JPEG of these pixels, with an EXIF orientation if there is one.
fn jpeg(width: u16, height: u16, orientation: Option<u8>) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let pixels: Vec<u8> = (0..u32::from(width) * u32::from(height)).flat_map(|i| [(i % 251) as u8, 9, 200]).collect();
    jpeg_encoder::Encoder::new(&mut jpeg, 95).encode(&pixels, width, height, jpeg_encoder::ColorType::Rgb).unwrap();
    let Some(orientation) = orientation else { return jpeg };
    let tiff =
        [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation], b"\0\0\0\0\0\0"].concat();
    let segment = [&[0xff, 0xe1, 0, 8 + tiff.len() as u8], b"Exif\0\0".as_slice(), &tiff].concat();
    [&jpeg[..2], &segment, &jpeg[2..]].concat()
}

#[test]
fn kind_24_orientations_are_counted_and_applied_on_request() {
    let place = Place::new();
    for part in ["train", "val"] {
        for (class, orientation) in [("a", None), ("b", Some(6)), ("c", Some(3)), ("d", Some(1))] {
            for i in 0..3 {
                place.file(&format!("set/{part}/{class}/{i}.jpg"), jpeg(40, 24, orientation));
            }
        }
    }
    let set = place.at("set");
    assert!(checked(&set).contains("12 images have an EXIF orientation"), "{}", checked(&set));
    let prepared = |name: &str, more: &[&str]| {
        let out = place.at(name);
        success(ofa("data prepare", &[&[&*set, &*out, "--short-side", "12"], more].concat()));
        let mut files = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        files.sort();
        files
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "tar"))
            .map(|path| fs::read(path).unwrap())
            .collect::<Vec<_>>()
    };
    let (plain, turned) = (prepared("plain", &[]), prepared("turned", &["--apply-orientation"]));
    assert!(plain != turned && plain.len() == turned.len());
}

#[test]
fn kind_26_the_limit_of_pixels_can_be_set() {
    let place = Place::new();
    place.images("set/train", &["cat", "dog"], 4, 40);
    place.images("set/val", &["cat", "dog"], 2, 40);
    let set = place.at("set");
    let output = ofa("data check", &[&set, "--max-pixels", "1599"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("12 problems in 12 images") && said.contains("too large"), "{said}");
    assert!(success(ofa("data check", &[&set, "--max-pixels", "1600"])).contains("12 images"));
    let message = failure(ofa("data prepare", &[&set, &place.at("out"), "--max-pixels", "1599"]));
    assert!(message.contains("1599"), "{message}");
    for wrong in ["0", "-1", "many"] {
        assert!(!ofa("data check", &[&set, "--max-pixels", wrong]).status.success(), "{wrong}");
    }
    let mut config = crate::process::tiny();
    config.data.read.max_pixels = 0;
    let file = crate::process::config_file(&config, Path::new(&place.at("run")));
    let message = failure(ofa("plan", &["--config", file.to_str().unwrap(), "--steps", "0"]));
    assert!(message.contains("max_pixels"), "{message}");
}
