//! Sets written by `prepare_images`: tar shards and an index of them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use atomic_write_file::AtomicWriteFile;
use serde::{Deserialize, Serialize};

use crate::broken::BrokenImages;
use crate::error::DataError;
use crate::layout::prepare_config::PrepareConfig;
use crate::layout::reader::{Found, Reader, found};
use crate::layout::web_dataset::samples;
use crate::set::ImageSet;
use crate::source::archive::{Archive, ArchiveImages, ArchiveMember};
use crate::split::Parts;

/// Writes a file atomically: it is complete or absent.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), DataError> {
    let write = || -> io::Result<()> {
        let mut file = AtomicWriteFile::open(path)?;
        file.write_all(content)?;
        file.commit()
    };
    write().map_err(|source| DataError::Write { path: path.to_owned(), source })
}

/// The manifest: how a set was prepared.
pub(crate) const MANIFEST: &str = "preparation.json";

/// How a set was prepared, and from what. Stored as `preparation.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparedSet {
    /// Settings of the re-encoding.
    pub config: PrepareConfig,
    /// Policy for broken images.
    pub broken: BrokenImages,
    /// Layout of the source images.
    pub layout: String,
    /// Fingerprints of the source sets, by split.
    pub fingerprints: BTreeMap<String, String>,
    /// Class names; a label is an index into this list.
    pub classes: Vec<String>,
    /// Whether images were turned as their EXIF data says; see
    /// [`DecodeConfig::apply_orientation`](crate::DecodeConfig::apply_orientation).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub apply_orientation: bool,
    /// Whether all shards are written.
    pub is_complete: bool,
}

/// A row of an index.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    /// File name of the shard.
    shard: String,
    /// File name of the image within the shard.
    image: String,
    label: u32,
    /// Offset of the image's first byte in the shard.
    offset: u64,
    bytes: u64,
}

impl PreparedSet {
    /// Whether `dir` holds a prepared set, finished or not.
    pub(crate) fn is_in(dir: &Path) -> bool {
        dir.join(MANIFEST).is_file()
    }

    /// Reads the manifest of the set in `dir`.
    ///
    /// # Errors
    /// If `preparation.json` cannot be read or parsed.
    pub fn read(dir: &Path) -> Result<Self, DataError> {
        let path = dir.join(MANIFEST);
        let text = fs::read_to_string(&path).map_err(|source| DataError::Read { path: path.clone(), source })?;
        serde_json::from_str(&text).map_err(|error| DataError::Labels { path, problem: error.to_string() })
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("text and numbers")
    }

    pub(crate) fn parts(dir: &Path, channels: usize) -> Result<Parts, DataError> {
        let set = Self::read(dir)?;
        if !set.is_complete {
            return Err(DataError::UnfinishedPreparation { path: dir.to_owned() });
        }
        let part = |part: &str| part_of(dir, part, set.classes.len(), channels);
        let optional = |name: &str| set.fingerprints.contains_key(name).then(|| part(name)).transpose();
        let (train, val, test) = (part("train")?, optional("val")?, optional("test")?);
        Ok(Parts { train, val, test, classes: set.classes, notes: Vec::new() })
    }
}

/// A directory with a manifest.
#[derive(Debug)]
struct PreparedDirectory(PathBuf);

pub(super) fn find(dir: &Path) -> Result<Found, DataError> {
    if PreparedSet::is_in(dir) { found(PreparedDirectory(dir.to_owned())) } else { Ok(None) }
}

impl Reader for PreparedDirectory {
    fn name(&self) -> String {
        "prepared images".into()
    }

    fn parts(&self, channels: usize) -> Result<Parts, DataError> {
        PreparedSet::parts(&self.0, channels)
    }

    fn preparation(&self) -> Result<Option<PrepareConfig>, DataError> {
        Ok(Some(PreparedSet::read(&self.0)?.config))
    }
}

/// File name of the index of a split.
pub(crate) fn index_file(part: &str) -> String {
    format!("{part}.csv")
}

fn part_of(dir: &Path, part: &str, classes: usize, channels: usize) -> Result<ImageSet, DataError> {
    let path = dir.join(index_file(part));
    let problem = |problem: String| DataError::Labels { path: path.clone(), problem };
    let mut reader = csv::Reader::from_path(&path).map_err(|error| problem(error.to_string()))?;
    let mut images = ArchiveImages::default();
    let mut numbers: HashMap<String, u32> = HashMap::new();
    for line in reader.deserialize() {
        let Line { shard, image, label, offset, bytes } =
            line.map_err(|error: csv::Error| problem(error.to_string()))?;
        let number = match numbers.get(&shard) {
            Some(&number) => number,
            None => {
                images.archives.push(Archive::at(&dir.join(&shard))?);
                numbers.insert(shard.clone(), images.archives.len() as u32 - 1);
                images.archives.len() as u32 - 1
            }
        };
        let end = images.archives[number as usize].bytes;
        if label as usize >= classes || offset.checked_add(bytes).is_none_or(|last| last > end) {
            return Err(problem(format!("{image} in {shard} has an invalid label or offset: prepare the set again")));
        }
        images.members.push(ArchiveMember { name: PathBuf::from(image).into(), archive: number, label, offset, bytes });
    }
    if images.members.is_empty() {
        return Err(problem("it lists no images".into()));
    }
    images.members.shrink_to_fit();
    Ok(ImageSet::read(images, channels))
}

/// Writes the index of `shards` and returns the number of images.
pub(crate) fn write_index(path: &Path, shards: &[PathBuf]) -> Result<usize, DataError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let text = |name: &OsStr| name.to_string_lossy().into_owned();
    let mut images = 0;
    for shard in shards {
        for member in samples(&Archive::at(shard)?, 0)?.members {
            let ArchiveMember { name, label, offset, bytes, .. } = member;
            let shard = text(shard.file_name().unwrap_or_default());
            let line = Line { shard, image: text(name.as_os_str()), label, offset, bytes };
            writer.serialize(line).expect("writing to memory");
            images += 1;
        }
    }
    write_whole(path, &writer.into_inner().expect("writing to memory"))?;
    Ok(images)
}
