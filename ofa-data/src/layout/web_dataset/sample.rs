//! The samples in a shard: which files are images, and which are their labels.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::label::{Label, Numbering};
use crate::error::DataError;
use crate::source::archive::{Archive, ArchiveMember, Entry};

const IMAGES: [&str; 5] = [".jpg", ".jpeg", ".png", ".webp", ".bmp"];
const LABELS: [&str; 2] = [".cls.txt", ".cls"];
const JSON: &str = ".json";
/// The most bytes of a `.json`.
const MAX_JSON: u64 = 1 << 20;

/// The labelled images of a shard.
#[derive(Debug)]
pub(crate) struct Samples {
    pub(crate) members: Vec<ArchiveMember>,
    /// Names of classes, which the labels count; `None` if the labels are class indices.
    pub(crate) names: Option<Vec<String>>,
}

/// Lists the labelled images of a shard.
pub(crate) fn samples(archive: &Archive, number: u32) -> Result<Samples, DataError> {
    let entries = archive.entries_with(|name| stem(name, &LABELS).is_some())?;
    let images: Vec<(&Entry, PathBuf)> =
        entries.iter().filter_map(|entry| Some((entry, stem(&entry.name, &IMAGES)?))).collect();
    let labels = Labels::of(archive, &entries, &images.iter().map(|(_, stem)| &**stem).collect())?;
    // Keys with an image of their very name: of these, images with a prefix are masks and the like.
    let plain: HashSet<&Path> = images.iter().map(|(_, stem)| &**stem).filter(|stem| labels.has(stem)).collect();
    let (mut members, mut taken, mut numbering) = (Vec::new(), HashSet::new(), Numbering::default());
    for (entry, stem) in &images {
        let key = match plain.contains(&**stem) {
            true => stem.clone(),
            false => match shorter(stem).find(|key| labels.has(key)) {
                Some(key) if !plain.contains(&*key) => key,
                // A mask of an image, or a file with a prefix among plain ones.
                Some(_) => continue,
                None if shorter(stem).next().is_some() && !plain.is_empty() => continue,
                None => return Err(DataError::Unlabelled { path: archive.path.join(&entry.name) }),
            },
        };
        let label = labels.of_key(archive, &key)?;
        let label = numbering.number(label).map_err(|problem| problem_of(archive, &entry.name, problem))?;
        if !taken.insert(key) {
            return Err(problem_of(archive, &entry.name, "second image for the same key".into()));
        }
        let (name, offset, bytes) = (entry.name.clone().into(), entry.offset, entry.bytes);
        members.push(ArchiveMember { name, archive: number, label, offset, bytes });
    }
    Ok(Samples { members, names: numbering.names() })
}

/// The labels of a shard, by the path of their files without extension.
#[derive(Default)]
struct Labels<'a> {
    known: HashMap<PathBuf, Label>,
    /// Labels whose files have a prefix (`<key>.target.cls`), by key; `None` if a key has several.
    prefixed: HashMap<PathBuf, Option<Label>>,
    /// Read only where nothing else gives the label.
    json: HashMap<PathBuf, &'a Entry>,
}

impl<'a> Labels<'a> {
    /// `images` are the paths of the images without extension.
    fn of(archive: &Archive, entries: &'a [Entry], images: &HashSet<&Path>) -> Result<Self, DataError> {
        let mut labels = Self::default();
        for entry in entries {
            if let Some(stem) = stem(&entry.name, &LABELS) {
                let problem = |problem| problem_of(archive, &entry.name, problem);
                let label = Label::of_text(entry.content.as_deref().unwrap_or_default()).map_err(problem)?;
                // A label of an image of the same name is no other image's.
                if !images.contains(&*stem)
                    && let Some(key) = shorter(&stem).next()
                {
                    labels.prefixed.entry(key).and_modify(|label| *label = None).or_insert_with(|| Some(label.clone()));
                }
                if labels.known.insert(stem, label).is_some() {
                    return Err(problem("second label for the same key".into()));
                }
            } else if let Some(stem) = stem(&entry.name, &[JSON]) {
                labels.json.insert(stem, entry);
            }
        }
        Ok(labels)
    }

    fn has(&self, key: &Path) -> bool {
        self.known.contains_key(key) || self.json.contains_key(key) || matches!(self.prefixed.get(key), Some(Some(_)))
    }

    /// The label of a key that has one.
    fn of_key(&self, archive: &Archive, key: &Path) -> Result<Label, DataError> {
        let prefixed = || self.prefixed.get(key).cloned().flatten();
        if let Some(label) = self.known.get(key).cloned().or_else(prefixed) {
            return Ok(label);
        }
        let entry = self.json[key];
        Label::of_json(&archive.content(entry, MAX_JSON)?).map_err(|problem| problem_of(archive, &entry.name, problem))
    }
}

/// The error for a shard without an image.
pub(super) fn nothing_in(archive: &Archive) -> Result<DataError, DataError> {
    let entries = archive.entries()?;
    let first: Vec<String> = entries.iter().take(4).map(|entry| entry.name.display().to_string()).collect();
    let more = if entries.len() > first.len() { ", ..." } else { "" };
    let seen = match first.is_empty() {
        true => "it is empty".into(),
        false => format!("its first files are {}{more}", first.join(", ")),
    };
    Ok(DataError::NoSample { path: archive.path.clone(), seen })
}

fn problem_of(archive: &Archive, name: &Path, problem: String) -> DataError {
    DataError::Labels { path: archive.path.join(name), problem }
}

/// The path without the extension, if that is one of `extensions`, in capitals or not.
pub(crate) fn stem(name: &Path, extensions: &[&str]) -> Option<PathBuf> {
    let file = name.file_name()?.to_string_lossy();
    let has = |extension: &&&str| {
        let start = file.len().checked_sub(extension.len());
        start.and_then(|start| file.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(extension))
    };
    let extension = extensions.iter().find(has)?;
    Some(name.with_file_name(&file[..file.len() - extension.len()]))
}

/// The path without its last extension, without the last two, and so on.
fn shorter(stem: &Path) -> impl Iterator<Item = PathBuf> {
    let without_last = |path: &PathBuf| path.extension().map(|_| path.with_extension(""));
    std::iter::successors(without_last(&stem.to_owned()), without_last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::archive::samples::tar_of;

    fn listed(files: &[(&str, &str)]) -> Result<Vec<(String, u32)>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tar");
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (*name, content.as_bytes())).collect();
        std::fs::write(&path, tar_of(&files)).unwrap();
        let listed = samples(&Archive::at(&path).unwrap(), 0).map_err(|error| error.to_string())?;
        Ok(listed.members.iter().map(|member| (member.name.display().to_string(), member.label)).collect())
    }

    fn one(name: &str, label: u32) -> Result<Vec<(String, u32)>, String> {
        Ok(vec![(name.to_owned(), label)])
    }

    #[test]
    fn d1_prefixes_and_points_in_names_are_found_out() {
        assert_eq!(listed(&[("0.input.jpg", ""), ("0.cls", "3")]), one("0.input.jpg", 3));
        assert_eq!(listed(&[("a/0.IMAGE.PNG", ""), ("a/0.target.cls", "3")]), one("a/0.IMAGE.PNG", 3));
        assert_eq!(listed(&[("scan 2.0 (v0).jpg", ""), ("scan 2.0 (v0).cls", "1")]), one("scan 2.0 (v0).jpg", 1));
        let two = listed(&[("v1.0.png", ""), ("v1.0.cls", "1"), ("v1.1.png", ""), ("v1.1.cls", "2")]).unwrap();
        assert_eq!(two, [("v1.0.png".to_owned(), 1), ("v1.1.png".to_owned(), 2)]);
        let unlabelled = listed(&[("v1.0.png", ""), ("v1.0.cls", "1"), ("v1.png", "")]).unwrap_err();
        assert!(unlabelled.contains("v1.png: no label"), "{unlabelled}");
        assert_eq!(listed(&[("0.jpg", ""), ("0.mask.png", ""), ("0.cls", "3")]), one("0.jpg", 3));
        assert_eq!(listed(&[("0.jpg", ""), ("0.cls", "3"), ("1.mask.png", "")]), one("0.jpg", 3));
        let both = listed(&[("0.left.jpg", ""), ("0.right.jpg", ""), ("0.cls", "3")]).unwrap_err();
        assert!(both.ends_with("0.right.jpg: second image for the same key"), "{both}");
    }

    #[test]
    fn d2_labels_may_be_text_or_json() {
        assert_eq!(listed(&[("0.jpg", ""), ("0.cls.txt", "\u{feff}4\r\n")]), one("0.jpg", 4));
        for json in ["{\"label\": 4}", "\u{feff}{\"cls\": \"4\", \"x\": [1]}", "{\"a\": {}, \"class\": 4}"] {
            assert_eq!(listed(&[("0.jpg", ""), ("0.json", json)]), one("0.jpg", 4), "{json}");
        }
        // A .cls takes precedence: other tools write anything into .json.
        assert_eq!(listed(&[("0.webp", ""), ("0.json", "{"), ("0.cls", "1")]), one("0.webp", 1));
        let problem = |json| listed(&[("0.jpg", ""), ("0.json", json)]).unwrap_err();
        assert!(
            problem("{\"url\": 1}")
                .ends_with("0.json: none of its fields (url) is a label: expected label, cls, class")
        );
        let name =
            |key: usize, label: &str| [(format!("{key}.jpg"), String::new()), (format!("{key}.cls"), label.into())];
        let mixed: Vec<_> = [name(0, "dog"), name(1, "7")].concat();
        let mixed: Vec<_> = mixed.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
        let message = listed(&mixed).unwrap_err();
        assert!(message.ends_with("1.jpg: its label is the number 7, those before it are names"), "{message}");
        assert!(problem("[").contains("0.json: not a JSON file: "));
    }
}
