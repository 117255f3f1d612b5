//! Tiny ImageNet, and sets that are laid out like it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::layout::class_directories::{ClassDirectories, Listing, class_directories, class_names, images_of, texts};
use crate::layout::part_name::part_of_directory;
use crate::layout::reader::{Found, Reader, found};
use crate::set::ImageSet;
use crate::source::entries::visible_directories;
use crate::source::files::ImageFiles;
use crate::split::Parts;
use crate::text;

/// `train/<class>/images/*`, `val/images/*` with their classes in `val/val_annotations.txt`, and `test/images/*`, whose
/// labels are withheld, so that it is not used.
#[derive(Debug)]
struct TinyImageNet {
    train: ClassDirectories,
    /// Directory of the validation images, relative to the root.
    val: PathBuf,
    annotations: PathBuf,
}

const ANNOTATIONS: &str = "val_annotations.txt";

pub(super) fn find(dir: &Path) -> Result<Found, DataError> {
    let val = visible_directories(dir)?.into_iter().find(|(name, path)| {
        part_of_directory(name) == Some("val") && path.join(ANNOTATIONS).is_file() && path.join("images").is_dir()
    });
    let Some((name, path)) = val else { return Ok(None) };
    let Some(train) = ClassDirectories::in_parts(dir)? else { return Ok(None) };
    found(TinyImageNet { train, val: PathBuf::from(name).join("images"), annotations: path.join(ANNOTATIONS) })
}

impl Reader for TinyImageNet {
    fn name(&self) -> String {
        "Tiny ImageNet".into()
    }

    fn parts(&self, channels: usize) -> Result<Parts, DataError> {
        let (root, part) = (&self.train.root, &self.train.train);
        let classes = class_names(&root.join(part))?;
        let (train, others) = class_directories(root, part, &classes, channels)?;
        let val = self.validation(&classes, channels)?;
        let notes = others.note().into_iter().chain(["`test` has no labels and is not used".into()]);
        Ok(Parts { train, val: Some(val), test: None, classes: texts(&classes), notes: notes.collect() })
    }
}

impl TinyImageNet {
    fn validation(&self, classes: &[OsString], channels: usize) -> Result<ImageSet, DataError> {
        let problem = |problem| DataError::Labels { path: self.annotations.clone(), problem };
        let named = annotations(&text::read(&self.annotations)?).map_err(problem)?;
        let root = self.train.root.clone();
        let Listing { mut files, .. } = images_of(&root, &self.val, 0)?;
        for file in &mut files {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy();
            let class = named.get(&*name).ok_or_else(|| problem(format!("it has no line for {name}")))?;
            let label = classes.binary_search(&OsString::from(class));
            file.label = label.map_err(|_| problem(format!("{name} has class {class}, which train lacks")))? as u32;
        }
        Ok(ImageSet::read(ImageFiles { root, files }, channels))
    }
}

/// Class by file name: the first two fields of every line, which tabs or spaces separate.
fn annotations(text: &str) -> Result<HashMap<String, String>, String> {
    let mut classes = HashMap::new();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let mut fields = line.split_whitespace().map(str::to_owned);
        let (Some(name), Some(class)) = (fields.next(), fields.next()) else {
            return Err(format!("line {number} is {line:?}, expected a file name and a class"));
        };
        classes.insert(name, class);
    }
    Ok(classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d5_annotations_are_file_names_and_classes() {
        let classes = annotations("val_0.JPEG\tn02\t0\t32\t44\t62\r\n\nval_1.JPEG n01\n").unwrap();
        assert_eq!((&*classes["val_0.JPEG"], &*classes["val_1.JPEG"], classes.len()), ("n02", "n01", 2));
        assert_eq!(annotations("a n01\nb\n").unwrap_err(), "line 2 is \"b\", expected a file name and a class");
    }
}
