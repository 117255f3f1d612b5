//! Reader of IDX files, gzipped or not: the format of MNIST and its successors.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use crate::error::{DataError, IdxProblem};

const IMAGES_MAGIC: u32 = 0x803;
const LABELS_MAGIC: u32 = 0x801;

/// Reads a file and verifies its SHA-256.
pub(crate) fn read_verified(path: &Path, sha256: &str) -> Result<Vec<u8>, DataError> {
    let bytes = fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => DataError::Missing {
            path: path.to_owned(),
            remedy: "the four .gz files of Fashion-MNIST are part of the source tree (ofa-data/fashion-mnist); \
                     restore them or pass the directory that holds them",
        },
        _ => DataError::Read { path: path.to_owned(), source },
    })?;
    let found = hex::encode(Sha256::digest(&bytes));
    if found != sha256 {
        return Err(DataError::Checksum { path: path.to_owned(), expected: sha256.to_owned(), found });
    }
    Ok(bytes)
}

/// Reads an image file, `[count, rows, columns]`, which must have this `shape`.
pub(crate) fn images(bytes: &[u8], shape: [usize; 3]) -> Result<Vec<u8>, IdxProblem> {
    let names = ["number of images", "height of the images", "width of the images"];
    parse(bytes, IMAGES_MAGIC, std::array::from_fn::<_, 3, _>(|i| (names[i], shape[i])))
}

/// Reads a label file, `[count]`; all labels must be below `classes`.
pub(crate) fn labels(bytes: &[u8], count: usize, classes: usize) -> Result<Vec<u32>, IdxProblem> {
    let data = parse(bytes, LABELS_MAGIC, [("number of labels", count)])?;
    match data.iter().position(|&label| usize::from(label) >= classes) {
        Some(item) => Err(IdxProblem::Label { item, label: data[item], classes }),
        None => Ok(data.into_iter().map(u32::from).collect()),
    }
}

/// Reads an image file of any shape: `[count, rows, columns]` and the pixels.
pub(crate) fn any_images(bytes: &[u8]) -> Result<([usize; 3], Vec<u8>), IdxProblem> {
    let shape = header::<3>(bytes, IMAGES_MAGIC)?;
    images(bytes, shape).map(|pixels| (shape, pixels))
}

/// Reads a label file of any length.
pub(crate) fn any_labels(bytes: &[u8]) -> Result<Vec<u32>, IdxProblem> {
    let [count] = header::<1>(bytes, LABELS_MAGIC)?;
    labels(bytes, count, usize::from(u8::MAX) + 1)
}

/// The bytes, unpacked if they are gzipped.
fn unpacked<'a>(bytes: &'a [u8]) -> Box<dyn Read + 'a> {
    if bytes.starts_with(&[0x1f, 0x8b]) { Box::new(GzDecoder::new(bytes)) } else { Box::new(bytes) }
}

/// The dimensions in the header.
fn header<const RANK: usize>(bytes: &[u8], magic: u32) -> Result<[usize; RANK], IdxProblem> {
    let mut stream = unpacked(bytes);
    let mut next_u32 = || {
        let mut word = [0; 4];
        stream.read_exact(&mut word).map(|()| u32::from_be_bytes(word)).map_err(unreadable)
    };
    let found = next_u32()?;
    if found != magic {
        return Err(IdxProblem::Magic { expected: magic, found });
    }
    let mut shape = [0; RANK];
    for size in &mut shape {
        *size = next_u32()? as usize;
    }
    Ok(shape)
}

fn unreadable(error: io::Error) -> IdxProblem {
    IdxProblem::Gzip(error.to_string())
}

/// Reads the data after the header: a magic number, then one big-endian u32 per dimension, each checked.
fn parse<const RANK: usize>(
    bytes: &[u8],
    magic: u32,
    shape: [(&'static str, usize); RANK],
) -> Result<Vec<u8>, IdxProblem> {
    let found = header::<RANK>(bytes, magic)?;
    // Check the shape before reading data: a forged header must not control allocation.
    for ((what, expected), found) in shape.into_iter().zip(found) {
        if found != expected {
            return Err(IdxProblem::Shape { what, expected, found });
        }
    }
    let announced = shape.iter().map(|&(_, size)| size as u64).fold(1, u64::saturating_mul);
    let (mut data, mut stream) = (Vec::new(), unpacked(bytes));
    stream.read_exact(&mut vec![0; 4 + 4 * RANK]).map_err(unreadable)?;
    // One byte more than announced detects excess data. Without excess, the read reaches the gzip trailer and verifies
    // its checksum.
    stream.take(announced.saturating_add(1)).read_to_end(&mut data).map_err(unreadable)?;
    let found = data.len() as u64;
    if found == announced { Ok(data) } else { Err(IdxProblem::Length { announced, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(words: &[u32], data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for word in words {
            encoder.write_all(&word.to_be_bytes()).unwrap();
        }
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn whole_files_are_read() {
        let pixels = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(images(&gzip(&[0x803, 2, 2, 3], &pixels), [2, 2, 3]).unwrap(), pixels);
        assert_eq!(labels(&gzip(&[0x801, 3], &[0, 2, 1]), 3, 3).unwrap(), [0, 2, 1]);
    }

    #[test]
    fn d17_files_of_any_shape_are_read_gzipped_or_not() {
        let raw = [[0, 0, 8, 3], [0, 0, 0, 2], [0, 0, 0, 1], [0, 0, 0, 2]].concat();
        let pixels = [9, 8, 7, 6];
        assert_eq!(any_images(&[&raw[..], &pixels].concat()).unwrap(), ([2, 1, 2], pixels.to_vec()));
        assert_eq!(any_images(&gzip(&[0x803, 2, 1, 2], &pixels)).unwrap(), ([2, 1, 2], pixels.to_vec()));
        assert_eq!(any_labels(&[0, 0, 8, 1, 0, 0, 0, 3, 0, 255, 7]).unwrap(), [0, 255, 7]);
        let short = any_images(&[&raw[..], &pixels[..3]].concat()).unwrap_err();
        assert_eq!(short, IdxProblem::Length { announced: 4, found: 3 });
        assert!(matches!(any_images(&raw[..7]), Err(IdxProblem::Gzip(_))));
        assert!(any_images(&gzip(&[0x803, u32::MAX, u32::MAX, u32::MAX], &pixels)).is_err());
    }

    #[test]
    fn another_magic_number_is_named() {
        let problem = images(&gzip(&[0x801, 2, 2, 3], &[0; 12]), [2, 2, 3]).unwrap_err();
        assert_eq!(problem, IdxProblem::Magic { expected: 0x803, found: 0x801 });
        assert_eq!(
            problem.to_string(),
            "it holds unsigned bytes in 1 dimension, expected unsigned bytes in 3 dimensions"
        );
    }

    #[test]
    fn more_or_fewer_bytes_than_announced_are_errors() {
        for (bytes, found) in [(11, 11), (13, 13), (100, 13), (0, 0)] {
            let problem = images(&gzip(&[0x803, 2, 2, 3], &vec![0; bytes]), [2, 2, 3]).unwrap_err();
            assert_eq!(problem, IdxProblem::Length { announced: 12, found });
        }
        // an absurd header is refused before anything follows from it
        let problem = images(&gzip(&[0x803, u32::MAX, u32::MAX, 9], &[0; 12]), [2, 2, 3]).unwrap_err();
        let found = u32::MAX as usize;
        assert_eq!(problem, IdxProblem::Shape { what: "number of images", expected: 2, found });
    }

    #[test]
    fn another_shape_and_foreign_labels_are_errors() {
        let file = gzip(&[0x803, 2, 2, 3], &[0; 12]);
        let of_width = IdxProblem::Shape { what: "width of the images", expected: 6, found: 3 };
        assert_eq!(images(&file, [2, 2, 6]).unwrap_err(), of_width);
        let of_count = IdxProblem::Shape { what: "number of images", expected: 1, found: 2 };
        assert_eq!(images(&file, [1, 2, 3]).unwrap_err(), of_count);
        let foreign = labels(&gzip(&[0x801, 3], &[0, 3, 1]), 3, 3).unwrap_err();
        assert_eq!(foreign, IdxProblem::Label { item: 1, label: 3, classes: 3 });
    }

    #[test]
    fn a_broken_gzip_stream_is_an_error() {
        let whole = gzip(&[0x803, 2, 2, 3], &[7; 12]);
        for length in 0..whole.len() {
            let problem = images(&whole[..length], [2, 2, 3]).unwrap_err();
            assert!(matches!(problem, IdxProblem::Gzip(_)), "{length} bytes: {problem:?}");
        }
        let mut flipped = whole.clone();
        let checksum = whole.len() - 6;
        flipped[checksum] ^= 1;
        assert!(matches!(images(&flipped, [2, 2, 3]), Err(IdxProblem::Gzip(_))));
    }

    #[test]
    fn files_are_verified_by_checksum() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.gz");
        let absent = read_verified(&path, "").unwrap_err();
        assert!(matches!(absent, DataError::Missing { .. }) && absent.to_string().contains("labels.gz not found"));
        fs::write(&path, b"abc").unwrap();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(read_verified(&path, sha256).unwrap(), b"abc");
        fs::write(&path, b"abd").unwrap();
        let damaged = read_verified(&path, sha256).unwrap_err().to_string();
        assert!(damaged.contains("labels.gz") && damaged.contains(sha256) && damaged.contains("a52d159f"), "{damaged}");
    }
}
