//! One directory of classes, without parts.

use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::layout::class_directories::ClassDirectories;
use crate::layout::part_name::part_of_directory;
use crate::layout::reader::{Found, Reader, found};
use crate::source::entries::{is_image_name, visible_directories, visible_entries};
use crate::split::Parts;

/// `DIR/<class>/*`: validation and test images are held out.
#[derive(Debug)]
struct ClassFolder(ClassDirectories);

/// Class directories that are looked into; the others are listed when the set is read.
const LOOKED_INTO: usize = 3;

pub(super) fn find(dir: &Path) -> Result<Found, DataError> {
    let directories = visible_directories(dir)?;
    // `train` beside `val` is an ImageFolder that lacks something, and no class.
    let parts = directories.iter().filter(|(name, _)| part_of_directory(name).is_some()).count();
    if directories.is_empty() || parts > 1 || parts == directories.len() {
        return Ok(None);
    }
    // `images` alone is no class: its classes are told elsewhere, or nowhere.
    if let [(name, _)] = &directories[..]
        && name.eq_ignore_ascii_case("images")
    {
        return Ok(None);
    }
    for (_, path) in directories.iter().take(LOOKED_INTO) {
        if holds_images(path)? {
            let (root, train) = (dir.to_owned(), PathBuf::new());
            return found(ClassFolder(ClassDirectories { root, train, val: None, test: None }));
        }
    }
    Ok(None)
}

/// Whether there is a file that may be an image by its name.
fn holds_images(directory: &Path) -> Result<bool, DataError> {
    Ok(visible_entries(directory)?.iter().any(|(name, path)| is_image_name(name) && path.is_file()))
}

impl Reader for ClassFolder {
    fn name(&self) -> String {
        "class directories".into()
    }

    fn parts(&self, channels: usize) -> Result<Parts, DataError> {
        self.0.parts(channels)
    }

    fn class_directories(&self) -> Option<&ClassDirectories> {
        Some(&self.0)
    }
}
