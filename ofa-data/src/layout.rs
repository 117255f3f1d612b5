//! Detects the layout of a directory of labelled images.
//!
//! A layout is one file here: a `find` that recognises it, in [`KNOWN`], and a [`Reader`].

pub(crate) mod cifar;
pub(crate) mod class_directories;
mod class_folder;
pub(crate) mod fashion_mnist;
#[cfg(feature = "parquet")]
pub(crate) mod hugging_face;
pub(crate) mod idx;
pub(crate) mod idx_set;
pub(crate) mod image_folder;
pub(crate) mod imagenet;
mod numbered_classes;
mod parquet_files;
mod part_name;
pub(crate) mod prepare_config;
pub(crate) mod prepared;
mod reader;
mod survey;
pub(crate) mod tiny_imagenet;
#[cfg(not(feature = "parquet"))]
mod unread_parquet;
pub(crate) mod web_dataset;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use class_directories::ClassDirectories;
#[cfg(feature = "parquet")]
use hugging_face::find as find_parquet;
use prepare_config::PrepareConfig;
pub(crate) use reader::enough;
use reader::{Found, Reader};
#[cfg(not(feature = "parquet"))]
use unread_parquet::find as find_parquet;

use crate::error::DataError;
use crate::source::entries::visible_directories;
use crate::split::{Parts, Splits};

/// The layout of a directory of labelled images, and where it lies.
#[derive(Debug, Clone)]
pub struct Layout {
    reader: Arc<dyn Reader>,
    hold_out: Option<f64>,
    /// What to say about the way it was found.
    notes: Vec<String>,
}

/// Directories that may lie around a set, each alone in the one above it.
const DEEPEST: usize = 3;

/// Recognises a layout in a directory.
type Find = fn(&Path) -> Result<Found, DataError>;

/// All layouts, in the order in which they are looked for: the most particular ones come first.
const KNOWN: &[Find] = &[
    idx_set::find,
    cifar::find,
    prepared::find,
    tiny_imagenet::find,
    web_dataset::find,
    find_parquet,
    imagenet::find,
    image_folder::find,
    web_dataset::find_without_parts,
    class_folder::find,
];

impl Layout {
    /// Detects the layout of `dir` from the files in it, or of its only subdirectory, or of the only one in that.
    ///
    /// # Errors
    ///
    /// [`DataError::Missing`] if `dir` does not exist, [`DataError::UnknownLayout`] if no layout is recognised. Also if
    /// `dir` is a file, cannot be listed or holds only parts of ImageNet.
    pub fn detect(dir: &Path) -> Result<Self, DataError> {
        if dir.is_file() {
            return Err(DataError::NotADirectory { path: dir.to_owned() });
        }
        if !dir.is_dir() {
            return Err(DataError::Missing { path: dir.to_owned(), remedy: "pass a directory of labelled images" });
        }
        if let Some(reader) = known(dir)? {
            return Ok(Self { reader, hold_out: None, notes: Vec::new() });
        }
        let mut below = dir.to_owned();
        for _ in 0..DEEPEST {
            let [(_, only)] = &mut visible_directories(&below)?[..] else { break };
            below = std::mem::take(only);
            if let Some(reader) = known(&below)? {
                let notes = vec![format!("the images lie in {}", below.display())];
                return Ok(Self { reader, hold_out: None, notes });
            }
        }
        Err(survey::unknown(dir))
    }

    /// Sets the fraction of the train images to hold out for validation and for testing, where the set lacks them. The
    /// default (`None`) is a tenth, at most about [`Splits::MAX_HELD_OUT`] images.
    ///
    /// # Errors
    ///
    /// [`DataError::Invalid`] for a fraction that leaves nothing.
    pub fn with_hold_out(self, hold_out: Option<f64>) -> Result<Self, DataError> {
        hold_out.map_or(Ok(()), Self::check_hold_out)?;
        Ok(Self { hold_out, ..self })
    }

    /// Checks a fraction for [`with_hold_out`](Self::with_hold_out) before there is a layout.
    ///
    /// # Errors
    ///
    /// [`DataError::Invalid`] for a fraction that leaves nothing.
    pub fn check_hold_out(fraction: f64) -> Result<(), DataError> {
        match 0.0 < fraction && fraction < 0.5 {
            true => Ok(()),
            false => Err(DataError::invalid("hold_out", fraction, "a fraction between 0 and 0.5")),
        }
    }

    /// Channels of the images as published: 1 (gray) or 3 (RGB); 3 where images may have either.
    pub fn channels(&self) -> usize {
        self.reader.channels()
    }

    /// How [`prepare_images`](crate::prepare_images) re-encoded the images; `None` if they are not prepared.
    ///
    /// # Errors
    ///
    /// If the manifest of the preparation cannot be read.
    pub fn preparation(&self) -> Result<Option<PrepareConfig>, DataError> {
        self.reader.preparation()
    }

    /// Reads or lists the images, with 1 (gray) or 3 (RGB) `channels`. Where the layout has no validation split, `seed`
    /// chooses the validation images, and test images likewise.
    ///
    /// # Errors
    ///
    /// As the layouts' own `load`; [`DataError::TooFewClasses`] for fewer than two.
    pub fn load(&self, channels: usize, seed: u64) -> Result<Splits, DataError> {
        let mut splits = self.reader.load(channels, seed, self.hold_out)?;
        enough(&splits.classes)?;
        splits.notes.splice(0..0, self.notes.iter().cloned());
        Ok(splits)
    }

    /// The splits as published.
    ///
    /// # Errors
    ///
    /// As the layouts' own `load`; [`DataError::Invalid`] for a layout whose images are kept in memory,
    /// [`DataError::TooFewClasses`] for fewer than two.
    pub(crate) fn parts(&self, channels: usize) -> Result<Parts, DataError> {
        let mut parts = self.reader.parts(channels)?;
        enough(&parts.classes)?;
        parts.notes.splice(0..0, self.notes.iter().cloned());
        Ok(parts)
    }

    /// Whether its images are plain pixels that are kept in memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.reader.is_in_memory()
    }

    /// The class directories of a layout that consists of them.
    pub(crate) fn class_directories(&self) -> Option<&ClassDirectories> {
        self.reader.class_directories()
    }
}

fn known(dir: &Path) -> Result<Found, DataError> {
    for find in KNOWN {
        if let Some(reader) = find(dir)? {
            return Ok(Some(reader));
        }
    }
    Ok(None)
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reader.name())
    }
}

#[cfg(test)]
mod tests;
