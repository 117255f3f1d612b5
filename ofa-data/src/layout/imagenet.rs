//! ImageNet (ILSVRC2012) as distributed by Kaggle, or as the original archives.

pub(crate) mod devkit;
pub(crate) mod solution;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::error::DataError;
use crate::layout::class_directories::{
    Listing, class_directories, class_names, has_class_directories, images_of, texts,
};
use crate::layout::reader::{Found, Reader, found};
use crate::set::ImageSet;
use crate::source::archive::{Archive, ArchiveImages, ArchiveMember, Entry};
use crate::source::entries::{OtherFiles, is_image_name};
use crate::source::files::ImageFiles;
use crate::split::{Parts, Splits};

/// The images of ImageNet's 2012 classification task, in any of the forms they are distributed in.
///
/// - Train: directory `train` or `ILSVRC2012_img_train` with class directories, or `ILSVRC2012_img_train.tar`, a tar of
///   1,000 tars, which is not unpacked.
/// - Validation, which serves as the test set: directory `val` or `ILSVRC2012_img_val`, flat or with class directories,
///   or `ILSVRC2012_img_val.tar`. Flat images take their labels from Kaggle's `LOC_val_solution.csv` or from the
///   development kit, `ILSVRC2012_devkit_t12` or `ILSVRC2012_devkit_t12.tar.gz`.
///
/// All are searched for in the directory itself, in `ILSVRC/Data/CLS-LOC` (as in Kaggle's archive) and in
/// `Data/CLS-LOC`. Classes are named by their WordNet ids and numbered in the order of these ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageNet {
    train: PathBuf,
    val: PathBuf,
    /// `None` if `val` has class directories.
    labels: Option<ValidationLabels>,
}

/// Source of the labels of flat validation images.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ValidationLabels {
    /// Kaggle's solution file.
    Solution(PathBuf),
    /// The development kit, a directory or an archive.
    Devkit(PathBuf),
}

const BELOW: [&str; 3] = ["", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC"];

impl ImageNet {
    /// The ImageNet files in `dir`; `None` if it does not hold train and validation images in one of these forms.
    ///
    /// # Errors
    /// [`DataError::Missing`] if the train archive has no validation images next to it, or nothing gives the classes of
    /// flat ones.
    pub fn in_directory(dir: &Path) -> Result<Option<Self>, DataError> {
        let find = |names: &[&str]| {
            let below =
                |base: &&str| names.iter().map(move |name| dir.join(base).join(name)).find(|path| path.exists());
            BELOW.iter().find_map(below)
        };
        let train = find(&["train", "ILSVRC2012_img_train", "ILSVRC2012_img_train.tar"]);
        let val = find(&["val", "ILSVRC2012_img_val", "ILSVRC2012_img_val.tar"]);
        let Some(train) = train else { return Ok(None) };
        let Some(val) = val else {
            let remedy = "ImageNet's validation images are missing: provide this archive or a directory `val`";
            let path = dir.join("ILSVRC2012_img_val.tar");
            return if train.is_dir() { Ok(None) } else { Err(DataError::Missing { path, remedy }) };
        };
        if has_class_directories(&val)? {
            return Ok(Some(Self { train, val, labels: None }));
        }
        let solution = find(&["LOC_val_solution.csv"]).map(ValidationLabels::Solution);
        let devkit = || find(&["ILSVRC2012_devkit_t12", "ILSVRC2012_devkit_t12.tar.gz"]).map(ValidationLabels::Devkit);
        let Some(labels) = solution.or_else(devkit) else {
            let remedy = "the validation images are not in class directories: provide this file or \
                          ILSVRC2012_devkit_t12.tar.gz for their classes";
            return Err(DataError::Missing { path: dir.join("LOC_val_solution.csv"), remedy });
        };
        Ok(Some(Self { train, val, labels: Some(labels) }))
    }

    /// Whether these are the directories of an ImageFolder in `dir`.
    pub(crate) fn is_image_folder(&self, dir: &Path) -> bool {
        self.labels.is_none() && self.train == dir.join("train") && self.train.is_dir() && self.val == dir.join("val")
    }

    /// Lists the images, to be decoded to 1 (gray) or 3 (RGB) `channels`. A tenth of train, at most about
    /// [`Splits::MAX_HELD_OUT`] images, is held out by `seed` for validation: the same fraction of every class,
    /// rounded, but at least one image.
    ///
    /// # Errors
    /// If something cannot be read or listed, an archive is truncated, or an image has no label or one that train
    /// lacks.
    pub fn load(&self, channels: usize, seed: u64) -> Result<Splits, DataError> {
        self.parts(channels)?.split(channels, seed, None)
    }

    pub(crate) fn parts(&self, channels: usize) -> Result<Parts, DataError> {
        let mut others = OtherFiles::default();
        let (classes, train) = match self.train.is_dir() {
            true => self.train_directories(channels, &mut others)?,
            false => self.train_archive(channels, &mut others)?,
        };
        let val = match &self.labels {
            None => {
                let names: Vec<OsString> = classes.iter().map(OsString::from).collect();
                directories(&self.val, &names, channels, &mut others)?
            }
            Some(labels) => {
                let labels = labels.read()?;
                match self.val.is_dir() {
                    true => self.flat_directory(&labels, &classes, channels, &mut others)?,
                    false => self.flat_archive(&labels, &classes, channels, &mut others)?,
                }
            }
        };
        Ok(Parts { train, val: Some(val), test: None, classes, notes: others.note().into_iter().collect() })
    }

    fn train_directories(
        &self,
        channels: usize,
        others: &mut OtherFiles,
    ) -> Result<(Vec<String>, ImageSet), DataError> {
        let classes = class_names(&self.train)?;
        Ok((texts(&classes), directories(&self.train, &classes, channels, others)?))
    }

    /// From a tar with one tar per class.
    fn train_archive(&self, channels: usize, others: &mut OtherFiles) -> Result<(Vec<String>, ImageSet), DataError> {
        let archive = Archive::at(&self.train)?;
        let classes = class_archives(&archive)?;
        if classes.is_empty() {
            let reason = "it holds no <class>.tar".into();
            return Err(DataError::Archive { path: self.train.clone(), reason });
        }
        let members = |(label, (class, entry)): (usize, &(String, Entry))| {
            let (entries, others) = images_among(archive.entries_of(entry)?);
            if entries.is_empty() {
                return Err(DataError::EmptyClass { directory: self.train.join(&entry.name) });
            }
            let member = |entry: Entry| member(Path::new(class).join(&entry.name), label as u32, &entry);
            Ok((sorted(entries.into_iter().map(member).collect()), others))
        };
        // Collect all results before reporting an error: which error is reported must not depend on thread timing.
        let listings: Vec<Result<(Vec<ArchiveMember>, OtherFiles), DataError>> =
            classes.par_iter().enumerate().map(members).collect();
        let mut members = Vec::new();
        for listing in listings {
            let (of_class, passed_over) = listing?;
            members.extend(of_class);
            others.extend(passed_over);
        }
        members.shrink_to_fit();
        let images = ArchiveImages { archives: vec![archive.clone()], members };
        let names = classes.into_iter().map(|(class, _)| class).collect();
        Ok((names, ImageSet::read(images, channels)))
    }

    fn flat_directory(
        &self,
        labels: &Labels,
        classes: &[String],
        channels: usize,
        others: &mut OtherFiles,
    ) -> Result<ImageSet, DataError> {
        let Listing { mut files, others: passed_over } = images_of(&self.val, Path::new(""), 0)?;
        others.extend(passed_over);
        for file in &mut files {
            file.label = labels.of(&self.val.join(&file.path), classes)?;
        }
        let images = ImageFiles { root: self.val.clone(), files };
        Ok(ImageSet::read(images, channels))
    }

    fn flat_archive(
        &self,
        labels: &Labels,
        classes: &[String],
        channels: usize,
        others: &mut OtherFiles,
    ) -> Result<ImageSet, DataError> {
        let archive = Archive::at(&self.val)?;
        let (entries, passed_over) = images_among(archive.entries()?);
        others.extend(passed_over);
        let labelled = |entry: Entry| {
            let label = labels.of(&self.val.join(&entry.name), classes)?;
            Ok(member(entry.name.clone(), label, &entry))
        };
        let members = entries.into_iter().map(labelled).collect::<Result<Vec<_>, DataError>>()?;
        if members.is_empty() {
            return Err(DataError::Archive { path: self.val.clone(), reason: "it holds no images".into() });
        }
        let images = ArchiveImages { archives: vec![archive], members: sorted(members) };
        Ok(ImageSet::read(images, channels))
    }
}

pub(super) fn find(dir: &Path) -> Result<Found, DataError> {
    match ImageNet::in_directory(dir)? {
        Some(files) if !files.is_image_folder(dir) => found(files),
        _ => Ok(None),
    }
}

impl Reader for ImageNet {
    fn name(&self) -> String {
        "ImageNet".into()
    }

    fn parts(&self, channels: usize) -> Result<Parts, DataError> {
        Self::parts(self, channels)
    }
}

/// WordNet ids of images, by file name without extension.
struct Labels {
    source: PathBuf,
    wnids: HashMap<String, String>,
}

impl ValidationLabels {
    fn read(&self) -> Result<Labels, DataError> {
        let (source, wnids) = match self {
            Self::Solution(path) => (path, solution::read(path)?),
            Self::Devkit(path) => (path, devkit::read(path)?),
        };
        Ok(Labels { source: source.clone(), wnids })
    }
}

impl Labels {
    fn of(&self, image: &Path, classes: &[String]) -> Result<u32, DataError> {
        let problem = |problem: String| DataError::Labels { path: self.source.clone(), problem };
        let stem = image.file_stem().unwrap_or_default().to_string_lossy();
        let wnid = self.wnids.get(&*stem).ok_or_else(|| problem(format!("it has no label for {}", image.display())))?;
        let class = classes.binary_search(wnid);
        class.map(|class| class as u32).map_err(|_| problem(format!("{stem} has class {wnid}, which train lacks")))
    }
}

/// The class directories in `directory`; image paths start with its name.
fn directories(
    directory: &Path,
    classes: &[OsString],
    channels: usize,
    others: &mut OtherFiles,
) -> Result<ImageSet, DataError> {
    let root = directory.parent().unwrap_or(Path::new(""));
    let part = Path::new(directory.file_name().unwrap_or_default());
    let (images, passed_over) = class_directories(root, part, classes, channels)?;
    others.extend(passed_over);
    Ok(images)
}

/// The entries that may be images by their names, and the others.
fn images_among(entries: Vec<Entry>) -> (Vec<Entry>, OtherFiles) {
    let file_name = |entry: &Entry| entry.name.file_name().unwrap_or_default().to_owned();
    let (images, rest): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| is_image_name(&file_name(entry)));
    let mut others = OtherFiles::default();
    rest.iter().for_each(|entry| others.add(&file_name(entry)));
    (images, others)
}

/// The class archives in `archive`, sorted by class.
fn class_archives(archive: &Archive) -> Result<Vec<(String, Entry)>, DataError> {
    let class = |entry: Entry| {
        let is_archive = entry.name.extension() == Some(OsStr::new("tar"));
        let class = entry.name.file_stem()?.to_string_lossy().into_owned();
        is_archive.then_some((class, entry))
    };
    let mut classes: Vec<(String, Entry)> = archive.entries()?.into_iter().filter_map(class).collect();
    classes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    match classes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        None => Ok(classes),
        Some(pair) => {
            Err(DataError::Archive { path: archive.path.clone(), reason: format!("it holds {}.tar twice", pair[0].0) })
        }
    }
}

fn member(name: PathBuf, label: u32, entry: &Entry) -> ArchiveMember {
    ArchiveMember { name: name.into(), archive: 0, label, offset: entry.offset, bytes: entry.bytes }
}

/// Sorts by name, so the order does not depend on how the archive was written.
fn sorted(mut members: Vec<ArchiveMember>) -> Vec<ArchiveMember> {
    members.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    members
}
