//! The entries of a directory.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::error::DataError;

/// Names of files and directories that systems and tools leave behind, beside all that begin with a dot or end with a
/// tilde. The last one is macOS's, with a carriage return.
const LITTER: [&str; 13] = [
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "__MACOSX",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "@eaDir",
    "Network Trash Folder",
    "Temporary Items",
    "Thumbs.db:encryptable",
    "_SUCCESS",
    "Icon\r",
];

/// Extensions of image files, also of formats that are not read, so that they are named as such.
const IMAGES: [&str; 30] = [
    "jpg", "jpeg", "jpe", "jfif", "jif", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff", "heic", "heif",
    "hif", "avif", "jxl", "jp2", "j2k", "ico", "pbm", "pgm", "ppm", "pnm", "psd", "qoi", "tga", "dds", "svg",
];

/// All entries of `directory`, except what systems and tools leave there.
pub(crate) fn visible_entries(directory: &Path) -> Result<Vec<(OsString, PathBuf)>, DataError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => DataError::Missing {
            path: directory.to_owned(),
            remedy: "an image folder needs train/<class>/<image> and val/<class>/<image>",
        },
        _ => DataError::Read { path: directory.to_owned(), source },
    };
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !is_litter(&entry.file_name()) {
            entries.push((entry.file_name(), entry.path()));
        }
    }
    Ok(entries)
}

/// The directories among the visible entries, sorted by name.
pub(crate) fn visible_directories(directory: &Path) -> Result<Vec<(OsString, PathBuf)>, DataError> {
    let mut found = visible_entries(directory)?;
    found.retain(|(_, path)| path.is_dir());
    found.sort_unstable();
    Ok(found)
}

/// Whether a name is one that systems and tools give to what they leave behind; all hidden files count.
pub(crate) fn is_litter(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.starts_with(b".")
        || bytes.starts_with(b"~$")
        || bytes.ends_with(b"~")
        || LITTER.iter().any(|litter| name.eq_ignore_ascii_case(litter))
}

/// Whether a part of a path within an archive is litter: the list is that of directories.
pub(crate) fn is_litter_path(path: &Path) -> bool {
    path.components().any(|part| matches!(part, Component::Normal(name) if is_litter(name)))
}

/// The extension of a name, in lower case; `None` if it has none or one that means nothing, such as that of `scan 2.0
/// (1)` or `image.0001`.
pub(crate) fn extension(name: &OsStr) -> Option<String> {
    let extension = Path::new(name).extension()?.to_str()?;
    let is_word = extension.len() <= 10 && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_word && extension.bytes().any(|byte| byte.is_ascii_alphabetic())).then(|| extension.to_ascii_lowercase())
}

/// Whether a file may be an image by its name: it has the extension of one, or none.
pub(crate) fn is_image_name(name: &OsStr) -> bool {
    // By bytes: this is called for every file of a set.
    let bytes = name.as_encoded_bytes();
    let end = bytes.iter().rposition(|&byte| byte == b'.').map_or(&[][..], |dot| &bytes[dot + 1..]);
    IMAGES.iter().any(|known| end.eq_ignore_ascii_case(known.as_bytes())) || extension(name).is_none()
}

/// Files that are no images by their names, counted by extension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OtherFiles(BTreeMap<String, usize>);

impl OtherFiles {
    pub(crate) fn add(&mut self, name: &OsStr) {
        *self.0.entry(extension(name).unwrap_or_default()).or_default() += 1;
    }

    pub(crate) fn extend(&mut self, others: Self) {
        others.0.into_iter().for_each(|(extension, count)| *self.0.entry(extension).or_default() += count);
    }

    /// One line about them; `None` if there are none.
    pub(crate) fn note(&self) -> Option<String> {
        let count: usize = self.0.values().sum();
        let kinds: Vec<String> = self.0.iter().map(|(extension, count)| format!("{count} .{extension}")).collect();
        let verb = if count == 1 {
            "file is no image by its name and is"
        } else {
            "files are no images by their names and are"
        };
        (count > 0).then(|| format!("{count} {verb} passed over ({})", kinds.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d7_litter_is_one_list_for_directories_and_archives() {
        for name in [
            "desktop.ini",
            "Desktop.INI",
            "Icon\r",
            "__MACOSX",
            "Thumbs.db",
            ".DS_Store",
            "._0.jpg",
            "@eaDir",
            "0.jpg~",
            "~$a.doc",
        ] {
            assert!(is_litter(OsStr::new(name)) && is_litter_path(&Path::new("./train/a").join(name)), "{name}");
            assert!(is_litter_path(&Path::new(name).join("0.jpg")), "{name}");
        }
        for name in ["0.jpg", "icon", "Thumbs", "MACOSX"] {
            assert!(!is_litter_path(&Path::new("./a/../b").join(name)), "{name}");
        }
    }

    #[test]
    fn d7_what_is_no_image_by_its_name_is_counted() {
        for name in ["0.jpg", "0.JPEG", "0", "scan 2.0 (v1)", "image.0001", "0.gif", "0.HEIC"] {
            assert!(is_image_name(OsStr::new(name)), "{name}");
        }
        let mut others = OtherFiles::default();
        for name in ["a.xml", "labels.csv", "b.XML", "model.pt", "0.jpg.crdownload"] {
            assert!(!is_image_name(OsStr::new(name)), "{name}");
            others.add(OsStr::new(name));
        }
        let note = others.note().unwrap();
        assert_eq!(
            note,
            "5 files are no images by their names and are passed over (1 .crdownload, 1 .csv, 1 .pt, 2 .xml)"
        );
        assert_eq!(OtherFiles::default().note(), None);
    }
}
