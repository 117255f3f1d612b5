//! The ILSVRC2012 development kit, unpacked or as the distributed archive.

pub(crate) mod ground_truth;
mod mat;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use flate2::read::GzDecoder;

use crate::error::DataError;
use crate::text;

const META: &str = "data/meta.mat";
const GROUND_TRUTH: &str = "data/ILSVRC2012_validation_ground_truth.txt";
/// Limit on the bytes read per file; no kit comes near it.
const MAX_BYTES: u64 = 64 << 20;
/// Limit on the unpacked archive: a forged one must not fill memory with a single name.
const MAX_UNPACKED: u64 = 256 << 20;

/// WordNet ids of the validation images, by file name without extension (`ILSVRC2012_val_00000001` and so on).
pub(super) fn read(path: &Path) -> Result<HashMap<String, String>, DataError> {
    let unreadable = |source| DataError::Read { path: path.to_owned(), source };
    let (meta, truth) = if path.is_dir() { from_directory(path)? } else { from_archive(path).map_err(unreadable)? };
    let find = |content: Option<Vec<u8>>, name: &str| {
        let remedy = "the development kit is incomplete: download ILSVRC2012_devkit_t12.tar.gz again";
        content.ok_or_else(|| DataError::Missing { path: path.join(name), remedy })
    };
    let (meta, truth) = (find(meta, META)?, find(truth, GROUND_TRUTH)?);
    let wnids = ground_truth::validation_wnids(&meta, &text::decoded(&truth))
        .map_err(|problem| DataError::Devkit { path: path.to_owned(), problem })?;
    Ok(wnids.into_iter().zip(1..).map(|(wnid, image)| (format!("ILSVRC2012_val_{image:08}"), wnid)).collect())
}

/// Contents of `META` and `GROUND_TRUTH`; `None` for a missing file.
type Files = (Option<Vec<u8>>, Option<Vec<u8>>);

fn from_directory(path: &Path) -> Result<Files, DataError> {
    let read = |name: &str| {
        let path = path.join(name);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() <= MAX_BYTES => {
                fs::read(&path).map(Some).map_err(|source| DataError::Read { path, source })
            }
            _ => Ok(None),
        }
    };
    Ok((read(META)?, read(GROUND_TRUTH)?))
}

fn from_archive(path: &Path) -> io::Result<Files> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    unpacked(GzDecoder::new(File::open(path)?).take(MAX_UNPACKED))
}

fn unpacked(kit: impl Read) -> io::Result<Files> {
    let (mut meta, mut truth) = (None, None);
    let mut archive = tar::Archive::new(kit);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let slot = match &name {
            name if name.ends_with(META) => &mut meta,
            name if name.ends_with(GROUND_TRUTH) => &mut truth,
            _ => continue,
        };
        let mut content = Vec::new();
        entry.by_ref().take(MAX_BYTES).read_to_end(&mut content)?;
        *slot = Some(content);
        if meta.is_some() && truth.is_some() {
            break;
        }
    }
    Ok((meta, truth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_end_is_an_error_where_the_kit_must_have_ended() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(1 << 32);
        header.set_cksum();
        let forged = header.as_bytes().as_slice().chain(io::repeat(b'x'));
        assert!(unpacked(forged.take(1 << 20)).is_err());
    }
}
