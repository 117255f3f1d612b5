//! Data sets of the Hugging Face Hub: parquet shards of images and labels.

use std::path::{Path, PathBuf};

use crate::error::ParquetProblem;
use crate::error::{DataError, ImageProblem};
use crate::layout::class_directories::train_has_class_directories;
use crate::layout::numbered_classes;
use crate::layout::parquet_files::parquet_files;
use crate::layout::reader::{Found, Reader, found};
use crate::set::ImageSet;
use crate::source::parquet::ParquetShards;
use crate::source::{ImageSource, StoredImage};
use crate::split::{Parts, Splits};

/// Parquet files as on the Hugging Face Hub, in the directory itself or in `data`: `train-00000-of-00294.parquet` and
/// so on, with columns `image` (or `img`) and `label` (or `labels`, `fine_label`). Images are read in place.
///
/// `validation` and `test` are used as in an [`ImageFolder`](crate::ImageFolder). A `test` split with withheld labels
/// is ignored.
#[derive(Debug, Clone, Copy)]
pub struct HuggingFace;

impl HuggingFace {
    /// Lists the images, to be decoded to 1 (gray) or 3 (RGB) `channels`.
    ///
    /// # Errors
    /// If a split is missing, a file is damaged or lacks a column, or a label is not a class.
    pub fn load(dir: impl AsRef<Path>, channels: usize, seed: u64) -> Result<Splits, DataError> {
        Self::parts(dir.as_ref(), channels)?.split(channels, seed, None)
    }

    pub(crate) fn parts(dir: &Path, channels: usize) -> Result<Parts, DataError> {
        let train = open(dir, "train")?.ok_or_else(|| missing(dir, "train"))?;
        let classes = class_names(&train);
        let set = |shards: ParquetShards| -> Result<ImageSet, DataError> {
            let beyond = (0..shards.len()).find(|&i| shards.label(i) as usize >= classes.len());
            if let Some(i) = beyond {
                let problem = format!("its label {} is beyond the {} classes of train", shards.label(i), classes.len());
                return Err(DataError::Labels { path: shards.place(i), problem });
            }
            Ok(ImageSet::read(shards, channels))
        };
        let validation = open(dir, "val")?.map(&set).transpose()?;
        let test = match open(dir, "test") {
            Err(DataError::Parquet { problem: ParquetProblem::Label { label: Some(-1), .. }, .. }) => None,
            opened => opened?.map(&set).transpose()?,
        };
        let are_named = train.class_names().is_some();
        let train = set(train)?;
        let notes = numbered_classes::gaps(&train, classes.len(), are_named)?.into_iter().collect();
        Ok(Parts { train, val: validation, test, classes, notes })
    }
}

/// A directory with parquet files.
#[derive(Debug)]
struct HuggingFaceDirectory(PathBuf);

pub(super) fn find(dir: &Path) -> Result<Found, DataError> {
    // Class directories take precedence: the archives they were unpacked from may lie next to them.
    let is_here = !parquet_files(dir, "train")?.is_empty() && !train_has_class_directories(dir)?;
    if is_here { found(HuggingFaceDirectory(dir.to_owned())) } else { Ok(None) }
}

impl Reader for HuggingFaceDirectory {
    fn name(&self) -> String {
        "parquet shards".into()
    }

    fn parts(&self, channels: usize) -> Result<Parts, DataError> {
        HuggingFace::parts(&self.0, channels)
    }
}

fn class_names(train: &ParquetShards) -> Vec<String> {
    let numbers = || {
        let classes = (0..train.len()).map(|i| train.label(i) as usize + 1).max().unwrap_or(0);
        numbered_classes::names(classes)
    };
    train.class_names().map_or_else(numbers, <[String]>::to_vec)
}

fn open(dir: &Path, part: &str) -> Result<Option<ParquetShards>, DataError> {
    let shards = parquet_files(dir, part)?;
    if shards.is_empty() {
        return Ok(None);
    }
    ParquetShards::open(shards).map(Some).map_err(|(path, problem)| DataError::Parquet { path, problem })
}

fn missing(dir: &Path, part: &str) -> DataError {
    let remedy = "a Hugging Face data set needs parquet files of this name in the directory or in its `data`";
    DataError::Missing { path: dir.join(format!("{part}-*.parquet")), remedy }
}

impl ImageSource for ParquetShards {
    fn len(&self) -> usize {
        self.len()
    }

    fn label(&self, i: usize) -> u32 {
        self.label(i)
    }

    fn path(&self, i: usize) -> PathBuf {
        self.place(i)
    }

    fn read(&self, i: usize) -> Result<StoredImage, ImageProblem> {
        self.read(i).map(StoredImage::Encoded).map_err(ImageProblem::Unreadable)
    }

    fn identity(&self, i: usize) -> Vec<u8> {
        (i as u64).to_le_bytes().to_vec()
    }

    fn source_identity(&self) -> Vec<u8> {
        // File lengths stand in for image lengths, which are not known without reading.
        self.shards().flat_map(|(_, bytes)| bytes.to_le_bytes()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const HUB: &[u8] = include_bytes!("../../fixtures/parquet/hub.parquet");

    #[test]
    fn parts_are_the_files_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        let write = |name: &str| fs::write(dir.path().join("data").join(name), HUB).unwrap();
        write("train-00001-of-00002.parquet");
        write("train-00000-of-00002.parquet");
        let message = || HuggingFace::parts(dir.path(), 3).unwrap_err().to_string();
        let parts = HuggingFace::parts(dir.path(), 3).unwrap();
        assert!(parts.val.is_none() && parts.test.is_none());
        write("test-00000-of-00001.parquet");
        let parts = HuggingFace::parts(dir.path(), 3).unwrap();
        assert_eq!((parts.train.len(), parts.val.is_none()), (2 * parts.test.unwrap().len(), true));
        write("validation-00000-of-00001.parquet");
        let parts = HuggingFace::parts(dir.path(), 3).unwrap();
        assert!(parts.test.is_some());
        assert!(parts.train.path(0).ends_with("train-00000-of-00002.parquet/row 0"), "{:?}", parts.train.path(0));
        fs::write(dir.path().join("data/test-00000-of-00001.parquet"), b"PAR1").unwrap();
        assert!(message().contains("test-00000-of-00001.parquet: damaged"), "{}", message());
    }
}
