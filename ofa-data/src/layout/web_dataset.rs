//! WebDataset shards: tar files of images and labels.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::error::DataError;
use crate::layout::part_name::part_of;
use crate::set::ImageSet;
use crate::source::MAX_CLASSES;
use crate::source::archive::{Archive, ArchiveImages, ArchiveMember, Entry};
use crate::source::entries::visible_entries;
use crate::split::{Parts, Splits};

/// Images in tar files: `<key>.jpg` (or `.jpeg`, `.png`) next to `<key>.cls`, which holds the class index. Images are
/// read in place; nothing is unpacked. Other files of a key, such as `<key>.json` or `<key>.mask.png`, are ignored.
///
/// The shards of a split lie in the directory itself, with the word `train`, `val` (or `validation`) or `test` in their
/// names, or in subdirectories with these names. An optional `classes.txt` names the classes, one per line. A test
/// split without labels is ignored.
#[derive(Debug, Clone, Copy)]
pub struct WebDataset;

const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

impl WebDataset {
    /// Whether `dir` holds shards of a train split.
    pub fn is_in(dir: &Path) -> bool {
        shards(dir, "train").is_ok_and(|shards| !shards.is_empty())
    }

    /// Lists the images, to be decoded to 1 (gray) or 3 (RGB) `channels`. Val and test are used as in an
    /// [`ImageFolder`](crate::ImageFolder).
    ///
    /// # Errors
    /// If a split has no shards, a shard is truncated, or an image has no label or one beyond the classes.
    pub fn load(dir: impl AsRef<Path>, channels: usize, seed: u64) -> Result<Splits, DataError> {
        Self::parts(dir.as_ref(), channels)?.split(channels, seed)
    }

    pub(crate) fn parts(dir: &Path, channels: usize) -> Result<Parts, DataError> {
        let train = part(dir, "train", channels)?.ok_or_else(|| missing(dir, "train-*.tar"))?;
        let val = part(dir, "val", channels)?.ok_or_else(|| missing(dir, "val-*.tar"))?;
        let test = match part(dir, "test", channels) {
            Err(DataError::Unlabelled { .. }) => None,
            test => test?,
        };
        let labels = |set: &ImageSet| (0..set.len()).map(|i| set.label(i)).max().unwrap_or(0);
        let of_train = labels(&train) + 1;
        let classes = class_names(dir, of_train)?;
        for set in [Some(&val), test.as_ref()].into_iter().flatten() {
            if let Some(i) = (0..set.len()).find(|&i| set.label(i) >= classes.len()) {
                let problem = format!("class {} is beyond the {} classes of train", set.label(i), classes.len());
                return Err(DataError::Labels { path: set.path(i), problem });
            }
        }
        Ok(Parts { train, val, test, classes })
    }
}

/// Class names from `classes.txt`, or numbers if the file does not exist.
fn class_names(dir: &Path, classes: usize) -> Result<Vec<String>, DataError> {
    let path = dir.join("classes.txt");
    if !path.is_file() {
        return Ok((0..classes).map(|class| class.to_string()).collect());
    }
    let text = std::fs::read_to_string(&path).map_err(|source| DataError::Read { path: path.clone(), source })?;
    let names: Vec<String> = text.lines().map(|line| line.trim_end().to_owned()).collect();
    match names.len() >= classes {
        true => Ok(names),
        false => {
            let problem = format!("it names {} classes, but train has images of class {}", names.len(), classes - 1);
            Err(DataError::Labels { path, problem })
        }
    }
}

fn missing(dir: &Path, name: &str) -> DataError {
    DataError::Missing {
        path: dir.join(name),
        remedy: "a WebDataset needs tar files with `train` and `val` in their names, or directories with these names",
    }
}

/// The shards of a split, sorted by path.
fn shards(dir: &Path, part: &str) -> Result<Vec<PathBuf>, DataError> {
    let is_shard = |name: &OsStr, path: &Path| {
        // The original ImageNet archives are not shards.
        let is_of_makers = name.to_string_lossy().starts_with("ILSVRC2012_img_");
        path.extension() == Some(OsStr::new("tar")) && !is_of_makers && path.is_file()
    };
    let mut found = Vec::new();
    for (name, path) in visible_entries(dir)? {
        if part_of(&name) != Some(part) {
            continue;
        }
        if path.is_dir() {
            let inside = visible_entries(&path)?.into_iter();
            found.extend(inside.filter(|(name, path)| is_shard(name, path)).map(|(_, path)| path));
        } else if is_shard(&name, &path) {
            found.push(path);
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn part(dir: &Path, part: &str, channels: usize) -> Result<Option<ImageSet>, DataError> {
    let shards = shards(dir, part)?;
    let list = |(number, path): (usize, &PathBuf)| {
        let archive = Archive::at(path)?;
        let members = members(&archive, number as u32)?;
        Ok((archive, members))
    };
    // Collect all results before reporting an error: which error is reported must not depend on thread timing.
    let listings: Vec<Result<(Archive, Vec<ArchiveMember>), DataError>> =
        shards.par_iter().enumerate().map(list).collect();
    let mut images = ArchiveImages::default();
    for listing in listings {
        let (archive, members) = listing?;
        images.archives.push(archive);
        images.members.extend(members);
    }
    images.members.shrink_to_fit();
    let is_empty = images.members.is_empty();
    Ok((!is_empty).then(|| ImageSet::read(images, channels)))
}

/// Lists the labelled images of a shard.
pub(crate) fn members(archive: &Archive, number: u32) -> Result<Vec<ArchiveMember>, DataError> {
    let entries = archive.entries_with(|name| field(name) == "cls")?;
    let (mut labels, mut images) = (HashMap::new(), HashSet::new());
    for entry in entries.iter().filter(|entry| field(&entry.name) == "cls") {
        let content = entry.content.as_deref().unwrap_or_default();
        let label = label(content).map_err(|problem| problem_of(archive, entry, problem))?;
        if labels.insert(key(&entry.name), label).is_some() {
            return Err(problem_of(archive, entry, "second label for the same key".into()));
        }
    }
    let mut members = Vec::new();
    for entry in entries.iter().filter(|entry| EXTENSIONS.contains(&&*field(&entry.name))) {
        let Some(&label) = labels.get(&key(&entry.name)) else {
            return Err(DataError::Unlabelled { path: archive.path.join(&entry.name) });
        };
        if !images.insert(key(&entry.name)) {
            return Err(problem_of(archive, entry, "second image for the same key".into()));
        }
        let (name, offset, bytes) = (entry.name.clone().into(), entry.offset, entry.bytes);
        members.push(ArchiveMember { name, archive: number, label, offset, bytes });
    }
    Ok(members)
}

fn problem_of(archive: &Archive, entry: &Entry, problem: String) -> DataError {
    DataError::Labels { path: archive.path.join(&entry.name), problem }
}

/// What the files of a sample share: the path up to the first dot of the file name.
pub(crate) fn key(name: &Path) -> PathBuf {
    let file = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.with_file_name(file.split('.').next().unwrap_or_default())
}

/// The field of a sample that a file holds: the part of its name after the first dot, in lower case.
pub(crate) fn field(name: &Path) -> String {
    let file = name.file_name().unwrap_or_default().to_string_lossy();
    file.split_once('.').map_or(String::new(), |(_, field)| field.to_lowercase())
}

pub(crate) fn label(content: &[u8]) -> Result<u32, String> {
    let text = String::from_utf8_lossy(content);
    let label = text.trim().parse().ok().filter(|&label| label < MAX_CLASSES);
    label.ok_or_else(|| format!("{:?} is not a class index", text.trim()))
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
        assert_eq!((parts.train.len(), parts.val.len(), parts.test.is_none()), (6, 1, true));
        assert_eq!((0..6).map(|i| parts.train.label(i)).collect::<Vec<_>>(), [1, 0, 2, 1, 0, 2]);
        assert_eq!((parts.classes, parts.val.label(0)), (["0", "1", "2"].map(String::from).to_vec(), 2));
        assert_eq!(parts.train.get(4).unwrap(), parts.val.get(0).unwrap());
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
            message(&dir).ends_with("0.tar/x.png: no label: there is no .cls file of the same name"),
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
        assert!(message(&dir).contains("val-*.tar not found"), "{}", message(&dir));
    }
}
