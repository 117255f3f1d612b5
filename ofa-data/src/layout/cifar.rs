//! CIFAR-10 and CIFAR-100 from their published binary files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::decode::Image;
use crate::error::{CifarProblem, DataError};
use crate::layout::reader::{Found, Reader, found, in_memory};
use crate::set::ImageSet;
use crate::source::Source;
use crate::source::packed::PackedImages;
use crate::split::{Parts, Splits, held_out_note, hold_out, share};
use crate::view::augment::Framing;

/// CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 32 x 32 colour photographs of 10 or 100 classes, 50,000 for training and
/// 10,000 for testing.
///
/// Read from the directory that the published "binary version" archives unpack to, `cifar-10-batches-bin` or
/// `cifar-100-binary`. A record is its labels, one byte each, followed by the red, green and blue planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cifar {
    /// CIFAR-10: ten classes.
    Ten,
    /// CIFAR-100: a hundred classes (the fine labels).
    Hundred,
}

const SIZE: usize = 32;
const PLANE: usize = SIZE * SIZE;

impl Cifar {
    /// The set whose files are in `dir`; `None` if neither set is there.
    pub fn in_directory(dir: &Path) -> Option<Self> {
        [Self::Ten, Self::Hundred].into_iter().find(|set| dir.join(set.train_files()[0]).is_file())
    }

    /// Reads the files in `dir` to 1 (gray) or 3 (RGB) `channels`. A tenth of the published train set, the same
    /// fraction of every class, is held out by `seed` for validation.
    ///
    /// # Errors
    ///
    /// If a file is missing, unreadable, not a whole number of records, or has a label beyond the classes, or if
    /// `channels` is neither 1 nor 3.
    pub fn load(self, dir: impl AsRef<Path>, channels: usize, seed: u64) -> Result<Splits, DataError> {
        self.load_with(dir.as_ref(), channels, seed, None)
    }

    fn load_with(self, dir: &Path, channels: usize, seed: u64, fraction: Option<f64>) -> Result<Splits, DataError> {
        let (mean, std) = match channels {
            1 => self.gray_moments(),
            3 => self.moments(),
            _ => return Err(DataError::invalid("channels", channels, "1 (gray) or 3 (RGB)")),
        };
        let classes = self.class_names(dir)?;
        let train = self.read(dir, self.train_files(), channels)?;
        let test = self.read(dir, &[self.test_file()], channels)?;
        let (train, validation) = hold_out(&train, share(train.len(), fraction), seed);
        let notes = vec![held_out_note(validation.len(), seed)];
        Ok(Splits { train, validation, test, classes, channels, mean, std, notes })
    }

    fn train_files(self) -> &'static [&'static str] {
        match self {
            Self::Ten => {
                &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"]
            }
            Self::Hundred => &["train.bin"],
        }
    }

    fn test_file(self) -> &'static str {
        match self {
            Self::Ten => "test_batch.bin",
            Self::Hundred => "test.bin",
        }
    }

    fn classes(self) -> usize {
        match self {
            Self::Ten => 10,
            Self::Hundred => 100,
        }
    }

    /// Label bytes before the pixels. The last one is the label; CIFAR-100 has a coarse label before it.
    fn label_bytes(self) -> usize {
        match self {
            Self::Ten => 1,
            Self::Hundred => 2,
        }
    }

    /// Mean and standard deviation of the train set per channel.
    fn moments(self) -> (Vec<f32>, Vec<f32>) {
        match self {
            Self::Ten => (vec![0.4914, 0.4822, 0.4465], vec![0.2470, 0.2435, 0.2616]),
            Self::Hundred => (vec![0.5071, 0.4865, 0.4409], vec![0.2673, 0.2564, 0.2762]),
        }
    }

    /// The same for luma, weighted by 0.299, 0.587, 0.114. The standard deviation assumes perfectly correlated
    /// channels.
    fn gray_moments(self) -> (Vec<f32>, Vec<f32>) {
        let luma =
            |rgb: Vec<f32>| vec![rgb.iter().zip([0.299, 0.587, 0.114]).map(|(value, weight)| value * weight).sum()];
        let (mean, std) = self.moments();
        (luma(mean), luma(std))
    }

    /// Reads the class names from the file next to the images.
    pub(crate) fn class_names(self, dir: &Path) -> Result<Vec<String>, DataError> {
        let path = dir.join(match self {
            Self::Ten => "batches.meta.txt",
            Self::Hundred => "fine_label_names.txt",
        });
        let bytes = read(&path)?;
        let text = String::from_utf8_lossy(&bytes);
        let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(String::from).collect();
        if names.len() != self.classes() {
            let problem = CifarProblem::Names { found: names.len(), expected: self.classes() };
            return Err(DataError::Cifar { path, problem });
        }
        Ok(names)
    }

    fn read(self, dir: &Path, files: &[&str], channels: usize) -> Result<ImageSet, DataError> {
        let (mut pixels, mut labels, mut checksum) = (Vec::new(), Vec::new(), Sha256::new());
        for file in files {
            let path = dir.join(file);
            let bytes = read(&path)?;
            checksum.update(&bytes);
            let (of_file, labels_of_file) =
                self.parse(&bytes, channels).map_err(|problem| DataError::Cifar { path, problem })?;
            pixels.extend(of_file);
            labels.extend(labels_of_file);
        }
        let checksum = hex::encode(checksum.finalize());
        let packed = PackedImages { width: SIZE, height: SIZE, channels, pixels, labels, checksum };
        Ok(ImageSet::new(Source::Packed(packed), Framing::Whole))
    }

    /// Pixels and labels of a file.
    pub(crate) fn parse(self, bytes: &[u8], channels: usize) -> Result<(Vec<u8>, Vec<u32>), CifarProblem> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for (item, (label, planes)) in self.records(bytes)?.enumerate() {
            labels.push(self.label(item, label)?);
            pixels.extend(interleaved(planes).with_channels(channels).pixels);
        }
        Ok((pixels, labels))
    }

    /// Label and colour planes of every record.
    fn records(self, bytes: &[u8]) -> Result<impl Iterator<Item = (u8, &[u8])>, CifarProblem> {
        let record = self.label_bytes() + 3 * PLANE;
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            return Err(CifarProblem::Length { bytes: bytes.len(), record });
        }
        Ok(bytes.chunks_exact(record).map(move |record| {
            let (labels, planes) = record.split_at(self.label_bytes());
            (labels[labels.len() - 1], planes)
        }))
    }

    fn label(self, item: usize, label: u8) -> Result<u32, CifarProblem> {
        let classes = self.classes();
        if usize::from(label) < classes { Ok(label.into()) } else { Err(CifarProblem::Label { item, label, classes }) }
    }
}

/// A directory with the files of a set.
#[derive(Debug)]
struct CifarDirectory {
    dir: PathBuf,
    set: Cifar,
}

pub(super) fn find(dir: &Path) -> Result<Found, DataError> {
    Cifar::in_directory(dir).map_or(Ok(None), |set| found(CifarDirectory { dir: dir.to_owned(), set }))
}

impl Reader for CifarDirectory {
    fn name(&self) -> String {
        format!("CIFAR-{}", self.set.classes())
    }

    fn is_in_memory(&self) -> bool {
        true
    }

    fn parts(&self, _: usize) -> Result<Parts, DataError> {
        Err(in_memory(&self.name()))
    }

    fn load(&self, channels: usize, seed: u64, hold_out: Option<f64>) -> Result<Splits, DataError> {
        self.set.load_with(&self.dir, channels, seed, hold_out)
    }
}

/// Interleaves the three colour planes of an image.
fn interleaved(planes: &[u8]) -> Image {
    let pixels = (0..PLANE).flat_map(|i| [planes[i], planes[PLANE + i], planes[2 * PLANE + i]]).collect();
    Image { width: SIZE, height: SIZE, channels: 3, pixels }
}

fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => DataError::Missing {
            path: path.to_owned(),
            remedy: "it is part of the binary version of CIFAR: unpack cifar-10-binary.tar.gz or cifar-100-binary.tar.gz from \
                     https://www.cs.toronto.edu/~kriz/cifar.html",
        },
        _ => DataError::Read { path: path.to_owned(), source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record with constant red, green and blue planes.
    fn record(labels: &[u8], [red, green, blue]: [u8; 3]) -> Vec<u8> {
        [labels, &[red; PLANE], &[green; PLANE], &[blue; PLANE]].concat()
    }

    fn directory(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(dir.path().join(name), bytes).unwrap());
        dir
    }

    fn names(count: usize) -> Vec<u8> {
        (0..count).map(|i| format!("class {i}\n")).collect::<String>().into_bytes()
    }

    /// CIFAR-10 with 20 train images, 2 per class, and 1 test image.
    fn ten() -> tempfile::TempDir {
        let mut files = vec![("batches.meta.txt", names(10)), ("test_batch.bin", record(&[7], [1, 2, 3]))];
        for (b, name) in Cifar::Ten.train_files().iter().enumerate() {
            let records = (0..4).map(|i| record(&[(4 * b + i) as u8 % 10], [10, 20, 30]));
            files.push((name, records.collect::<Vec<_>>().concat()));
        }
        directory(&files)
    }

    #[test]
    fn planes_become_pixels_and_a_tenth_is_held_out() {
        let dir = ten();
        assert_eq!(Cifar::in_directory(dir.path()), Some(Cifar::Ten));
        let splits = Cifar::Ten.load(dir.path(), 3, 1).unwrap();
        // One image per class is the minimum that can be held out.
        assert_eq!([&splits.train, &splits.validation, &splits.test].map(ImageSet::len), [10, 10, 1]);
        let image = splits.test.get(0).unwrap();
        assert_eq!((image.width, image.height, image.channels, splits.test.label(0)), (32, 32, 3, 7));
        assert!(image.pixels.chunks(3).all(|pixel| pixel == [1, 2, 3]));
        assert_eq!(splits.classes[7], "class 7");

        let gray = Cifar::Ten.load(dir.path(), 1, 1).unwrap();
        assert_eq!((gray.test.get(0).unwrap().pixels.len(), gray.mean.len()), (PLANE, 1));
        assert_ne!(gray.test.fingerprint(), splits.test.fingerprint());
    }

    #[test]
    fn the_fine_label_of_cifar_100_counts() {
        let train = (0..200).map(|i| record(&[3, i % 100], [0, 0, 255])).collect::<Vec<_>>().concat();
        let files =
            [("train.bin", train), ("test.bin", record(&[3, 99], [9, 9, 9])), ("fine_label_names.txt", names(100))];
        let dir = directory(&files);
        assert_eq!(Cifar::in_directory(dir.path()), Some(Cifar::Hundred));
        let splits = Cifar::Hundred.load(dir.path(), 3, 1).unwrap();
        assert_eq!((splits.classes.len(), splits.test.label(0), splits.train.len()), (100, 99, 100));
    }

    #[test]
    fn missing_and_damaged_files_are_named() {
        let dir = ten();
        let message = || Cifar::Ten.load(dir.path(), 3, 1).unwrap_err().to_string();
        let batch = dir.path().join("data_batch_3.bin");
        let bytes = fs::read(&batch).unwrap();
        fs::write(&batch, &bytes[..bytes.len() - 1]).unwrap();
        assert!(
            message().contains("data_batch_3.bin: 12291 bytes are not a whole number of records of 3073"),
            "{}",
            message()
        );
        fs::write(&batch, record(&[10], [0, 0, 0])).unwrap();
        assert!(message().contains("label 10 of record 0 is beyond the 10 classes"), "{}", message());
        fs::remove_file(&batch).unwrap();
        assert!(message().contains("data_batch_3.bin not found: it is part of"), "{}", message());
        assert!(
            message().contains("unpack cifar-10-binary.tar.gz") && message().contains("cs.toronto.edu"),
            "{}",
            message()
        );
        fs::write(dir.path().join("batches.meta.txt"), names(9)).unwrap();
        assert!(message().contains("batches.meta.txt: 9 class names, expected 10"), "{}", message());
        assert_eq!(Cifar::in_directory(&dir.path().join("nothing")), None);
    }
}
