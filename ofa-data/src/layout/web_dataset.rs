//! WebDataset shards: tar files of images and labels.

mod label;
mod sample;

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

#[cfg(fuzzing)]
pub(crate) use label::Label;
use rayon::prelude::*;
use sample::Samples;
pub(crate) use sample::samples;
#[cfg(fuzzing)]
pub(crate) use sample::stem;

use crate::error::DataError;
use crate::layout::class_directories::train_has_class_directories;
use crate::layout::numbered_classes;
use crate::layout::part_name::part_of;
use crate::layout::reader::{Found, Reader, found};
use crate::set::ImageSet;
use crate::source::archive::{Archive, ArchiveImages};
use crate::source::entries::visible_entries;
use crate::split::{Parts, Splits};
use crate::text;

/// Images in tar files: `<key>.jpg` (or `.jpeg`, `.png`, `.webp`, `.bmp`) next to their labels: `<key>.cls` or
/// `<key>.cls.txt`, which hold the class index or name, or the field `label`, `cls` or `class` of `<key>.json`. Names
/// are numbered as `classes.txt` lists them, else as they are sorted in train. Images are read in place; nothing is
/// unpacked. Where a key has no such file, an image with a prefix such as `<key>.input.jpg` is
/// taken; other files of a key, such as `<key>.mask.png`, are ignored.
///
/// The shards of a split lie in the directory itself, with the word `train`, `val` (or `validation`) or `test` in their
/// names, or in subdirectories with these names. An optional `classes.txt` names the classes, one per line. A test
/// split without labels is ignored.
#[derive(Debug, Clone, Copy)]
pub struct WebDataset;

impl WebDataset {
    /// Whether `dir` holds shards of a train split.
    pub fn is_in(dir: &Path) -> bool {
        shards(dir, Some("train")).is_ok_and(|shards| !shards.is_empty())
    }

    /// Lists the images, to be decoded to 1 (gray) or 3 (RGB) `channels`. Val and test are used as in an
    /// [`ImageFolder`](crate::ImageFolder).
    ///
    /// # Errors
    /// If train has no shards, a shard is truncated, or an image has no label or one beyond the classes; if most
    /// classes have no training image and `classes.txt` does not name them.
    pub fn load(dir: impl AsRef<Path>, channels: usize, seed: u64) -> Result<Splits, DataError> {
        Self::parts(dir.as_ref(), channels)?.split(channels, seed, None)
    }

    pub(crate) fn parts(dir: &Path, channels: usize) -> Result<Parts, DataError> {
        let train = part(dir, Some("train"))?.ok_or_else(|| missing(dir, "train-*.tar"))?;
        let val = part(dir, Some("val"))?;
        let test = match part(dir, Some("test")) {
            Err(DataError::Unlabelled { .. } | DataError::NoSample { .. }) => None,
            test => test?,
        };
        of_shards(dir, train, val, test, channels)
    }
}

/// A directory with shards; without parts, all are of the train set.
#[derive(Debug)]
struct Shards {
    dir: PathBuf,
    has_parts: bool,
}

pub(super) fn find(dir: &Path) -> Result<Found, DataError> {
    // Class directories take precedence: the archives they were unpacked from may lie next to them.
    match WebDataset::is_in(dir) && !train_has_class_directories(dir)? {
        true => found(Shards { dir: dir.to_owned(), has_parts: true }),
        false => Ok(None),
    }
}

/// Shards whose names do not say of which part they are.
pub(super) fn find_without_parts(dir: &Path) -> Result<Found, DataError> {
    match shards(dir, None)?.is_empty() {
        true => Ok(None),
        false => found(Shards { dir: dir.to_owned(), has_parts: false }),
    }
}

impl Reader for Shards {
    fn name(&self) -> String {
        "WebDataset".into()
    }

    fn parts(&self, channels: usize) -> Result<Parts, DataError> {
        if self.has_parts {
            return WebDataset::parts(&self.dir, channels);
        }
        let train = part(&self.dir, None)?.ok_or_else(|| missing(&self.dir, "*.tar"))?;
        of_shards(&self.dir, train, None, None, channels)
    }
}

/// The samples of a part.
struct Listing {
    images: ArchiveImages,
    /// By archive, the names that labels count; `None` if labels are class indices.
    names: Option<Vec<Vec<String>>>,
}

impl Listing {
    /// The images, whose labels are numbers of `classes`.
    fn numbered(mut self, classes: &[String], channels: usize) -> Result<ImageSet, DataError> {
        if let Some(names) = &self.names {
            let numbers: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
            for member in &mut self.images.members {
                let archive = member.archive as usize;
                let name = names[archive][member.label as usize].as_str();
                member.label = *numbers.get(name).ok_or_else(|| DataError::Labels {
                    path: self.images.archives[archive].path.join(&member.name),
                    problem: format!("its class is {name:?}, which neither train nor classes.txt has"),
                })?;
            }
        }
        let beyond = |label: u32| label as usize >= classes.len();
        if let Some(member) = self.images.members.iter().find(|member| beyond(member.label)) {
            let problem = format!("class {} is beyond the {} classes of train", member.label, classes.len());
            let path = self.images.archives[member.archive as usize].path.join(&member.name);
            return Err(DataError::Labels { path, problem });
        }
        Ok(ImageSet::read(self.images, channels))
    }
}

fn of_shards(
    dir: &Path,
    train: Listing,
    val: Option<Listing>,
    test: Option<Listing>,
    channels: usize,
) -> Result<Parts, DataError> {
    let (classes, are_named) = class_names(dir, &train)?;
    let by_name = train.names.is_some();
    if [&val, &test].into_iter().flatten().any(|part| part.names.is_some() != by_name) {
        let problem = "labels of some parts are numbers, those of others names".into();
        return Err(DataError::Labels { path: dir.to_owned(), problem });
    }
    let numbered = |part: Listing| part.numbered(&classes, channels);
    let (train, val, test) = (numbered(train)?, val.map(numbered).transpose()?, test.map(numbered).transpose()?);
    let notes = numbered_classes::gaps(&train, classes.len(), are_named)?.into_iter().collect();
    Ok(Parts { train, val, test, classes, notes })
}

/// Class names from `classes.txt`, else those of train in their order, else numbers; and whether they are names.
fn class_names(dir: &Path, train: &Listing) -> Result<(Vec<String>, bool), DataError> {
    let path = dir.join("classes.txt");
    let least = match &train.names {
        Some(_) => 0,
        None => train.images.members.iter().map(|member| member.label as usize + 1).max().unwrap_or(0),
    };
    if !path.is_file() {
        return Ok(match &train.names {
            Some(names) => {
                (names.iter().flatten().collect::<BTreeSet<_>>().into_iter().cloned().collect::<Vec<_>>(), true)
            }
            None => (numbered_classes::names(least), false),
        });
    }
    let names: Vec<String> = text::read(&path)?.lines().map(|line| line.trim_end().to_owned()).collect();
    match names.len() >= least {
        true => Ok((names, true)),
        false => {
            let problem = format!("it names {} classes, but train has images of class {}", names.len(), least - 1);
            Err(DataError::Labels { path, problem })
        }
    }
}

fn missing(dir: &Path, name: &str) -> DataError {
    DataError::Missing {
        path: dir.join(name),
        remedy: "a WebDataset needs tar files with `train` in their names, or a directory with this name",
    }
}

/// The shards of a split, or those of no split, sorted by path.
fn shards(dir: &Path, part: Option<&str>) -> Result<Vec<PathBuf>, DataError> {
    let mut shards = Vec::new();
    for (name, path) in visible_entries(dir)? {
        if part_of(&name) != part {
            continue;
        }
        if is_shard(&name) && path.is_file() {
            shards.push(path);
        } else if part.is_some() && path.is_dir() {
            let inside = visible_entries(&path)?.into_iter();
            shards.extend(inside.filter(|(name, path)| is_shard(name) && path.is_file()).map(|(_, path)| path));
        }
    }
    shards.sort_unstable();
    // Compressed shards beside what they were unpacked to are left alone; alone, they are an error when they are
    // listed.
    let is_plain = |path: &Path| path.extension() == Some(OsStr::new("tar"));
    if shards.iter().any(|path| is_plain(path)) {
        shards.retain(|path| is_plain(path));
    }
    Ok(shards)
}

/// Whether a name is that of a shard. The archives of ImageNet and those that published sets come in are none.
fn is_shard(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_tar = [".tar", ".tar.gz", ".tgz"].iter().any(|extension| name.ends_with(extension));
    is_tar && !name.starts_with("ILSVRC2012_")
}

fn part(dir: &Path, part: Option<&str>) -> Result<Option<Listing>, DataError> {
    let shards = shards(dir, part)?;
    let list = |(number, path): (usize, &PathBuf)| {
        let archive = Archive::at(path)?;
        let samples = samples(&archive, number as u32)?;
        Ok((archive, samples))
    };
    // Collect all results before reporting an error: which error is reported must not depend on thread timing.
    let listings: Vec<Result<(Archive, Samples), DataError>> = shards.par_iter().enumerate().map(list).collect();
    let (mut images, mut names) = (ArchiveImages::default(), Vec::new());
    let mut by_name = None;
    for listing in listings {
        let (archive, samples) = listing?;
        if !samples.members.is_empty() && *by_name.get_or_insert(samples.names.is_some()) != samples.names.is_some() {
            let problem = "its labels are names where those of other shards are numbers, or the other way round".into();
            return Err(DataError::Labels { path: archive.path, problem });
        }
        images.archives.push(archive);
        images.members.extend(samples.members);
        names.push(samples.names.unwrap_or_default());
    }
    images.members.shrink_to_fit();
    match (&images.archives[..], images.members.is_empty()) {
        ([], _) => Ok(None),
        ([first, ..], true) => Err(sample::nothing_in(first)?),
        (_, false) => Ok(Some(Listing { images, names: (by_name == Some(true)).then_some(names) })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::archive::samples::tar_of;
    use std::fs;

    const PNG: &[u8] = include_bytes!("../../fixtures/photo.png");

    fn directory() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let train: [(&str, &[u8]); 8] = [
            ("a/0001.cls", b"1"),
            ("a/0001.jpg", PNG),
            ("a/0001.json", b"{}"),
            ("a/0002.PNG", PNG),
            ("a/0002.mask.png", PNG),
            ("a/0002.cls", b" 0\n"),
            ("b/0001.png", PNG),
            ("b/0001.cls", b"2"),
        ];
        fs::write(dir.path().join("set-train-0000.tar"), tar_of(&train)).unwrap();
        fs::write(dir.path().join("set-train-0001.tar"), tar_of(&train)).unwrap();
        fs::create_dir(dir.path().join("validation")).unwrap();
        fs::write(dir.path().join("validation/0.tar"), tar_of(&[("x.png", PNG), ("x.cls", b"2")])).unwrap();
        dir
    }

    fn message(dir: &tempfile::TempDir) -> String {
        WebDataset::parts(dir.path(), 3).unwrap_err().to_string()
    }

    #[test]
    fn samples_are_images_with_the_label_of_their_key() {
        let dir = directory();
        assert!(WebDataset::is_in(dir.path()));
        let parts = WebDataset::parts(dir.path(), 3).unwrap();
        let val = parts.val.unwrap();
        assert_eq!((parts.train.len(), val.len(), parts.test.is_none()), (6, 1, true));
        assert_eq!((0..6).map(|i| parts.train.label(i)).collect::<Vec<_>>(), [1, 0, 2, 1, 0, 2]);
        assert_eq!((parts.classes, val.label(0)), (["0", "1", "2"].map(String::from).to_vec(), 2));
        assert_eq!(parts.train.get(4).unwrap(), val.get(0).unwrap());
        assert!(parts.train.path(1).ends_with("set-train-0000.tar/a/0002.PNG"));
        fs::write(dir.path().join("classes.txt"), "cat\ndog\nsun fish\n").unwrap();
        assert_eq!(WebDataset::parts(dir.path(), 3).unwrap().classes[2], "sun fish");
    }

    #[test]
    fn a_test_part_without_labels_is_left_out() {
        let dir = directory();
        fs::write(dir.path().join("test-0.tar"), tar_of(&[("x.png", PNG)])).unwrap();
        assert!(WebDataset::parts(dir.path(), 3).unwrap().test.is_none());
        fs::write(dir.path().join("test-0.tar"), tar_of(&[("x.png", PNG), ("x.cls", b"0")])).unwrap();
        assert_eq!(WebDataset::parts(dir.path(), 3).unwrap().test.unwrap().len(), 1);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let dir = directory();
        fs::write(dir.path().join("classes.txt"), "cat\n").unwrap();
        assert!(
            message(&dir).ends_with("classes.txt: it names 1 classes, but train has images of class 2"),
            "{}",
            message(&dir)
        );
        fs::remove_file(dir.path().join("classes.txt")).unwrap();
        let replace = |files: &[(&str, &[u8])]| fs::write(dir.path().join("validation/0.tar"), tar_of(files)).unwrap();
        replace(&[("x.png", PNG), ("x.cls", b"3")]);
        assert!(message(&dir).ends_with("0.tar/x.png: class 3 is beyond the 3 classes of train"), "{}", message(&dir));
        replace(&[("x.png", PNG), ("y.cls", b"3")]);
        assert!(
            message(&dir).ends_with("0.tar/x.png: no label: there is no .cls, .cls.txt or .json file of the same name"),
            "{}",
            message(&dir)
        );
        replace(&[("x.png", PNG), ("x.jpg", PNG), ("x.cls", b"1")]);
        assert!(message(&dir).ends_with("0.tar/x.jpg: second image for the same key"), "{}", message(&dir));
        replace(&[("x.png", PNG), ("x.cls", b"1"), ("x.CLS", b"2")]);
        assert!(message(&dir).ends_with("0.tar/x.CLS: second label for the same key"), "{}", message(&dir));
        replace(&[("x.png", PNG), ("x.cls", b"-1")]);
        assert!(message(&dir).ends_with("0.tar/x.cls: \"-1\" is not a class index"), "{}", message(&dir));
        replace(&[("note.txt", b"")]);
        assert!(
            message(&dir).contains("0.tar has no sample: its first files are note.txt; expected"),
            "{}",
            message(&dir)
        );
        fs::remove_dir_all(dir.path().join("validation")).unwrap();
        assert!(WebDataset::parts(dir.path(), 3).unwrap().val.is_none());
    }
}
