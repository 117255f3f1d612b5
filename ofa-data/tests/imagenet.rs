//! One small ImageNet in every distributed form; images and labels must be the same in all of them.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use ofa_data::{ImageSet, Layout, Splits};
use tempfile::TempDir;

const META: &[u8] = include_bytes!("../fixtures/devkit/meta-plain.mat");
/// Classes of the kit in the order of their ids, which differs from their order by name.
const WNIDS: [&str; 5] = ["n02119789", "n02100735", "n02110185", "n02096294", "n02102040"];
/// Ids of the validation images.
const TRUTH: [usize; 6] = [3, 1, 5, 4, 2, 3];

/// An image of one colour that encodes its number.
fn png(number: usize) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let colour = image::Rgb([number as u8, 7, 200]);
    image::RgbImage::from_pixel(5, 4, colour).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Train images by class: (wnid, file name, content).
fn train() -> Vec<(&'static str, String, Vec<u8>)> {
    let of_class = |(class, wnid): (usize, &'static str)| {
        (0..3).map(move |i| (wnid, format!("{wnid}_{i}.JPEG"), png(10 * class + i)))
    };
    WNIDS.into_iter().enumerate().flat_map(of_class).collect()
}

/// Validation images in order: (file name, wnid, content).
fn val() -> Vec<(String, &'static str, Vec<u8>)> {
    let image = |(i, &id): (usize, &usize)| (format!("ILSVRC2012_val_{:08}.JPEG", i + 1), WNIDS[id - 1], png(100 + i));
    TRUTH.iter().enumerate().map(image).collect()
}

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn tar_of<'a>(files: impl IntoIterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn train_directories(root: &Path, directory: &str) {
    train().iter().for_each(|(wnid, name, bytes)| write(root, &format!("{directory}/{wnid}/{name}"), bytes));
}

fn train_archive(root: &Path) {
    let images = train();
    let of_class = |wnid: &str| {
        let images = images.iter().filter(|(class, ..)| *class == wnid);
        tar_of(images.map(|(_, name, bytes)| (name.clone(), &**bytes)))
    };
    let classes: Vec<(String, Vec<u8>)> = WNIDS.iter().map(|wnid| (format!("{wnid}.tar"), of_class(wnid))).collect();
    let archive = tar_of(classes.iter().map(|(name, bytes)| (name.clone(), &**bytes)));
    write(root, "ILSVRC2012_img_train.tar", &archive);
}

fn val_flat(root: &Path, directory: &str) {
    val().iter().for_each(|(name, _, bytes)| write(root, &format!("{directory}/{name}"), bytes));
}

fn val_archive(root: &Path) {
    let images = val();
    let archive = tar_of(images.iter().map(|(name, _, bytes)| (name.clone(), &**bytes)));
    write(root, "ILSVRC2012_img_val.tar", &archive);
}

fn solution(root: &Path) {
    let mut csv = String::from("ImageId,PredictionString\n");
    // Kaggle's lines are unordered.
    for (name, wnid, _) in val().iter().rev() {
        csv += &format!("{},{wnid} 85 1 499 272 \n", name.trim_end_matches(".JPEG"));
    }
    write(root, "LOC_val_solution.csv", csv.as_bytes());
}

fn ground_truth() -> String {
    TRUTH.iter().map(|id| format!("{id}\n")).collect()
}

fn devkit(root: &Path) {
    write(root, "ILSVRC2012_devkit_t12/data/meta.mat", META);
    let truth = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt";
    write(root, truth, ground_truth().as_bytes());
}

fn devkit_archive(root: &Path) {
    let truth = ground_truth();
    let base = "ILSVRC2012_devkit_t12";
    let files = [
        (format!("{base}/readme.txt"), b"hello".as_slice()),
        (format!("{base}/data/ILSVRC2012_validation_ground_truth.txt"), truth.as_bytes()),
        (format!("{base}/data/meta.mat"), META),
    ];
    let file = File::create(root.join("ILSVRC2012_devkit_t12.tar.gz")).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    encoder.write_all(&tar_of(files)).unwrap();
    encoder.finish().unwrap();
}

/// First pixel value and label of every image, sorted.
fn content(set: &ImageSet) -> Vec<(u8, usize)> {
    let mut content: Vec<_> = (0..set.len()).map(|i| (set.get(i).unwrap().pixels[0], set.label(i))).collect();
    content.sort_unstable();
    content
}

fn load(dir: &TempDir) -> Splits {
    let layout = Layout::detect(dir.path()).unwrap();
    let splits = layout.load(3, 1).unwrap();
    assert_eq!(splits.classes.len(), 5);
    splits
}

fn check(name: &str, layout: &str, dir: &TempDir) {
    assert_eq!(Layout::detect(dir.path()).unwrap().to_string(), layout, "{name}");
    let splits = load(dir);
    let mut sorted = WNIDS;
    sorted.sort_unstable();
    assert_eq!(splits.classes, sorted, "{name}");
    let label = |wnid: &str| sorted.binary_search(&wnid).unwrap();
    let expected: Vec<_> = val().iter().zip(100..).map(|((_, wnid, _), value)| (value, label(wnid))).collect();
    assert_eq!(content(&splits.test), expected, "{name}");
    // One image per class is held out.
    assert_eq!((splits.train.len(), splits.validation.len()), (10, 5), "{name}");
    let mut all = [content(&splits.train), content(&splits.validation)].concat();
    all.sort_unstable();
    let of_class = |(class, wnid): (usize, &&'static str)| {
        (0..3).map(move |i| ((10 * class + i) as u8, *wnid)).collect::<Vec<_>>()
    };
    let train: Vec<_> = WNIDS.iter().enumerate().flat_map(of_class).map(|(value, wnid)| (value, label(wnid))).collect();
    assert_eq!(all, train, "{name}");
}

#[test]
fn every_layout_gives_the_same_images_and_labels() {
    type Make = fn(&Path);
    let layouts: [(&str, &str, &[Make]); 6] = [
        (
            "Kaggle",
            "ImageNet",
            &[
                |root| train_directories(root, "ILSVRC/Data/CLS-LOC/train"),
                |root| val_flat(root, "ILSVRC/Data/CLS-LOC/val"),
                solution,
            ],
        ),
        (
            "flat validation and devkit",
            "ImageNet",
            &[|root| train_directories(root, "train"), |root| val_flat(root, "val"), devkit],
        ),
        ("archives", "ImageNet", &[train_archive, val_archive, devkit_archive]),
        ("archives and solution", "ImageNet", &[train_archive, val_archive, solution]),
        (
            "train archive, class directories",
            "ImageNet",
            &[train_archive, |root| {
                val().iter().for_each(|(name, wnid, bytes)| write(root, &format!("val/{wnid}/{name}"), bytes));
            }],
        ),
        (
            "ImageFolder",
            "ImageFolder",
            &[
                |root| train_directories(root, "train"),
                |root| {
                    val().iter().for_each(|(name, wnid, bytes)| write(root, &format!("val/{wnid}/{name}"), bytes));
                },
            ],
        ),
    ];
    for (name, layout, make) in layouts {
        let dir = tempfile::tempdir().unwrap();
        make.iter().for_each(|make| make(dir.path()));
        check(name, layout, &dir);
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let message = || match Layout::detect(dir.path()) {
        Ok(layout) => layout.load(3, 1).map(|_| ()).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    train_archive(dir.path());
    val_flat(dir.path(), "val");
    assert!(
        message().contains("LOC_val_solution.csv not found: the validation images are not in class"),
        "{}",
        message()
    );
    solution(dir.path());
    fs::write(dir.path().join("val/extra.JPEG"), png(0)).unwrap();
    assert!(message().contains("LOC_val_solution.csv: it has no label for"), "{}", message());
    fs::remove_file(dir.path().join("val/extra.JPEG")).unwrap();
    write(dir.path(), "LOC_val_solution.csv", b"ImageId,PredictionString\nILSVRC2012_val_00000001,n09 1 2 3 4\n");
    assert!(message().ends_with("ILSVRC2012_val_00000001 has class n09, which train lacks"), "{}", message());

    fs::remove_file(dir.path().join("LOC_val_solution.csv")).unwrap();
    devkit(dir.path());
    let truth = "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt";
    write(dir.path(), truth, b"1\n6\n");
    assert!(message().contains("ground truth line 2 is \"6\", expected an id from 1 to 5"), "{}", message());
    fs::remove_file(dir.path().join(truth)).unwrap();
    assert!(
        message().contains("validation_ground_truth.txt not found: the development kit is incomplete"),
        "{}",
        message()
    );

    let only_train = tempfile::tempdir().unwrap();
    train_archive(only_train.path());
    let error = Layout::detect(only_train.path()).unwrap_err().to_string();
    assert!(error.contains("ILSVRC2012_img_val.tar not found"), "{error}");

    let archive = dir.path().join("ILSVRC2012_img_train.tar");
    let bytes = fs::read(&archive).unwrap();
    fs::write(&archive, &bytes[..bytes.len() / 2]).unwrap();
    devkit(dir.path());
    assert!(message().contains("ILSVRC2012_img_train.tar"), "{}", message());
    assert!(message().contains("cannot be listed"), "{}", message());
}
