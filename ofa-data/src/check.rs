//! Reading every image of a folder once, to know what is broken before a training finds it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::ImageFolder;
use crate::error::{DataError, ImageProblem};
use crate::image_folder::{PARTS, class_names, images_of};
use crate::index::read_image;

/// What reading every image of an ImageFolder found.
#[derive(Debug, Clone, Default)]
pub struct ImageCheck {
    /// Files of every class of every part, in their order.
    pub classes: Vec<CheckedClass>,
    /// What is wrong, by path. Empty if the folder is sound.
    pub broken: Vec<BrokenPath>,
}

/// The files of a class directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedClass {
    /// `train`, `val` or `test`.
    pub part: String,
    /// Name of the class.
    pub class: String,
    /// Image files, broken ones included.
    pub images: usize,
    /// Broken ones among them.
    pub broken: usize,
}

/// A file or a directory that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenPath {
    /// The file or directory.
    pub path: PathBuf,
    /// Sort of problem, e.g. `truncated`: few words, the same for all files of this sort.
    pub sort: &'static str,
    /// The problem in full.
    pub problem: String,
}

impl ImageCheck {
    /// Number of image files.
    pub fn images(&self) -> usize {
        self.classes.iter().map(|class| class.images).sum()
    }

    /// Number of paths of every sort of problem, most frequent first.
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

/// Reads and decodes every image of the ImageFolder `dir`, on all cores.
///
/// `on_progress` is told how many of how many files are read, from any thread. A broken file or an empty class is part
/// of the result, and so is what keeps [`ImageFolder::load`] from using the folder.
///
/// # Errors
///
/// If there is no `train` directory with classes, or a part cannot be listed.
pub fn check_images(dir: &Path, on_progress: impl Fn(usize, usize) + Sync) -> Result<ImageCheck, DataError> {
    let mut check = ImageCheck::default();
    let mut files: Vec<(usize, Box<Path>)> = Vec::new();
    for part in PARTS.iter().filter(|&&part| part == "train" || dir.join(part).exists()) {
        for class in class_names(&dir.join(part))? {
            let listing = images_of(dir, &Path::new(part).join(&class), 0);
            let found = listing.unwrap_or_else(|error| {
                check.broken.push(broken_directory(dir.join(part).join(&class), &error));
                Vec::new()
            });
            let class = class.to_string_lossy().into_owned();
            let images = found.len();
            files.extend(found.into_iter().map(|file| (check.classes.len(), file.path)));
            check.classes.push(CheckedClass { part: (*part).to_owned(), class, images, broken: 0 });
        }
    }
    let read = AtomicUsize::new(0);
    let problems: Vec<(usize, BrokenPath)> = files
        .par_iter()
        .filter_map(|(class, path)| {
            let path = dir.join(path);
            let problem = read_image(&path, 3).err();
            on_progress(1 + read.fetch_add(1, Ordering::Relaxed), files.len());
            problem.map(|problem| (*class, broken_file(path, &problem)))
        })
        .collect();
    for (class, problem) in problems {
        check.classes[class].broken += 1;
        check.broken.push(problem);
    }
    if let Err(error) = ImageFolder::load(dir, 3, 0) {
        let unusable = broken_directory(dir.to_owned(), &error);
        if !check.broken.iter().any(|broken| broken.problem == unusable.problem) {
            check.broken.push(unusable);
        }
    }
    check.broken.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(check)
}

fn broken_file(path: PathBuf, problem: &ImageProblem) -> BrokenPath {
    BrokenPath { path, sort: problem.sort(), problem: problem.to_string() }
}

fn broken_directory(path: PathBuf, error: &DataError) -> BrokenPath {
    let sort = match error {
        DataError::EmptyClass { .. } => "class without images",
        DataError::NestedDirectory { .. } => "directory in a class",
        DataError::MissingClass { .. } | DataError::UnknownClass { .. } => "classes of the parts differ",
        _ => "unusable folder",
    };
    BrokenPath { path, sort, problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            ("val/cat/0.png", &PNG[..PNG.len() / 2]),
            ("val/dog/0.png", PNG),
        ]);
        let last = AtomicUsize::new(0);
        let check = check_images(dir.path(), |done, total| {
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
            [("truncated", 2), ("broken png", 1), ("empty file", 1), ("neither JPEG nor PNG", 1)]
        );
        assert!(check.broken[0].path.ends_with("train/cat/1.jpg"), "{:?}", check.broken);
    }

    #[test]
    fn a_sound_folder_has_nothing_broken() {
        let files = ["train/cat/0", "train/cat/1", "train/dog/0", "train/dog/1", "val/cat/0", "val/dog/0"];
        let mut files: Vec<(&str, &[u8])> = files.map(|path| (path, PNG)).to_vec();
        let check = check_images(folder(&files).path(), |_, _| ()).unwrap();
        assert_eq!((check.images(), check.broken.len()), (6, 0));
        files.push(("val/bird/0", PNG));
        let check = check_images(folder(&files).path(), |_, _| ()).unwrap();
        assert_eq!(check.sorts(), [("classes of the parts differ", 1)], "{:?}", check.broken);
    }

    #[test]
    fn an_empty_class_is_a_problem_and_no_train_an_error() {
        let dir = folder(&[("train/cat/0", PNG), ("val/cat/0", PNG)]);
        fs::create_dir(dir.path().join("train/dog")).unwrap();
        let check = check_images(dir.path(), |_, _| ()).unwrap();
        assert_eq!(check.sorts(), [("class without images", 1)]);
        let error = check_images(&dir.path().join("val"), |_, _| ()).unwrap_err().to_string();
        assert!(error.contains("train not found"), "{error}");
    }
}
