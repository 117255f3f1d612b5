//! Image sets as they lie around: each test is named by the row of the report from the field that asked for it.

use std::fs;
use std::io::Write;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use ofa_data::{BrokenImages, DataError, DecodeConfig, ImageCheck, ImageSet, Layout, PrepareConfig, Splits};
use ofa_data::{check_images, prepare_images};
use tempfile::TempDir;

/// A picture whose first pixel is `value`.
fn picture(value: u8, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(20, 12, Rgb([value, 1, 2])).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png(value: u8) -> Vec<u8> {
    picture(value, ImageFormat::Png)
}

/// A directory with these files.
fn directory(files: &[(&str, Vec<u8>)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| write(dir.path(), name, bytes));
    dir
}

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// `count` images of each of two classes in `part`; the first pixel of class `b` is 100 and more.
fn class_images(root: &Path, part: &str, count: u8) {
    for i in 0..count {
        write(root, &format!("{part}/a/{i}.png"), &png(i));
        write(root, &format!("{part}/b/{i}.png"), &png(100 + i));
    }
}

fn load(dir: &Path) -> Result<Splits, DataError> {
    Layout::detect(dir)?.load(3, 1)
}

fn load_gray(dir: &Path) -> Result<Splits, DataError> {
    Layout::detect(dir)?.load(1, 1)
}

fn message(dir: &Path) -> String {
    load(dir).unwrap_err().to_string()
}

fn sizes(splits: &Splits) -> [usize; 3] {
    [&splits.train, &splits.validation, &splits.test].map(ImageSet::len)
}

/// First pixel values and labels, sorted.
fn content(set: &ImageSet) -> Vec<(u8, usize)> {
    let mut content: Vec<_> = (0..set.len()).map(|i| (set.get(i).unwrap().pixels[0], set.label(i))).collect();
    content.sort_unstable();
    content
}

fn check(dir: &Path) -> ImageCheck {
    check_images(dir, DecodeConfig::default(), |_, _| ()).unwrap()
}

fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A shard of four samples with labels `first` and `first + 1` in turn; `name` makes the names of image and label.
fn shard(first: usize, name: impl Fn(usize) -> (String, String), label: impl Fn(usize) -> String) -> Vec<u8> {
    let sample = |i: usize| {
        let (image, label_file) = name(i);
        [(image, png(i as u8)), (label_file, label(first + i % 2).into_bytes())]
    };
    tar_of(&(0..4).flat_map(sample).collect::<Vec<_>>())
}

#[test]
fn d1_fields_with_a_prefix_and_names_with_points_are_read_or_the_shard_is_described() {
    let name = |i: usize| (format!("{i:03}.image.png"), format!("{i:03}.cls"));
    let dir = directory(&[("train-0.tar", shard(0, name, |l| l.to_string()))]);
    let name = |i: usize| (format!("photo v1.{i} (x).PNG"), format!("photo v1.{i} (x).cls"));
    write(dir.path(), "validation/0.tar", &shard(0, name, |l| l.to_string()));
    let splits = load(dir.path()).unwrap();
    assert_eq!(sizes(&splits), [2, 2, 4]);
    assert_eq!(content(&splits.test), [(0, 0), (1, 1), (2, 0), (3, 1)]);
    write(dir.path(), "train-0.tar", &tar_of(&[("0.tiff".into(), vec![]), ("0.txt".into(), vec![])]));
    let error = message(dir.path());
    assert!(
        error.contains("train-0.tar has no sample: its first files are 0.tiff, 0.txt; expected <key>.jpg"),
        "{error}"
    );
    write(dir.path(), "train-0.tar", &tar_of(&[]));
    assert!(message(dir.path()).contains("train-0.tar has no sample: it is empty"), "{}", message(dir.path()));
    fs::remove_file(dir.path().join("train-0.tar")).unwrap();
    write(dir.path(), "train-0.tar.gz", &gzip(&tar_of(&[])));
    assert!(message(dir.path()).contains("train-0.tar.gz: compressed with gzip; images"), "{}", message(dir.path()));
}

#[test]
fn d2_labels_in_json_and_text_are_those_of_cls() {
    type Name = fn(usize) -> (String, String);
    type Text = fn(usize) -> String;
    let variants: [(Name, Text); 4] = [
        (|i| (format!("{i}.png"), format!("{i}.cls.txt")), |l| format!("{l}\n")),
        (|i| (format!("{i}.jpeg"), format!("{i}.json")), |l| format!("{{\"url\": \"x\", \"class\": {l}}}")),
        (|i| (format!("a/{i}.png"), format!("a/{i}.json")), |l| format!("{{\"label\": \"{l}\"}}")),
        (|i| (format!("{i}.img.png"), format!("{i}.json")), |l| format!("\u{feff}{{\"cls\": {l}}}")),
    ];
    for (name, label) in variants {
        let dir = directory(&[("train-0.tar", shard(0, name, label)), ("val-0.tar", shard(0, name, label))]);
        assert_eq!(content(&load(dir.path()).unwrap().test), [(0, 0), (1, 1), (2, 0), (3, 1)]);
    }
    // Names are classes, in the order of train or of `classes.txt`; a name that neither has is refused.
    let named = |class: fn(usize) -> &'static str| {
        shard(0, |i| (format!("{i}.jpg"), format!("{i}.json")), move |l| format!("{{\"label\": {:?}}}", class(l)))
    };
    let dir = directory(&[
        ("train-0.tar", named(|l| ["zebra", "cat"][l])),
        ("train-1.tar", named(|l| ["eel", "zebra"][l])),
        ("val-0.tar", named(|l| ["zebra", "eel"][l])),
    ]);
    let splits = load(dir.path()).unwrap();
    assert_eq!((&splits.classes[..], splits.notes.len()), (&["cat", "eel", "zebra"].map(String::from)[..], 1));
    assert_eq!(content(&splits.test), [(0, 2), (1, 1), (2, 2), (3, 1)]);
    write(dir.path(), "classes.txt", "\u{feff}zebra\r\neel\r\ncat\r\n".as_bytes());
    assert_eq!(content(&load(dir.path()).unwrap().test), [(0, 0), (1, 1), (2, 0), (3, 1)]);
    write(dir.path(), "val-0.tar", &named(|l| ["zebra", "fox"][l]));
    let error = message(dir.path());
    assert!(
        error.ends_with("val-0.tar/1.jpg: its class is \"fox\", which neither train nor classes.txt has"),
        "{error}"
    );
    write(dir.path(), "val-0.tar", &shard(0, |i| (format!("{i}.png"), format!("{i}.cls")), |l| l.to_string()));
    assert!(message(dir.path()).ends_with("labels of some parts are numbers, those of others names"));
    write(dir.path(), "train-1.tar", &shard(0, |i| (format!("{i}.png"), format!("{i}.cls")), |l| l.to_string()));
    assert!(message(dir.path()).contains("train-1.tar: its labels are names where those of other shards are numbers"));
    // Shards that name no part are the train set; validation and test images are held out.
    let name = |i: usize| (format!("{i}.png"), format!("{i}.cls"));
    let shards = |number: usize| shard(0, move |i| name(10 * number + i), |l| l.to_string());
    let dir = directory(&[("00000.tar", shards(0)), ("00001.tar", shards(1))]);
    assert_eq!(sizes(&load(dir.path()).unwrap()), [4, 2, 2]);
}

#[test]
fn d3_labels_with_gaps_are_said_or_refused() {
    let name = |i: usize| (format!("{i}.png"), format!("{i}.cls"));
    let one_based = |first| shard(first, name, |l| l.to_string());
    let dir = directory(&[("train-0.tar", one_based(1)), ("val-0.tar", one_based(1))]);
    let expected = "1 of 3 classes have no training image (class 0): do labels count from 1? They begin at 0";
    assert_eq!(load(dir.path()).unwrap().notes[0], expected);
    assert_eq!(check(dir.path()).notes, [expected]);
    let far = directory(&[("train-0.tar", one_based(7)), ("val-0.tar", one_based(7))]);
    assert!(message(far.path()).starts_with("7 of 9 classes have no training image"), "{}", message(far.path()));
    write(far.path(), "classes.txt", "\u{feff}a\nb\nc\nd\ne\nf\ng\nh\ni\n".as_bytes());
    let splits = load(far.path()).unwrap();
    assert_eq!((&*splits.classes[0], splits.classes.len()), ("a", 9));
    assert!(splits.notes[0].starts_with("7 of 9 classes"), "{:?}", splits.notes);
}

/// Tiny ImageNet with two classes, whose validation directory is called `val`.
fn tiny(val: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..4 {
        write(dir.path(), &format!("train/n01/images/n01_{i}.JPEG"), &png(i));
        write(dir.path(), &format!("train/n02/images/n02_{i}.JPEG"), &png(100 + i));
        write(dir.path(), &format!("{val}/images/val_{i}.JPEG"), &png(200 + i));
        write(dir.path(), &format!("test/images/test_{i}.JPEG"), &png(0));
    }
    write(dir.path(), "train/n01/n01_boxes.txt", b"n01_0.JPEG\t0\t0\t9\t9\n");
    let annotations = "val_3.JPEG\tn01\t0\t0\t9\t9\nval_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn01\nval_2.JPEG\tn02\n";
    write(dir.path(), &format!("{val}/val_annotations.txt"), annotations.as_bytes());
    dir
}

#[test]
fn d5_tiny_imagenet_is_read_with_the_labels_of_its_annotations() {
    for val in ["val", "Valid"] {
        let dir = tiny(val);
        assert_eq!(Layout::detect(dir.path()).unwrap().to_string(), "Tiny ImageNet");
        let splits = load(dir.path()).unwrap();
        assert_eq!((sizes(&splits), &splits.classes[..]), ([6, 2, 4], &["n01".to_owned(), "n02".to_owned()][..]));
        assert_eq!(content(&splits.test), [(200, 1), (201, 0), (202, 1), (203, 0)]);
        let notes = splits.notes.join("; ");
        assert!(notes.contains("(1 .txt)") && notes.contains("`test` has no labels"), "{notes}");
        let annotations = dir.path().join(val).join("val_annotations.txt");
        fs::write(&annotations, "val_0.JPEG\tn09\n").unwrap();
        assert!(
            message(dir.path()).ends_with("val_0.JPEG has class n09, which train lacks"),
            "{}",
            message(dir.path())
        );
        fs::write(&annotations, "").unwrap();
        assert!(message(dir.path()).contains("it has no line for val_0.JPEG"), "{}", message(dir.path()));
        fs::remove_file(annotations).unwrap();
        // Sorted into classes, as scripts do it.
        fs::remove_dir_all(dir.path().join(val)).unwrap();
        write(dir.path(), "val/n01/images/0.JPEG", &png(1));
        write(dir.path(), "val/n02/images/0.JPEG", &png(2));
        assert_eq!(content(&load(dir.path()).unwrap().test), [(1, 0), (2, 1)]);
    }
}

#[test]
fn d6_parts_have_many_names_or_are_held_out() {
    for (train, val) in [("train", "dev"), ("Training", "VALIDATION"), ("train", "valid"), ("training_set", "Val")] {
        let dir = tempfile::tempdir().unwrap();
        class_images(dir.path(), train, 4);
        class_images(dir.path(), val, 1);
        let splits = load(dir.path()).unwrap();
        assert_eq!((sizes(&splits), content(&splits.test)), ([6, 2, 2], vec![(0, 0), (100, 1)]), "{train}, {val}");
        assert_eq!(splits.notes, ["2 images of train are held out for validation, by seed 1"]);
    }
    let dir = tempfile::tempdir().unwrap();
    class_images(dir.path(), "train", 4);
    class_images(dir.path(), "testing", 3);
    assert_eq!(sizes(&load(dir.path()).unwrap()), [6, 2, 6]);
    class_images(dir.path(), "val", 2);
    let splits = load(dir.path()).unwrap();
    assert_eq!((sizes(&splits), splits.notes.len()), ([8, 4, 6], 0));
    let fraction = |dir: &Path| Layout::detect(dir).unwrap().with_hold_out(Some(0.25)).unwrap().load(3, 1);
    assert!(fraction(dir.path()).unwrap_err().to_string().contains("validation and test images of its own"));
    fs::rename(dir.path().join("val"), dir.path().join("valid")).unwrap();
    class_images(dir.path(), "dev", 2);
    assert!(message(dir.path()).contains("dev and valid could both be `val`"), "{}", message(dir.path()));

    // One directory of classes, named as such or by the directory above it; `train` may be a class.
    let classes = tempfile::tempdir().unwrap();
    class_images(classes.path(), "photos", 8);
    for dir in [classes.path().to_owned(), classes.path().join("photos")] {
        let splits = load(&dir).unwrap();
        assert_eq!(sizes(&splits), [12, 2, 2]);
        assert!(
            splits.notes.iter().any(|note| note.starts_with("the set has no parts: 2 images")),
            "{:?}",
            splits.notes
        );
        assert_eq!(sizes(&fraction(&dir).unwrap()), [8, 4, 4]);
    }
    for i in 0..3 {
        write(classes.path(), &format!("photos/train/{i}.png"), &png(i));
    }
    assert_eq!(load(classes.path()).unwrap().classes, ["a", "b", "train"]);
    // `train` alone, unpacked into a directory of its own name.
    let nested = tempfile::tempdir().unwrap();
    class_images(nested.path(), "train/train", 4);
    assert_eq!(sizes(&load(nested.path()).unwrap()), [4, 2, 2]);
}

#[test]
fn d7_litter_is_passed_over_and_other_files_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    class_images(dir.path(), "train", 2);
    class_images(dir.path(), "val", 1);
    for name in ["train/a/desktop.ini", "train/__MACOSX/a/._0.png", "val/Icon\r/0.png", "train/b/ehthumbs.db"] {
        write(dir.path(), name, b"litter");
    }
    let splits = load(dir.path()).unwrap();
    assert_eq!((sizes(&splits), splits.classes.len(), splits.notes.len()), ([2, 2, 2], 2, 1));
    for name in ["train/a/0.xml", "train/a/index.HTML", "val/b/notes.txt"] {
        write(dir.path(), name, b"no image");
    }
    let note = "3 files are no images by their names and are passed over (1 .html, 1 .txt, 1 .xml)";
    assert_eq!(load(dir.path()).unwrap().notes[0], note);
    let checked = check(dir.path());
    assert_eq!((checked.images(), checked.broken.len(), &checked.notes[..]), (6, 0, &[note.to_owned()][..]));
    let litter = ["__MACOSX/0.png", "a/desktop.ini", "a/._0.png"].map(|name| (name.to_owned(), b"litter".to_vec()));
    let samples = [("0.png", png(1)), ("0.cls", b"0".to_vec()), ("1.png", png(2)), ("1.cls", b"1".to_vec())];
    let files: Vec<_> = litter.into_iter().chain(samples.map(|(name, bytes)| (name.to_owned(), bytes))).collect();
    let shards = directory(&[("train-0.tar", tar_of(&files)), ("val-0.tar", tar_of(&files))]);
    assert_eq!(check(shards.path()).images(), 4);
}

#[test]
fn d8_a_set_of_one_class_is_refused_in_every_layout() {
    let dir = tempfile::tempdir().unwrap();
    class_images(dir.path(), "train", 4);
    class_images(dir.path(), "val", 4);
    fs::remove_dir_all(dir.path().join("train/b")).unwrap();
    fs::remove_dir_all(dir.path().join("val/b")).unwrap();
    let name = |i: usize| (format!("{i}.png"), format!("{i}.cls"));
    let zeros = || shard(0, name, |_| "0".into());
    let shards = directory(&[("train-0.tar", zeros()), ("val-0.tar", zeros())]);
    for (dir, class) in [(dir.path(), "a"), (&dir.path().join("train"), "a"), (shards.path(), "0")] {
        let expected = format!("one class ({class}): there is nothing to learn; a set needs at least two classes");
        assert_eq!(message(dir), expected);
        let checked = check_images(dir, DecodeConfig::default(), |_, _| ()).unwrap_err().to_string();
        assert_eq!(checked, expected);
        let out = tempfile::tempdir().unwrap();
        let prepared = prepare_images(dir, out.path(), PrepareConfig::default(), BrokenImages::Fail, |_, _| ());
        assert_eq!(prepared.unwrap_err().to_string(), expected);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }
}

/// An IDX file of these dimensions.
fn idx(magic: u8, dimensions: &[u32], data: &[u8]) -> Vec<u8> {
    let header: Vec<u8> = dimensions.iter().flat_map(|size| size.to_be_bytes()).collect();
    [&[0, 0, 8, magic], &header[..], data].concat()
}

#[test]
fn d17_any_idx_set_is_read_gzipped_or_not_with_any_number_of_classes() {
    for (classes, dash, is_gzipped) in [(3u8, "-", true), (26, ".", false), (2, "-", false)] {
        let count = 2 * u32::from(classes);
        let labels: Vec<u8> = (0..count).map(|i| i as u8 % classes).collect();
        let pixels: Vec<u8> = (0..count * 6).map(|i| (i / 6) as u8).collect();
        let dir = tempfile::tempdir().unwrap();
        let extension = if is_gzipped { ".gz" } else { "" };
        for part in ["train", "t10k"] {
            let files = [("images", idx(3, &[count, 2, 3], &pixels)), ("labels", idx(1, &[count], &labels))];
            for ((kind, bytes), rank) in files.into_iter().zip([3, 1]) {
                let bytes = if is_gzipped { gzip(&bytes) } else { bytes };
                write(dir.path(), &format!("{part}-{kind}{dash}idx{rank}-ubyte{extension}"), &bytes);
            }
        }
        let layout = Layout::detect(dir.path()).unwrap();
        assert_eq!((layout.to_string().as_str(), layout.channels()), ("IDX files", 1));
        let splits = layout.load(1, 1).unwrap();
        let classes = usize::from(classes);
        assert_eq!((splits.classes.len(), sizes(&splits)), (classes, [classes, classes, 2 * classes]));
        assert_eq!(splits.test.get(1).unwrap().pixels, [1; 6]);
        assert!(splits.notes[0].contains("not those of Fashion-MNIST"), "{:?}", splits.notes);
        let images = format!("t10k-images{dash}idx3-ubyte{extension}");
        fs::remove_file(dir.path().join(&images)).unwrap();
        assert!(message(dir.path()).contains("t10k-images-idx3-ubyte.gz not found: an IDX set needs"));
        write(dir.path(), &images, &idx(3, &[count, 2, 3], &pixels[1..]));
        let error = layout.load(1, 1).unwrap_err().to_string();
        assert!(error.contains("t10k-images") && error.contains("bytes of data, the file has"), "{error}");
    }
}

#[test]
fn d17_names_may_have_a_prefix_and_only_one_set_lies_in_a_directory() {
    for (prefix, test, dash, extension) in
        [("emnist-letters-", "test", "-", ".gz"), ("qmnist-", "t10k", ".", ""), ("my_", "test", "-", "")]
    {
        let dir = tempfile::tempdir().unwrap();
        let set = |prefix: &str| {
            for part in ["train", test] {
                let files =
                    [("images", 3, idx(3, &[6, 2, 1], &[9; 12])), ("labels", 1, idx(1, &[6], &[1, 2, 1, 2, 1, 2]))];
                for (kind, rank, bytes) in files {
                    let bytes = if extension.is_empty() { bytes } else { gzip(&bytes) };
                    write(dir.path(), &format!("{prefix}{part}-{kind}{dash}idx{rank}-ubyte{extension}"), &bytes);
                }
            }
        };
        set(prefix);
        write(dir.path(), "emnist-letters-mapping.txt", b"1 65 97\n2 66 98\n");
        let splits = load_gray(dir.path()).unwrap();
        assert_eq!((splits.classes.len(), splits.test.len()), (3, 6), "{prefix}");
        assert!(splits.notes.iter().any(|note| note.contains("do labels count from 1?")), "{:?}", splits.notes);
        set("other-");
        let error = message(dir.path());
        assert!(error.contains("train-images and") && error.contains("move one of them away"), "{error}");
    }
    let dir = directory(&[("emnist-digits-train-images-idx3-ubyte.gz", Vec::new())]);
    assert!(message(dir.path()).contains("emnist-digits-train-labels-idx1-ubyte.gz not found: an IDX set needs"));
}

#[test]
fn d18_webp_and_bmp_are_read_and_other_formats_named() {
    let dir = tempfile::tempdir().unwrap();
    class_images(dir.path(), "train", 2);
    write(dir.path(), "val/a/0.webp", &picture(60, ImageFormat::WebP));
    write(dir.path(), "val/b/0.bmp", &picture(70, ImageFormat::Bmp));
    // The content tells the format, not the name.
    write(dir.path(), "val/b/1.jpg", &picture(80, ImageFormat::WebP));
    assert_eq!(content(&load(dir.path()).unwrap().test), [(60, 0), (70, 1), (80, 1)]);
    for (name, bytes, sort) in [
        ("0.gif", b"GIF89a\x01\0\x01\0".as_slice(), "a GIF image; convert it to JPEG or PNG"),
        ("1.tif", b"II*\0\x08\0\0\0", "a TIFF image; convert it to JPEG or PNG"),
        ("2.heic", b"\0\0\0\x18ftypheix\0\0\0\0", "a HEIC image; convert it to JPEG or PNG"),
        ("3.avif", b"\0\0\0\x1cftypavif\0\0\0\0", "an AVIF image; convert it to JPEG or PNG"),
    ] {
        let path = format!("train/a/{name}");
        write(dir.path(), &path, bytes);
        let checked = check(dir.path());
        assert_eq!(checked.sorts(), [(sort, 1)]);
        assert!(checked.broken[0].path.ends_with(&path));
        fs::remove_file(dir.path().join(path)).unwrap();
    }
}

#[test]
fn d20_a_preparation_that_stopped_at_a_broken_image_goes_on_without_it() {
    let dir = tempfile::tempdir().unwrap();
    class_images(dir.path(), "train", 3);
    class_images(dir.path(), "val", 3);
    write(dir.path(), "train/b/1.png", b"GIF89a");
    let out = tempfile::tempdir().unwrap();
    let config = PrepareConfig { images_per_shard: 2, ..PrepareConfig::default() };
    let prepare = |broken| prepare_images(dir.path(), out.path(), config, broken, |_, _| ());
    assert!(prepare(BrokenImages::Fail).unwrap_err().to_string().contains("a GIF image"));
    let report = prepare(BrokenImages::Skip { max_fraction: 0.5 }).unwrap();
    assert_eq!((report.images, report.broken.len()), (11, 1));
    let error = prepare(BrokenImages::Lenient).unwrap_err().to_string();
    assert!(error.contains("was prepared from other images or settings"), "{error}");
    assert_eq!(sizes(&load(out.path()).unwrap()), [3, 2, 6]);
}

#[test]
fn the_check_counts_images_with_an_orientation_and_the_preparation_turns_them() {
    let dir = tempfile::tempdir().unwrap();
    class_images(dir.path(), "train", 2);
    class_images(dir.path(), "val", 2);
    let mut jpeg = Vec::new();
    let pixels: Vec<u8> = (0..12 * 8).flat_map(|i| [20 * (i % 12) as u8, 0, 0]).collect();
    jpeg_encoder::Encoder::new(&mut jpeg, 95).encode(&pixels, 12, 8, jpeg_encoder::ColorType::Rgb).unwrap();
    let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0\0\0\0\0";
    let segment = [&[0xff, 0xe1, 0, 34], b"Exif\0\0".as_slice(), tiff].concat();
    write(dir.path(), "val/a/0.jpg", &[&jpeg[..2], &segment, &jpeg[2..]].concat());
    assert_eq!((check(dir.path()).turned, check(dir.path()).broken.len()), (1, 0));
    let side = |out: &TempDir, apply_orientation| {
        let reading = ofa_data::ReadConfig { apply_orientation, ..ofa_data::ReadConfig::default() };
        prepare_images(dir.path(), out.path(), PrepareConfig::default(), reading, |_, _| ()).unwrap();
        let image = load(out.path()).unwrap().test.get(0).unwrap();
        (image.width, image.height)
    };
    let (plain, turned) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!((side(&plain, false), side(&turned, true)), ((12, 8), (8, 12)));
}
