//! The ImageFolder layout: one directory per class.

use std::path::Path;

use crate::error::DataError;
use crate::layout::class_directories::{ClassDirectories, class_names};
use crate::layout::reader::{Found, Reader, found};
use crate::split::{Parts, Splits};

/// Image files, their format told by their content, in `DIR/train/<class>/*`, `DIR/val/<class>/*` and
/// `DIR/test/<class>/*`.
///
/// `val` may also be called `valid`, `validation`, `dev` or `eval`, in capitals or not; `train/<class>/images/*` is
/// read like `train/<class>/*`. Classes are numbered in the order of their names in `train`. What systems and tools
/// leave behind, files that are no images by their names, and anything that is not a regular file (or a link to one)
/// are passed over. Images are read on demand, so a broken image is reported only when it is read.
#[derive(Debug, Clone, Copy)]
pub struct ImageFolder;

impl ImageFolder {
    /// Lists the images under `dir`, to be decoded to 1 (gray) or 3 (RGB) `channels`.
    ///
    /// With both `val` and `test`, they are the validation and the test set. One of them alone is the test set, and a
    /// tenth of train, at most about [`Splits::MAX_HELD_OUT`] images, is held out by `seed` for validation: the same
    /// fraction of every class, rounded, but at least one image. With neither, as many more are held out for testing.
    ///
    /// Evaluation views are framed as photographs ([`Framing::CenterCrop`](crate::Framing::CenterCrop)); see
    /// [`Splits::with_framing`] for small pictures of single objects.
    ///
    /// # Errors
    /// If `train` is missing, a class directory is empty or holds a directory, the splits differ in their classes,
    /// something cannot be listed, or `channels` is neither 1 nor 3.
    pub fn load(dir: impl AsRef<Path>, channels: usize, seed: u64) -> Result<Splits, DataError> {
        Self::parts(dir.as_ref(), channels)?.split(channels, seed, None)
    }

    /// The splits as they are in `dir`.
    pub(crate) fn parts(dir: &Path, channels: usize) -> Result<Parts, DataError> {
        match ClassDirectories::in_parts(dir)? {
            Some(directories) => directories.parts(channels),
            // Says what is wrong with `train`.
            None => Err(class_names(&dir.join("train"))
                .map_or_else(|error| error, |_| DataError::NoClasses { directory: dir.join("train") })),
        }
    }
}

pub(super) fn find(dir: &Path) -> Result<Found, DataError> {
    ClassDirectories::in_parts(dir)?.map_or(Ok(None), found)
}

impl Reader for ClassDirectories {
    fn name(&self) -> String {
        "ImageFolder".into()
    }

    fn parts(&self, channels: usize) -> Result<Parts, DataError> {
        Self::parts(self, channels)
    }

    fn class_directories(&self) -> Option<&ClassDirectories> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ImageProblem;
    use crate::set::ImageSet;
    use std::fs;
    use std::process::Command;
    use tempfile::TempDir;

    const PNG: &[u8] = include_bytes!("../../fixtures/photo.png");
    const JPEG: &[u8] = include_bytes!("../../fixtures/gradient_rgb.jpg");

    fn write(dir: &TempDir, path: &str, bytes: &[u8]) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Two classes with 20 train and 2 val images each: PNGs named .JPEG and JPEGs without extension among them.
    fn folder() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (class, bytes) in [("n02", JPEG), ("n01", PNG)] {
            (0..20).for_each(|i| write(&dir, &format!("train/{class}/{i:02}.JPEG"), bytes));
            (0..2).for_each(|i| write(&dir, &format!("val/{class}/{i}"), bytes));
        }
        dir
    }

    fn message(dir: &TempDir) -> String {
        ImageFolder::load(dir.path(), 3, 0).unwrap_err().to_string()
    }

    #[test]
    fn without_test_val_is_test_and_validation_is_held_out_by_seed() {
        let dir = folder();
        let splits = ImageFolder::load(dir.path(), 3, 5).unwrap();
        assert_eq!(splits.classes, ["n01", "n02"]);
        assert_eq!([&splits.train, &splits.validation, &splits.test].map(ImageSet::len), [36, 4, 4]);
        assert_eq!((0..4).map(|i| splits.validation.label(i)).collect::<Vec<_>>(), [0, 0, 1, 1]);
        assert_eq!(splits.test.get(0).unwrap().width, 60);
        assert_eq!(splits.test.get(2).unwrap().width, 24);
        let fingerprint = |seed| ImageFolder::load(dir.path(), 3, seed).unwrap().validation.fingerprint();
        assert_eq!(fingerprint(5), splits.validation.fingerprint());
        assert_ne!(fingerprint(6), fingerprint(5));
    }

    #[test]
    fn with_test_val_is_validation() {
        let dir = folder();
        (1..=2).for_each(|class| write(&dir, &format!("test/n0{class}/x.png"), PNG));
        let splits = ImageFolder::load(dir.path(), 1, 5).unwrap();
        assert_eq!([&splits.train, &splits.validation, &splits.test].map(ImageSet::len), [40, 4, 2]);
        let image = splits.test.get(1).unwrap();
        assert_eq!((image.channels, splits.channels, splits.mean.len()), (1, 1, 1));
        assert!(matches!(ImageFolder::load(dir.path(), 4, 5), Err(DataError::Invalid { name: "channels", .. })));
    }

    #[test]
    fn litter_is_passed_over() {
        let dir = folder();
        for name in ["train/n01/._00.JPEG", "train/n01/Thumbs.db", "val/n02/.DS_Store", "train/.cache/x", "train/list"]
        {
            write(&dir, name, b"not an image");
        }
        let splits = ImageFolder::load(dir.path(), 3, 5).unwrap();
        assert_eq!((splits.train.len(), splits.classes.len()), (36, 2));
    }

    #[test]
    fn classes_that_are_empty_or_differ_are_errors_that_name_them() {
        let dir = folder();
        fs::create_dir(dir.path().join("train/empty")).unwrap();
        assert!(message(&dir).ends_with("train/empty holds no images"), "{}", message(&dir));
        write(&dir, "train/empty/0.png", PNG);
        assert!(message(&dir).ends_with("val lacks the class \"empty\" that train has"), "{}", message(&dir));
        write(&dir, "val/empty/0.png", PNG);
        write(&dir, "val/extra/0.png", PNG);
        assert!(message(&dir).ends_with("val has the class \"extra\" that train lacks"), "{}", message(&dir));
    }

    #[test]
    fn other_layouts_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        assert!(message(&dir).contains("train not found: an image folder needs "), "{}", message(&dir));
        write(&dir, "train/0.png", PNG);
        assert!(message(&dir).contains("train: no class directories, expected "), "{}", message(&dir));
        write(&dir, "train/a/deep/0.png", PNG);
        write(&dir, "val/a/0.png", PNG);
        assert!(message(&dir).contains("a/deep is a directory"), "{}", message(&dir));
        fs::remove_dir_all(dir.path().join("train/a/deep")).unwrap();
        write(&dir, "train/a/0.png", PNG);
        assert!(message(&dir).starts_with("number of train images per class is 1"), "{}", message(&dir));
    }

    #[test]
    fn a_broken_image_is_an_error_when_it_is_read() {
        let dir = folder();
        write(&dir, "val/n01/1", &PNG[..PNG.len() / 2]);
        let test = ImageFolder::load(dir.path(), 3, 5).unwrap().test;
        assert!(test.get(0).is_ok());
        match test.get(1).unwrap_err() {
            DataError::Image { path, problem: ImageProblem::Png { .. } } => assert!(path.ends_with("val/n01/1")),
            other => panic!("{other}"),
        }
    }

    #[cfg(unix)]
    #[test]
    fn fifos_do_not_block_and_links_are_followed() {
        let dir = folder();
        let fifo = |path: &str| assert!(Command::new("mkfifo").arg(dir.path().join(path)).status().unwrap().success());
        fifo("val/n01/pipe.png");
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
        link("../../train/n01/00.JPEG", "val/n01/linked.png");
        let test = ImageFolder::load(dir.path(), 3, 5).unwrap().test;
        assert_eq!(test.len(), 5);
        assert_eq!(test.get(2).unwrap().width, 60);
        // a file that becomes a FIFO after it was listed
        fs::remove_file(dir.path().join("val/n01/0")).unwrap();
        fifo("val/n01/0");
        let problem = test.get(0).unwrap_err();
        assert!(matches!(problem, DataError::Image { problem: ImageProblem::NotAFile, .. }), "{problem}");
        link("nowhere", "val/n01/dangling.png");
        assert!(message(&dir).ends_with("val/n01/dangling.png"), "{}", message(&dir));
    }
}
