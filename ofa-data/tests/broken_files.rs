//! An ImageFolder with everything found in real ones. Every case is an image, an error that names the file, or ignored;
//! never a panic, a hang or a different image.

#![cfg(unix)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use burn::tensor::Device;
use ofa_data::{BrokenImages, DecodeConfig, ImageFolder, Loader, LoaderConfig, ReadConfig, View, check_images};

const PNG: &[u8] = include_bytes!("../fixtures/photo.png");
const JPEG: &[u8] = include_bytes!("../fixtures/gradient_rgb.jpg");
const CMYK: &[u8] = include_bytes!("../fixtures/gradient_cmyk.jpg");
const YCCK: &[u8] = include_bytes!("../fixtures/gradient_ycck.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../fixtures/gradient_progressive.jpg");
const PALETTE: &[u8] = include_bytes!("../fixtures/palette.png");

struct Folder(tempfile::TempDir);

impl Folder {
    /// Two classes with two sound images each, in train and in val.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for class in ["train/a", "train/b", "val/a", "val/b"] {
            folder.write(format!("{class}/0.jpg"), JPEG);
            folder.write(format!("{class}/1.jpg"), JPEG);
        }
        folder
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The size of val image `name`, or the reason why it has none.
    fn size(&self, name: impl AsRef<Path>) -> Result<(usize, usize), String> {
        let set = ImageFolder::load(self.0.path(), 3, 1).map_err(|error| error.to_string())?.test;
        let wanted = self.path(name);
        let i = (0..set.len()).find(|&i| set.path(i) == wanted).ok_or("not listed")?;
        set.get(i).map(|image| (image.width, image.height)).map_err(|error| error.to_string())
    }

    fn load_error(&self) -> String {
        ImageFolder::load(self.0.path(), 3, 1).unwrap_err().to_string()
    }
}

#[test]
fn unusual_pictures_are_shown() {
    let folder = Folder::new();
    let cases: [(&str, &[u8], (usize, usize)); 7] = [
        ("png_named.JPEG", PNG, (60, 45)),
        ("cmyk.JPEG", CMYK, (24, 16)),
        ("ycck.JPEG", YCCK, (24, 16)),
        ("progressive.JPEG", PROGRESSIVE, (24, 16)),
        ("palette.png", PALETTE, (2, 1)),
        ("no_extension", JPEG, (24, 16)),
        ("trailing.JPEG", &[JPEG, b"\0\0what a camera adds"].concat(), (24, 16)),
    ];
    for (name, bytes, size) in cases {
        let path = format!("val/a/{name}");
        folder.write(&path, bytes);
        assert_eq!(folder.size(&path), Ok(size), "{name}");
    }
}

#[test]
fn broken_pictures_are_errors_with_name_and_reason() {
    let folder = Folder::new();
    let mut forged = JPEG.to_vec();
    let frame = forged.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    forged[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    let mut flipped = PNG.to_vec();
    flipped[PNG.len() / 2] ^= 4;
    let cases: [(&str, &[u8], &str); 10] = [
        ("zero_bytes", b"", "empty file"),
        ("text", b"a line of text", "neither JPEG, PNG, WebP nor BMP"),
        ("html", b"<html>404</html>", "an HTML page, no image"),
        ("gif", b"GIF89a\x01\0\x01\0", "a GIF image; convert it to JPEG or PNG"),
        ("header_only", &JPEG[..20], "truncated after 20 bytes"),
        ("half", &JPEG[..JPEG.len() / 2], "truncated after"),
        ("without_end", &JPEG[..JPEG.len() - 2], "truncated after 733 bytes"),
        ("forged_size", &forged, "65500 x 65500 pixels are more than"),
        ("half_png", &PNG[..PNG.len() / 2], "broken png"),
        ("flipped_png", &flipped, "broken png"),
    ];
    for (name, bytes, reason) in cases {
        let path = format!("val/a/{name}");
        folder.write(&path, bytes);
        let error = folder.size(&path).unwrap_err();
        assert!(error.contains(&path) && error.contains(reason), "{name}: {error}");
    }
    let check = check_images(folder.0.path(), DecodeConfig::default(), |_, _| ()).unwrap();
    assert_eq!((check.images(), check.broken.len()), (8 + 10, 10), "{:?}", check.broken);
}

#[test]
fn what_is_no_picture_file_is_passed_over_or_named() {
    let folder = Folder::new();
    for litter in ["val/a/._0.jpg", "val/a/.DS_Store", "val/a/Thumbs.db", "val/.hidden/x"] {
        folder.write(litter, b"litter");
    }
    assert!(Command::new("mkfifo").arg(folder.path("val/a/pipe.jpg")).status().unwrap().success());
    assert_eq!(folder.size("val/a/pipe.jpg"), Err("not listed".into()));
    let name = Path::new("val/a").join(OsStr::from_bytes(b"\xff\xfe.jpg"));
    folder.write(&name, PNG);
    assert_eq!(folder.size(&name), Ok((60, 45)));
    symlink("0.jpg", folder.path("val/a/link.jpg")).unwrap();
    assert_eq!(folder.size("val/a/link.jpg"), Ok((24, 16)));
    assert_eq!(ImageFolder::load(folder.0.path(), 3, 1).unwrap().test.len(), 6);

    symlink("nowhere", folder.path("val/a/dangling.jpg")).unwrap();
    assert!(folder.load_error().ends_with("val/a/dangling.jpg"), "{}", folder.load_error());
    fs::remove_file(folder.path("val/a/dangling.jpg")).unwrap();
    symlink("loop.jpg", folder.path("val/a/loop.jpg")).unwrap();
    assert!(folder.load_error().ends_with("val/a/loop.jpg"), "{}", folder.load_error());
    fs::remove_file(folder.path("val/a/loop.jpg")).unwrap();
    symlink("..", folder.path("val/a/up")).unwrap();
    assert!(folder.load_error().contains("val/a/up is a directory"), "{}", folder.load_error());
}

#[test]
fn class_directories_may_be_links_or_not_utf_8_but_not_empty() {
    let folder = Folder::new();
    let odd = OsStr::from_bytes(b"\xff");
    for part in ["train", "val"] {
        symlink("a", folder.path(part).join("linked")).unwrap();
        folder.write(Path::new(part).join(odd).join("0.jpg"), JPEG);
        folder.write(Path::new(part).join(odd).join("1.jpg"), JPEG);
    }
    let splits = ImageFolder::load(folder.0.path(), 3, 1).unwrap();
    assert_eq!(splits.classes, ["a", "b", "linked", "\u{fffd}"]);
    assert_eq!(splits.test.len(), 8);
    fs::create_dir(folder.path("train/empty")).unwrap();
    assert!(folder.load_error().ends_with("train/empty holds no images"), "{}", folder.load_error());
}

#[test]
fn a_file_that_changes_after_it_was_listed_is_an_error_in_the_epoch_that_reads_it() {
    let folder = Folder::new();
    let splits = ImageFolder::load(folder.0.path(), 3, 1).unwrap();
    let config = LoaderConfig { batch_size: 2, seed: 1, view: View::Evaluate, drop_last: false, prefetch: 2 };
    let epoch = |reading| -> Vec<Result<usize, String>> {
        let set = splits.test.clone().with_reading(reading).unwrap();
        let loader = Loader::new(set, config.clone(), splits.normalisation()).unwrap();
        let batches = loader.epoch(0, 0, |_| 8, &Device::flex());
        batches.map(|batch| batch.map(|batch| batch.size()).map_err(|error| error.to_string())).collect()
    };
    assert_eq!(epoch(ReadConfig::default()), [Ok(2), Ok(2)]);
    folder.write("val/b/0.jpg", PNG);
    fs::remove_file(folder.path("val/b/1.jpg")).unwrap();
    let failed = epoch(ReadConfig::default());
    assert_eq!(failed[0], Ok(2));
    assert!(failed[1].as_ref().unwrap_err().contains("val/b/0.jpg: changed since it was listed"), "{failed:?}");
    let skip = |max_fraction| ReadConfig { broken: BrokenImages::Skip { max_fraction }, ..ReadConfig::default() };
    assert_eq!(epoch(skip(0.5)), [Ok(2)]);
    assert!(epoch(skip(0.1))[1].as_ref().unwrap_err().contains("of 4 images are broken"));
}
