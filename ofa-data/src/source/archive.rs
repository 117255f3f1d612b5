//! Images inside tar archives, read in place; nothing is unpacked.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::entries::is_litter_path;
use super::files::{check_bytes, unreadable};
use super::{ImageSource, StoredImage, file_identity};
use crate::error::{DataError, ImageProblem};

/// Images in archives, located by byte offset.
#[derive(Debug, Default)]
pub(crate) struct ArchiveImages {
    pub(crate) archives: Vec<Archive>,
    pub(crate) members: Vec<ArchiveMember>,
}

/// A tar file and its state when it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archive {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// `None` where the file system stores no modification times.
    modified: Option<SystemTime>,
}

/// An image in an archive.
#[derive(Debug)]
pub(crate) struct ArchiveMember {
    /// Boxed: an index of a million images should not carry spare capacity.
    pub(crate) name: Box<Path>,
    /// Position in `archives`.
    pub(crate) archive: u32,
    pub(crate) label: u32,
    /// Offset of the first byte in the archive.
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// A file in an archive, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: PathBuf,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    /// The file's content, if requested.
    pub(crate) content: Option<Vec<u8>>,
}

/// Longest file, in bytes, whose content can be read during listing.
const MAX_CONTENT: u64 = 64;

impl ImageSource for ArchiveImages {
    fn len(&self) -> usize {
        self.members.len()
    }

    fn label(&self, i: usize) -> u32 {
        self.members[i].label
    }

    fn path(&self, i: usize) -> PathBuf {
        let member = &self.members[i];
        self.archives[member.archive as usize].path.join(&member.name)
    }

    fn read(&self, i: usize) -> Result<StoredImage, ImageProblem> {
        let member = &self.members[i];
        let archive = &self.archives[member.archive as usize];
        let mut file = File::open(&archive.path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.len() != archive.bytes || metadata.modified().ok() != archive.modified {
            return Err(ImageProblem::ArchiveChanged);
        }
        check_bytes(member.bytes)?;
        let mut bytes = vec![0; member.bytes as usize];
        file.seek(SeekFrom::Start(member.offset)).and_then(|_| file.read_exact(&mut bytes)).map_err(unreadable)?;
        Ok(bytes.into())
    }

    fn identity(&self, i: usize) -> Vec<u8> {
        // The archive is left out: the same images in other shards are the same set.
        file_identity(&self.members[i].name, self.members[i].bytes)
    }
}

impl Archive {
    /// The archive at `path`; its content is not read.
    ///
    /// # Errors
    /// If it is not a regular file.
    pub(crate) fn at(path: &Path) -> Result<Self, DataError> {
        let read = |source| DataError::Read { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(read)?;
        if !metadata.is_file() {
            return Err(read(io::Error::other("not a regular file")));
        }
        Ok(Self { path: path.to_owned(), bytes: metadata.len(), modified: metadata.modified().ok() })
    }

    /// The regular files in the archive, in archive order.
    ///
    /// # Errors
    /// If the archive cannot be read or is not a complete tar file.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>, DataError> {
        self.entries_in(0, self.bytes, |_| false)
    }

    /// Like [`Archive::entries`], with the content of files up to [`MAX_CONTENT`] bytes whose names satisfy
    /// `is_wanted`.
    ///
    /// # Errors
    /// If the archive cannot be read or is not a complete tar file.
    pub(crate) fn entries_with(&self, is_wanted: impl Fn(&Path) -> bool) -> Result<Vec<Entry>, DataError> {
        self.entries_in(0, self.bytes, is_wanted)
    }

    /// The regular files in `entry`, an archive nested in this one.
    ///
    /// # Errors
    /// If it cannot be read or is not a complete tar file.
    pub(crate) fn entries_of(&self, entry: &Entry) -> Result<Vec<Entry>, DataError> {
        self.entries_in(entry.offset, entry.bytes, |_| false).map_err(|error| error.within(&entry.name))
    }

    /// The content of a file in the archive, which must be short.
    ///
    /// # Errors
    /// If it has more than `limit` bytes or cannot be read.
    pub(crate) fn content(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>, DataError> {
        let read = |source| DataError::Read { path: self.path.join(&entry.name), source };
        if entry.bytes > limit {
            return Err(read(io::Error::other(format!("{} bytes are more than the {limit} allowed", entry.bytes))));
        }
        let mut content = vec![0; entry.bytes as usize];
        let mut file = File::open(&self.path).map_err(read)?;
        file.seek(SeekFrom::Start(entry.offset)).and_then(|_| file.read_exact(&mut content)).map_err(read)?;
        Ok(content)
    }

    fn entries_in(&self, start: u64, length: u64, is_wanted: impl Fn(&Path) -> bool) -> Result<Vec<Entry>, DataError> {
        let mut file = File::open(&self.path).map_err(|source| DataError::Read { path: self.path.clone(), source })?;
        let problem = |reason: String| DataError::Archive { path: self.path.clone(), reason };
        if is_gzipped(&mut file, start) {
            return Err(problem(
                "compressed with gzip; images are read in place, so unpack it with gunzip first".into(),
            ));
        }
        let listed = entries(Section { file, start, length, at: 0 }, is_wanted);
        listed.map_err(|error| problem(format!("cannot be listed: {error}")))
    }
}

/// Whether a gzip stream begins at `start`.
fn is_gzipped(file: &mut File, start: u64) -> bool {
    let mut signature = [0; 2];
    let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut signature));
    read.is_ok() && signature == [0x1f, 0x8b]
}

/// The regular files of a tar archive, and hard links to them. Offsets are relative to the file that contains
/// `section`.
pub(crate) fn entries<F: Read + Seek>(
    section: Section<F>,
    is_wanted: impl Fn(&Path) -> bool,
) -> io::Result<Vec<Entry>> {
    let Section { start, length, .. } = section;
    let mut archive = tar::Archive::new(section);
    let mut entries: Vec<Entry> = Vec::new();
    let mut positions = Positions::default();
    for entry in archive.entries_with_seek()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        // A hard link may point to a litter file.
        let is_litter = is_litter_path(&name);
        match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous if !is_sparse(&name) => (),
            // Another name for an earlier file.
            tar::EntryType::Link => {
                let target = entry.link_name()?.unwrap_or_default().into_owned();
                match positions.find(&target, &entries) {
                    Some(found) => entries.push(Entry { name, ..found.clone() }),
                    None if is_litter => (),
                    None => return Err(dangling(&name, &target)),
                }
                continue;
            }
            _ if is_litter => continue,
            tar::EntryType::Directory | tar::EntryType::Symlink | tar::EntryType::Fifo => continue,
            _ => {
                let name = name.display();
                return Err(io::Error::other(format!(
                    "{name} is not a regular file: write the archive without tar's --sparse"
                )));
            }
        }
        let (offset, bytes) = (entry.raw_file_position(), entry.size());
        if offset.checked_add(bytes).is_none_or(|end| end > length) {
            return Err(io::Error::other(format!("it ends inside {}", name.display())));
        }
        let content = (bytes <= MAX_CONTENT && is_wanted(&name)).then(|| read_all(&mut entry)).transpose()?;
        entries.push(Entry { name, offset: start + offset, bytes, content });
    }
    entries.retain(|entry| !is_litter_path(&entry.name));
    Ok(entries)
}

/// Entries by name, up to the last lookup. Indexing is lazy: an archive without links builds no index.
#[derive(Default)]
struct Positions {
    by_name: HashMap<PathBuf, usize>,
    indexed: usize,
}

impl Positions {
    /// The last entry of this name. `entries` must extend the slice of the previous call.
    fn find<'a>(&mut self, name: &Path, entries: &'a [Entry]) -> Option<&'a Entry> {
        let new = entries.iter().enumerate().skip(self.indexed);
        self.by_name.extend(new.map(|(position, entry)| (entry.name.clone(), position)));
        self.indexed = entries.len();
        self.by_name.get(name).map(|&position| &entries[position])
    }
}

fn dangling(link: &Path, target: &Path) -> io::Error {
    let (link, target) = (link.display(), target.display());
    io::Error::other(format!(
        "hard link {link}: {target} is not an earlier file; write the archive with tar's --hard-dereference"
    ))
}

/// Whether the name is one that GNU tar gives to sparse files.
fn is_sparse(name: &Path) -> bool {
    name.components().any(|part| part.as_os_str().to_string_lossy().starts_with("GNUSparseFile."))
}

fn read_all(entry: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    entry.take(MAX_CONTENT).read_to_end(&mut content)?;
    Ok(content)
}

/// A range of a file, presented as a file.
pub(crate) struct Section<F> {
    pub(crate) file: F,
    pub(crate) start: u64,
    pub(crate) length: u64,
    /// Current position within the section.
    pub(crate) at: u64,
}

impl<F: Read + Seek> Read for Section<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.at).min(buffer.len() as u64) as usize;
        if left == 0 {
            return Ok(0);
        }
        self.file.seek(SeekFrom::Start(self.start + self.at))?;
        let read = self.file.read(&mut buffer[..left])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<F> Seek for Section<F> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let target = match position {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

/// Sample archives for the tests of this crate.
#[cfg(test)]
pub(crate) mod samples {
    /// Builds a tar file from (name, content) pairs.
    pub(crate) fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }
}

#[cfg(test)]
mod tests;
