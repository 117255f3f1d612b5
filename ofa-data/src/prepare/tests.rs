//! Tests of `prepare`.

use super::*;
use crate::source::archive::samples::tar_of;

const PNG: &[u8] = include_bytes!("../../fixtures/photo.png");
const JPEG: &[u8] = include_bytes!("../../fixtures/gradient_rgb.jpg");

/// Two classes of three images each, one of them a 24 x 16 JPEG.
fn set() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for part in ["train", "val"] {
        for class in ["cat", "dog"] {
            fs::create_dir_all(dir.path().join(part).join(class)).unwrap();
            for (name, bytes) in [("0.png", PNG), ("1.jpg", JPEG), ("2.png", PNG)] {
                fs::write(dir.path().join(part).join(class).join(name), bytes).unwrap();
            }
        }
    }
    dir
}

fn config() -> PrepareConfig {
    PrepareConfig { short_side: 20, quality: 95, images_per_shard: 4 }
}

fn prepare(dir: &Path, out: &Path, config: PrepareConfig) -> Result<PrepareReport, DataError> {
    prepare_images(dir, out, config, BrokenImages::Fail, |_, _| ())
}

#[test]
fn images_are_small_jpegs_with_their_labels() {
    let (dir, out) = (set(), tempfile::tempdir().unwrap());
    let last = AtomicUsize::new(0);
    let report = prepare_images(dir.path(), out.path(), config(), BrokenImages::Fail, |done, total| {
        assert_eq!(total, 12);
        last.fetch_max(done, Ordering::Relaxed);
    });
    assert_eq!((report.unwrap(), last.into_inner()), (PrepareReport { images: 12, broken: vec![] }, 12));

    let layout = Layout::detect(out.path()).unwrap();
    assert_eq!(layout.to_string(), "prepared images");
    let parts = layout.parts(3).unwrap();
    assert_eq!(parts.classes, ["cat", "dog"]);
    assert_eq!((0..6).map(|i| parts.train.label(i)).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1]);
    // 60 x 45 becomes 27 x 20; the small JPEG is copied unchanged.
    let photo = parts.train.get(0).unwrap();
    assert_eq!((photo.width, photo.height), (27, 20));
    assert_eq!(parts.train.bytes(4).unwrap(), JPEG);
    assert!(parts.train.path(4).ends_with("train-00001.tar/00000004.jpg"), "{:?}", parts.train.path(4));
    // A plain WebDataset reader finds the same images.
    fs::remove_file(out.path().join(MANIFEST)).unwrap();
    let plain = Layout::detect(out.path()).unwrap().parts(3).unwrap();
    assert_eq!(plain.train.fingerprint(), parts.train.fingerprint());
}

#[test]
fn an_interrupted_preparation_is_refused_until_it_is_finished() {
    let (dir, out) = (set(), tempfile::tempdir().unwrap());
    let files = || -> Vec<Vec<u8>> {
        ["train-00000.tar", "train-00001.tar", "val-00000.tar", "val-00001.tar", "train.csv", "val.csv", MANIFEST]
            .iter()
            .map(|name| fs::read(out.path().join(name)).unwrap())
            .collect()
    };
    prepare(dir.path(), out.path(), config()).unwrap();
    let whole = files();
    // Simulates a kill during the second shard.
    for name in ["train-00001.tar", "val-00000.tar", "val-00001.tar", "train.csv", "val.csv"] {
        fs::remove_file(out.path().join(name)).unwrap();
    }
    fs::write(out.path().join("train-00001.tar.partial"), b"half").unwrap();
    let manifest = PreparedSet { is_complete: false, ..PreparedSet::read(out.path()).unwrap() };
    fs::write(out.path().join(MANIFEST), manifest.to_json()).unwrap();
    let error = Layout::detect(out.path()).and_then(|layout| layout.parts(3)).unwrap_err().to_string();
    assert!(error.contains("is unfinished: run the same command again"), "{error}");

    let modified = |name: &str| fs::metadata(out.path().join(name)).unwrap().modified().unwrap();
    let first_shard = modified("train-00000.tar");
    prepare(dir.path(), out.path(), config()).unwrap();
    assert_eq!(files(), whole);
    assert_eq!(modified("train-00000.tar"), first_shard, "a whole shard was written again");
    for nested in [dir.path().to_owned(), dir.path().join("out")] {
        let error = prepare(dir.path(), &nested, config()).unwrap_err().to_string();
        assert!(error.contains("expected one that neither contains nor lies in the image directory"), "{error}");
    }
}

#[test]
fn another_preparation_is_not_mixed_in() {
    let (dir, out) = (set(), tempfile::tempdir().unwrap());
    prepare(dir.path(), out.path(), config()).unwrap();
    let error = prepare(dir.path(), out.path(), PrepareConfig { quality: 80, ..config() }).unwrap_err().to_string();
    let expected = format!("{} was prepared from other images or settings", out.path().display());
    assert!(error.starts_with(&expected), "{error}");
    fs::write(dir.path().join("val/dog/3.png"), PNG).unwrap();
    assert!(prepare(dir.path(), out.path(), config()).is_err());
    assert!(prepare(dir.path(), out.path(), PrepareConfig { quality: 0, ..config() }).is_err());
}

#[test]
fn shards_of_unknown_origin_are_not_taken_for_those_of_the_preparation() {
    let dir = set();
    let refusal = |out: &tempfile::TempDir, config: PrepareConfig| {
        let error = prepare(dir.path(), out.path(), config).unwrap_err().to_string();
        assert!(error.contains("is a shard of unknown origin (no preparation.json)"), "{error}");
        assert!(!out.path().join(MANIFEST).exists());
        error
    };
    let out = tempfile::tempdir().unwrap();
    prepare(dir.path(), out.path(), config()).unwrap();
    fs::remove_file(out.path().join(MANIFEST)).unwrap();
    for changed in [PrepareConfig { quality: 80, ..config() }, config()] {
        let error = refusal(&out, changed);
        assert!(error.contains("train-00000.tar is a shard"), "{error}");
    }
    // Someone else's WebDataset.
    let out = tempfile::tempdir().unwrap();
    let shard = out.path().join("val-000007.tar");
    fs::write(&shard, tar_of(&[("x.png", PNG), ("x.cls", b"1")])).unwrap();
    assert!(refusal(&out, config()).contains("val-000007.tar is a shard"));
    fs::rename(&shard, out.path().join("val-notes.tar")).unwrap();
    assert_eq!(prepare(dir.path(), out.path(), config()).unwrap().images, 12);
}

#[test]
fn broken_images_are_errors_or_left_out() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cut = &JPEG[..JPEG.len() - 30];
    let train =
        tar_of(&[("a.png", PNG), ("a.cls", b"0"), ("b.jpg", cut), ("b.cls", b"1"), ("c.jpg", JPEG), ("c.cls", b"1")]);
    fs::write(dir.path().join("train.tar"), train).unwrap();
    fs::write(dir.path().join("val.tar"), tar_of(&[("d.png", PNG), ("d.cls", b"1")])).unwrap();
    let error = prepare(dir.path(), out.path(), config()).unwrap_err().to_string();
    assert!(error.contains("train.tar/b.jpg: truncated after"), "{error}");
    let skip = BrokenImages::Skip { max_fraction: 0.5 };
    let report = prepare_images(dir.path(), out.path(), config(), skip, |_, _| ()).unwrap();
    assert_eq!((report.images, report.broken.len()), (3, 1));
    let error = prepare_images(dir.path(), out.path(), config(), BrokenImages::Lenient, |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("was prepared from other images or settings"), "{error}");
    let parts = Layout::detect(out.path()).unwrap().parts(3).unwrap();
    assert_eq!((parts.train.len(), parts.train.label(1)), (2, 1));
    let out = tempfile::tempdir().unwrap();
    let report = prepare_images(dir.path(), out.path(), config(), BrokenImages::Lenient, |_, _| ()).unwrap();
    assert_eq!((report.images, report.broken.len()), (4, 1));
    let list = fs::read_to_string(out.path().join("broken_images.csv")).unwrap();
    assert!(list.starts_with("path,problem\ntrain.tar/b.jpg,truncated after "), "{list}");
}

#[test]
fn the_list_and_the_count_of_broken_images_go_on_after_an_interruption() {
    let (dir, out) = (set(), tempfile::tempdir().unwrap());
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    // One in each of the two shards of train, at positions 1 and 5, and one in the second shard of val.
    ["train/cat/1.jpg", "train/dog/2.png", "val/dog/2.png"].iter().for_each(|name| write(name, b""));
    let attempt = |max_fraction| {
        let skip = BrokenImages::Skip { max_fraction };
        prepare_images(dir.path(), out.path(), config(), skip, |_, _| ())
    };
    let lines = || fs::read_to_string(out.path().join("broken_images.csv")).unwrap();
    let whole = "path,problem\ntrain/cat/1.jpg,empty file\ntrain/dog/2.png,empty file\nval/dog/2.png,empty file\n";
    let report = attempt(0.4).unwrap();
    assert_eq!((report.images, report.broken.len(), lines().as_str()), (9, 3, whole));

    // Simulates a kill after writing the list, before the second shard of train.
    for name in ["train-00001.tar", "val-00000.tar", "val-00001.tar"] {
        fs::remove_file(out.path().join(name)).unwrap();
    }
    assert_eq!((attempt(0.4).unwrap(), lines().as_str()), (report.clone(), whole));
    // Nothing is left to do.
    assert_eq!((attempt(0.4).unwrap(), lines().as_str()), (report, whole));

    // One more image breaks before the second shard of train is rebuilt. With the one in the first shard, which no
    // attempt reads again, 3 of 6 exceed 0.4. The set still counts as the same: its fingerprint uses names and sizes,
    // which do not change.
    fs::remove_file(out.path().join("train-00001.tar")).unwrap();
    write("train/dog/1.jpg", &vec![0; JPEG.len()]);
    let error = attempt(0.4).unwrap_err().to_string();
    assert!(error.starts_with("3 of 6 images are broken, more than the fraction 0.4"), "{error}");
    assert_eq!(lines().lines().count(), 5, "{}", lines());
}
