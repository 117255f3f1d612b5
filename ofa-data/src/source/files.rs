//! Images stored as one file each.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{ImageSource, StoredImage, file_identity};
use crate::error::ImageProblem;

/// Largest accepted image file, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// Image files under a directory.
#[derive(Debug)]
pub(crate) struct ImageFiles {
    pub(crate) root: PathBuf,
    /// Relative to `root`.
    pub(crate) files: Vec<ImageFile>,
}

/// A file and its state when it was listed.
#[derive(Debug)]
pub(crate) struct ImageFile {
    /// Boxed: an index of a million files should not carry spare capacity.
    pub(crate) path: Box<Path>,
    pub(crate) bytes: u64,
    pub(crate) label: u32,
}

impl ImageSource for ImageFiles {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn label(&self, i: usize) -> u32 {
        self.files[i].label
    }

    fn path(&self, i: usize) -> PathBuf {
        self.root.join(&self.files[i].path)
    }

    fn read(&self, i: usize) -> Result<StoredImage, ImageProblem> {
        read_file(&self.path(i), self.files[i].bytes).map(StoredImage::Encoded)
    }

    fn identity(&self, i: usize) -> Vec<u8> {
        file_identity(&self.files[i].path, self.files[i].bytes)
    }
}

/// Reads a file that had `listed` bytes when it was listed.
fn read_file(path: &Path, listed: u64) -> Result<Vec<u8>, ImageProblem> {
    // Check the type first: opening a FIFO for reading would block forever.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(ImageProblem::NotAFile);
    }
    if metadata.len() != listed {
        return Err(ImageProblem::Changed { listed, found: metadata.len() });
    }
    check_bytes(listed)?;
    let mut bytes = Vec::with_capacity(listed as usize);
    // Read one extra byte to detect a file that grew, but no more than that.
    File::open(path).and_then(|file| file.take(listed + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    match bytes.len() as u64 {
        found if found == listed => Ok(bytes),
        found => Err(ImageProblem::Changed { listed, found }),
    }
}

/// Refuses files too large to be images before memory is allocated for them.
pub(super) fn check_bytes(bytes: u64) -> Result<(), ImageProblem> {
    match bytes {
        0..=MAX_BYTES => Ok(()),
        _ => Err(ImageProblem::TooManyBytes { bytes, limit: MAX_BYTES }),
    }
}

pub(super) fn unreadable(error: io::Error) -> ImageProblem {
    ImageProblem::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_file(root: &Path, bytes: u64) -> ImageFiles {
        ImageFiles { root: root.to_owned(), files: vec![ImageFile { path: Path::new("x").into(), bytes, label: 2 }] }
    }

    #[test]
    fn a_file_is_read_as_it_was_listed_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let files = one_file(dir.path(), 3);
        let message = || files.read(0).unwrap_err().to_string();
        assert!(message().starts_with("cannot be read: No such file"), "{}", message());
        fs::write(dir.path().join("x"), "abc").unwrap();
        assert_eq!((files.read(0).unwrap(), files.label(0), files.len()), (b"abc".to_vec().into(), 2, 1));
        fs::write(dir.path().join("x"), "abcd").unwrap();
        assert_eq!(message(), "changed since it was listed: 4 bytes now, 3 then");
        let huge = one_file(dir.path(), 1 << 42);
        fs::File::options().write(true).open(dir.path().join("x")).unwrap().set_len(1 << 42).unwrap();
        assert_eq!(huge.read(0), Err(ImageProblem::TooManyBytes { bytes: 1 << 42, limit: 256 << 20 }));
        fs::remove_file(dir.path().join("x")).unwrap();
        fs::create_dir(dir.path().join("x")).unwrap();
        assert_eq!(message(), "not a regular file");
    }
}
