//! Class directories: one directory of images for each class, in each part of a set.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::part_name::part_of_directory;
use crate::error::DataError;
use crate::set::ImageSet;
use crate::source::entries::{OtherFiles, is_image_name, visible_entries};
use crate::source::files::{ImageFile, ImageFiles};
use crate::split::Parts;

/// The class directories of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassDirectories {
    pub(crate) root: PathBuf,
    /// Directory of the train images, relative to `root`.
    pub(crate) train: PathBuf,
    pub(crate) val: Option<PathBuf>,
    pub(crate) test: Option<PathBuf>,
}

/// The images of a class directory, and what else lies there.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Sorted by path.
    pub(crate) files: Vec<ImageFile>,
    pub(crate) others: OtherFiles,
}

impl ClassDirectories {
    /// The class directories of the parts in `dir`; `None` without those of train.
    ///
    /// # Errors
    /// If something cannot be listed, or two directories could be the same part.
    pub(crate) fn in_parts(dir: &Path) -> Result<Option<Self>, DataError> {
        let part = |part| directory_of(dir, part);
        let Some(train) = part("train")? else { return Ok(None) };
        Ok(Some(Self { root: dir.to_owned(), train, val: part("val")?, test: part("test")? }))
    }

    /// The parts that are there: name, and directory relative to `root`.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let parts = [("train", Some(&self.train)), ("val", self.val.as_ref()), ("test", self.test.as_ref())];
        parts.into_iter().filter_map(|(name, directory)| Some((name, directory?.as_path())))
    }

    /// Lists the images.
    ///
    /// # Errors
    /// If a class directory is empty or holds a directory, or the parts differ in their classes.
    pub(crate) fn parts(&self, channels: usize) -> Result<Parts, DataError> {
        let classes = class_names(&self.root.join(&self.train))?;
        let mut others = OtherFiles::default();
        let mut list = |directory: &PathBuf| {
            let (images, passed_over) = class_directories(&self.root, directory, &classes, channels)?;
            others.extend(passed_over);
            Ok(images)
        };
        let train = list(&self.train)?;
        let val = self.val.as_ref().map(&mut list).transpose()?;
        let test = self.test.as_ref().map(&mut list).transpose()?;
        Ok(Parts { train, val, test, classes: texts(&classes), notes: others.note().into_iter().collect() })
    }
}

/// Whether `train` in `dir` has class directories.
pub(crate) fn train_has_class_directories(dir: &Path) -> Result<bool, DataError> {
    Ok(directory_of(dir, "train")?.is_some())
}

/// The directory in `dir` with the class directories of a part: `val` may be called `valid`, `Validation` and so on.
///
/// # Errors
/// If there are several, and none has the very name of the part.
fn directory_of(dir: &Path, part: &'static str) -> Result<Option<PathBuf>, DataError> {
    let mut found = Vec::new();
    for (name, path) in visible_entries(dir)? {
        if part_of_directory(&name) == Some(part) && has_class_directories(&path)? {
            found.push(PathBuf::from(name));
        }
    }
    found.sort_unstable();
    let exact = found.iter().position(|name| name.as_os_str() == part);
    match (exact, &found[..]) {
        (Some(exact), _) => descended(dir, found.swap_remove(exact)).map(Some),
        (None, []) => Ok(None),
        (None, [_]) => descended(dir, found.remove(0)).map(Some),
        (None, [first, second, ..]) => {
            let names = format!("{} and {}", first.display(), second.display());
            Err(DataError::AmbiguousParts { directory: dir.to_owned(), part, names })
        }
    }
}

/// `train/train` for `train`, if archives unpacked to that.
fn descended(dir: &Path, directory: PathBuf) -> Result<PathBuf, DataError> {
    match &visible_entries(&dir.join(&directory))?[..] {
        [(name, path)] if directory.file_name() == Some(name) && has_class_directories(path)? => {
            Ok(directory.join(name))
        }
        _ => Ok(directory),
    }
}

/// Whether `directory` exists and holds a directory of images. Kaggle's ImageNet has a flat `test` whose classes are
/// withheld, and that of Tiny ImageNet lies in `images`.
pub(crate) fn has_class_directories(directory: &Path) -> Result<bool, DataError> {
    if !directory.is_dir() {
        return Ok(false);
    }
    Ok(visible_entries(directory)?.iter().any(|(name, path)| !is_inner(name) && path.is_dir()))
}

/// Whether a directory of this name in a class directory holds its images.
fn is_inner(name: &OsString) -> bool {
    name.eq_ignore_ascii_case("images")
}

/// Class names as text.
pub(crate) fn texts(classes: &[OsString]) -> Vec<String> {
    classes.iter().map(|class| class.to_string_lossy().into_owned()).collect()
}

/// Sorted names of the class directories in `directory`.
pub(crate) fn class_names(directory: &Path) -> Result<Vec<OsString>, DataError> {
    let mut classes = Vec::new();
    for (name, path) in visible_entries(directory)? {
        if metadata(&path)?.is_dir() {
            classes.push(name);
        }
    }
    if classes.is_empty() {
        return Err(DataError::NoClasses { directory: directory.to_owned() });
    }
    classes.sort_unstable();
    Ok(classes)
}

/// Lists the images of `dir/part`, which must have exactly these classes.
pub(crate) fn class_directories(
    dir: &Path,
    part: &Path,
    classes: &[OsString],
    channels: usize,
) -> Result<(ImageSet, OtherFiles), DataError> {
    let directory = dir.join(part);
    let found = class_names(&directory)?;
    let text = |class: &OsString| class.to_string_lossy().into_owned();
    if let Some(class) = classes.iter().find(|class| found.binary_search(class).is_err()) {
        return Err(DataError::MissingClass { directory, class: text(class) });
    }
    if let Some(class) = found.iter().find(|class| classes.binary_search(class).is_err()) {
        return Err(DataError::UnknownClass { directory, class: text(class) });
    }
    // Collect all results before reporting an error: which error is reported must not depend on thread timing.
    let of_class = |(label, class): (usize, &OsString)| images_of(dir, &part.join(class), label as u32);
    let listings: Vec<Result<Listing, DataError>> = classes.par_iter().enumerate().map(of_class).collect();
    let (mut files, mut others) = (Vec::new(), OtherFiles::default());
    for listing in listings {
        let listing = listing?;
        files.extend(listing.files);
        others.extend(listing.others);
    }
    files.shrink_to_fit();
    let files = ImageFiles { root: dir.to_owned(), files };
    Ok((ImageSet::read(files, channels), others))
}

/// The image files of a class directory, or of `images` in it.
pub(crate) fn images_of(root: &Path, class: &Path, label: u32) -> Result<Listing, DataError> {
    let (mut listing, nested) = list(root, class, label)?;
    match &nested[..] {
        [] => (),
        [inner] if listing.files.is_empty() && inner.file_name().is_some_and(|name| is_inner(&name.to_owned())) => {
            let (inside, deeper) = list(root, &class.join(inner.file_name().unwrap_or_default()), label)?;
            if let Some(path) = deeper.into_iter().next() {
                return Err(DataError::NestedDirectory { path });
            }
            listing.files = inside.files;
            listing.others.extend(inside.others);
        }
        [path, ..] => return Err(DataError::NestedDirectory { path: path.clone() }),
    }
    if listing.files.is_empty() {
        return Err(DataError::EmptyClass { directory: root.join(class) });
    }
    listing.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(listing)
}

/// The files in a directory, and the directories in it.
fn list(root: &Path, class: &Path, label: u32) -> Result<(Listing, Vec<PathBuf>), DataError> {
    let (mut listing, mut nested) = (Listing::default(), Vec::new());
    for (name, path) in visible_entries(&root.join(class))? {
        let metadata = metadata(&path)?;
        if metadata.is_dir() {
            nested.push(path);
        } else if metadata.is_file() && is_image_name(&name) {
            listing.files.push(ImageFile { path: class.join(name).into(), bytes: metadata.len(), label });
        } else if metadata.is_file() {
            listing.others.add(&name);
        }
    }
    Ok((listing, nested))
}

/// Metadata of the link target; nothing is opened.
fn metadata(path: &Path) -> Result<fs::Metadata, DataError> {
    fs::metadata(path).map_err(|source| DataError::Read { path: path.to_owned(), source })
}
