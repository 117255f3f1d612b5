//! Reads every image of a set once, to find broken ones before training does.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::decode::{Damage, DecodeConfig, decode_as_stored, orientation};
use crate::error::{DataError, ImageProblem};
use crate::layout::class_directories::{ClassDirectories, Listing, class_names, images_of, texts};
use crate::layout::{Layout, enough};
use crate::set::{ImageSet, ReadConfig};
use crate::source::entries::OtherFiles;
use crate::source::files::ImageFiles;
use crate::split::{Parts, Splits};

/// Result of [`check_images`].
#[derive(Debug, Clone, Default)]
pub struct ImageCheck {
    /// Image counts per class and split, in order.
    pub classes: Vec<CheckedClass>,
    /// Problems, sorted by path. Empty if the set is sound.
    pub broken: Vec<BrokenPath>,
    /// Sound images whose EXIF data says that they are to be turned or mirrored; see
    /// [`DecodeConfig::apply_orientation`].
    pub turned: usize,
    /// What else should be said about the set, one line each: classes without training images, files passed over.
    pub notes: Vec<String>,
}

/// Image counts of one class in one split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedClass {
    /// Split: `train`, `val` or `test`.
    pub part: String,
    /// Class name.
    pub class: String,
    /// Number of images, including broken ones.
    pub images: usize,
    /// Number of broken images.
    pub broken: usize,
}

/// An unusable file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenPath {
    /// Path of the file or directory.
    pub path: PathBuf,
    /// Category of the problem, e.g. `truncated`: short, the same for all files with this kind of problem.
    pub sort: &'static str,
    /// Full message.
    pub problem: String,
}

impl ImageCheck {
    /// Total number of images, including broken ones.
    pub fn images(&self) -> usize {
        self.classes.iter().map(|class| class.images).sum()
    }

    /// Number of paths per category of problem, most frequent first.
    pub fn sorts(&self) -> Vec<(&'static str, usize)> {
        let mut sorts: Vec<(&'static str, usize)> = Vec::new();
        for BrokenPath { sort, .. } in &self.broken {
            match sorts.iter_mut().find(|(known, _)| known == sort) {
                Some((_, count)) => *count += 1,
                None => sorts.push((sort, 1)),
            }
        }
        sorts.sort_by_key(|&(sort, count)| (std::cmp::Reverse(count), sort));
        sorts
    }
}

/// Reads and decodes every image of `dir`, in any layout, on all cores. The plain pixels of IDX and CIFAR files cannot be
/// broken: of them, sizes and labels are checked.
///
/// `on_progress` receives (images read, total) and may be called from any thread. Broken images and empty class
/// directories are part of the result, as is anything that keeps [`Layout::load`] from using an ImageFolder.
///
/// # Errors
///
/// If `dir` holds no set or one of fewer than two classes, or cannot be listed; if an IDX or CIFAR file is unsound; those
/// of [`DecodeConfig::validate`].
pub fn check_images(
    dir: &Path,
    decode: DecodeConfig,
    on_progress: impl Fn(usize, usize) + Sync,
) -> Result<ImageCheck, DataError> {
    decode.validate()?;
    let mut check = ImageCheck::default();
    let layout = Layout::detect(dir)?;
    if layout.is_in_memory() {
        count(layout.load(layout.channels(), 0)?, &mut check);
        on_progress(check.images(), check.images());
        return Ok(check);
    }
    let sets = match layout.class_directories() {
        Some(directories) => list_directories(directories, &mut check)?,
        None => list_parts(layout.parts(3)?, &mut check),
    };
    let (read, turned, total) = (AtomicUsize::new(0), AtomicUsize::new(0), check.images());
    let DecodeConfig { max_pixels, apply_orientation } = decode;
    for Listed { images, first_class } in sets {
        let images = images.with_reading(ReadConfig { max_pixels, apply_orientation, ..ReadConfig::default() })?;
        let look = |bytes: &[u8], damage: Damage| {
            decode_as_stored(bytes, damage, decode)?;
            Ok(turned.fetch_add(usize::from(orientation::is_turned(bytes)), Ordering::Relaxed))
        };
        let problem_of = |i: usize| {
            let problem = images.show_bytes(i, look).err();
            on_progress(1 + read.fetch_add(1, Ordering::Relaxed), total);
            Some((first_class + images.label(i), broken_image(problem?)))
        };
        let problems: Vec<(usize, BrokenPath)> = (0..images.len()).into_par_iter().filter_map(problem_of).collect();
        for (class, problem) in problems {
            check.classes[class].broken += 1;
            check.broken.push(problem);
        }
    }
    check.turned = turned.into_inner();
    check.broken.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(check)
}

/// Images to read; label 0 is entry `first_class` of [`ImageCheck::classes`].
struct Listed {
    images: ImageSet,
    first_class: usize,
}

/// Lists the images of class directories; those that cannot be listed are recorded as broken.
fn list_directories(directories: &ClassDirectories, check: &mut ImageCheck) -> Result<Vec<Listed>, DataError> {
    let (root, mut sets, mut others) = (&directories.root, Vec::new(), OtherFiles::default());
    enough(&texts(&class_names(&root.join(&directories.train))?))?;
    for (part, directory) in directories.named() {
        let (first_class, mut files) = (check.classes.len(), Vec::new());
        for (label, class) in class_names(&root.join(directory))?.into_iter().enumerate() {
            let listing = images_of(root, &directory.join(&class), label as u32);
            let Listing { files: found, others: passed_over } = listing.unwrap_or_else(|error| {
                check.broken.push(broken_directory(root.join(directory).join(&class), &error));
                Listing::default()
            });
            let (class, images) = (class.to_string_lossy().into_owned(), found.len());
            check.classes.push(CheckedClass { part: part.to_owned(), class, images, broken: 0 });
            files.extend(found);
            others.extend(passed_over);
        }
        let images = ImageSet::read(ImageFiles { root: root.clone(), files }, 3);
        sets.push(Listed { images, first_class });
    }
    check.notes.extend(others.note());
    if let Err(error) = directories.parts(3) {
        let unusable = broken_directory(root.clone(), &error);
        if !check.broken.iter().any(|broken| broken.problem == unusable.problem) {
            check.broken.push(unusable);
        }
    }
    Ok(sets)
}

/// Counts the images of a set that was read.
fn count(splits: Splits, check: &mut ImageCheck) {
    check.notes.extend(splits.notes);
    let parts = vec![("train", splits.train), ("val", splits.validation), ("test", splits.test)];
    list_named(parts, &splits.classes, check);
}

/// Lists the images of a set whose layout is already complete.
fn list_parts(parts: Parts, check: &mut ImageCheck) -> Vec<Listed> {
    check.notes.extend(parts.notes.iter().cloned());
    let (parts, classes) = parts.named();
    list_named(parts, &classes, check)
}

fn list_named(parts: Vec<(&'static str, ImageSet)>, classes: &[String], check: &mut ImageCheck) -> Vec<Listed> {
    let mut sets = Vec::new();
    for (part, images) in parts {
        let first_class = check.classes.len();
        let class = |class: &String| {
            let (part, class) = (part.to_owned(), class.clone());
            CheckedClass { part, class, images: 0, broken: 0 }
        };
        check.classes.extend(classes.iter().map(class));
        (0..images.len()).for_each(|i| check.classes[first_class + images.label(i)].images += 1);
        sets.push(Listed { images, first_class });
    }
    sets
}

fn broken_image(error: DataError) -> BrokenPath {
    match error {
        DataError::Image { path, problem } => broken_file(path, &problem),
        other => BrokenPath { path: PathBuf::new(), sort: "other", problem: in_full(&other) },
    }
}

fn broken_file(path: PathBuf, problem: &ImageProblem) -> BrokenPath {
    BrokenPath { path, sort: problem.sort(), problem: problem.to_string() }
}

fn broken_directory(path: PathBuf, error: &DataError) -> BrokenPath {
    let sort = match error {
        DataError::EmptyClass { .. } => "class without images",
        DataError::NestedDirectory { .. } => "directory in a class",
        DataError::MissingClass { .. } | DataError::UnknownClass { .. } => "classes of the splits differ",
        _ => "unusable folder",
    };
    BrokenPath { path, sort, problem: in_full(error) }
}

/// The message of an error and of its causes, such as an I/O error.
fn in_full(error: &DataError) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(found) = cause {
        text += &format!(": {found}");
        cause = found.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::archive::samples::tar_of;
    use std::fs;

    const PNG: &[u8] = include_bytes!("../fixtures/photo.png");
    const JPEG: &[u8] = include_bytes!("../fixtures/gradient_rgb.jpg");

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        dir
    }

    #[test]
    fn every_broken_file_is_found_and_sorted() {
        let dir = folder(&[
            ("train/cat/0.jpg", JPEG),
            ("train/cat/1.jpg", &JPEG[..JPEG.len() / 2]),
            ("train/cat/2.jpg", &JPEG[..JPEG.len() - 2]),
            ("train/dog/0.png", PNG),
            ("train/dog/1.png", b""),
            ("train/dog/2.png", b"GIF89a"),
            ("train/dog/2.xml", b"<annotation/>"),
            ("val/cat/0.png", &PNG[..PNG.len() / 2]),
            ("val/dog/0.png", PNG),
        ]);
        let last = AtomicUsize::new(0);
        let check = check_images(dir.path(), DecodeConfig::default(), |done, total| {
            assert_eq!(total, 8);
            last.fetch_max(done, Ordering::Relaxed);
        })
        .unwrap();
        assert_eq!((check.images(), last.into_inner()), (8, 8));
        let counts: Vec<_> =
            check.classes.iter().map(|c| (c.part.as_str(), c.class.as_str(), c.images, c.broken)).collect();
        assert_eq!(
            counts,
            [("train", "cat", 3, 2), ("train", "dog", 3, 2), ("val", "cat", 1, 1), ("val", "dog", 1, 0)]
        );
        assert_eq!(
            check.sorts(),
            [("truncated", 2), ("a GIF image; convert it to JPEG or PNG", 1), ("broken png", 1), ("empty file", 1)]
        );
        assert_eq!(check.notes, ["1 file is no image by its name and is passed over (1 .xml)"]);
        assert!(check.broken[0].path.ends_with("train/cat/1.jpg"), "{:?}", check.broken);
    }

    #[test]
    fn plain_pixels_are_counted_and_unsound_files_named() {
        let fashion = crate::FashionMnist::directory();
        let check = check_images(&fashion, DecodeConfig::default(), |_, _| ()).unwrap();
        let of = |part| check.classes.iter().filter(move |class| class.part == part);
        let sums = ["train", "val", "test"].map(|part| of(part).map(|class| class.images).sum::<usize>());
        assert_eq!((sums, of("test").count()), ([50_000, 10_000, 10_000], 10));
        assert!(check.broken.is_empty() && check.notes[0].contains("10000"), "{:?}", check.notes);
        let cifar = folder(&[("data_batch_1.bin", &[0; 3_073][..])]);
        let unsound = check_images(cifar.path(), DecodeConfig::default(), |_, _| ()).unwrap_err().to_string();
        assert!(unsound.contains("batches.meta.txt not found"), "{unsound}");
    }

    #[test]
    fn a_sound_folder_has_nothing_broken() {
        let files = ["train/cat/0", "train/cat/1", "train/dog/0", "train/dog/1", "val/cat/0", "val/dog/0"];
        let mut files: Vec<(&str, &[u8])> = files.map(|path| (path, PNG)).to_vec();
        let check = check_images(folder(&files).path(), DecodeConfig::default(), |_, _| ()).unwrap();
        assert_eq!((check.images(), check.broken.len()), (6, 0));
        files.push(("val/bird/0", PNG));
        let check = check_images(folder(&files).path(), DecodeConfig::default(), |_, _| ()).unwrap();
        assert_eq!(check.sorts(), [("classes of the splits differ", 1)], "{:?}", check.broken);
    }

    #[test]
    fn an_empty_class_is_a_problem_and_no_train_an_error() {
        let dir = folder(&[("train/cat/0", PNG), ("val/cat/0", PNG)]);
        fs::create_dir(dir.path().join("train/dog")).unwrap();
        let check = check_images(dir.path(), DecodeConfig::default(), |_, _| ()).unwrap();
        assert_eq!(check.sorts(), [("class without images", 1)]);
        let one =
            |part| check_images(&dir.path().join(part), DecodeConfig::default(), |_, _| ()).unwrap_err().to_string();
        assert!(one("val").starts_with("one class (cat): there is nothing to learn"), "{}", one("val"));
        assert!(one("val/cat").contains("no known layout"), "{}", one("val/cat"));
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_be_listed_is_a_problem_with_the_reason_of_the_operating_system() {
        let dir = folder(&[("train/cat/0", PNG), ("val/cat/0", PNG), ("train/dog/0", PNG), ("val/dog/0", PNG)]);
        std::os::unix::fs::symlink("nowhere", dir.path().join("train/cat/dangling.jpg")).unwrap();
        let check = check_images(dir.path(), DecodeConfig::default(), |_, _| ()).unwrap();
        assert_eq!(check.sorts(), [("unusable folder", 1)], "{:?}", check.broken);
        let BrokenPath { path, problem, .. } = &check.broken[0];
        assert!(path.ends_with("train/cat"), "{path:?}");
        assert!(problem.contains("train/cat/dangling.jpg: No such file"), "{problem}");
    }

    #[test]
    fn archives_are_checked_image_by_image() {
        let dir = tempfile::tempdir().unwrap();
        let cut = &JPEG[..JPEG.len() / 2];
        let train = tar_of(&[("a.jpg", JPEG), ("a.cls", b"1"), ("b.jpg", cut), ("b.cls", b"0")]);
        fs::write(dir.path().join("train-0.tar"), train).unwrap();
        fs::write(dir.path().join("val-0.tar"), tar_of(&[("c.png", PNG), ("c.cls", b"1")])).unwrap();
        let check = check_images(dir.path(), DecodeConfig::default(), |_, _| ()).unwrap();
        let counts: Vec<_> = check.classes.iter().map(|c| (&*c.part, &*c.class, c.images, c.broken)).collect();
        assert_eq!(counts, [("train", "0", 1, 1), ("train", "1", 1, 0), ("val", "0", 0, 0), ("val", "1", 1, 0)]);
        assert!(check.broken[0].path.ends_with("train-0.tar/b.jpg"), "{:?}", check.broken);
    }
}
