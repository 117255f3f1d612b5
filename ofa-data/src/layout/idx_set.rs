//! Sets of IDX files under MNIST's names, or with a prefix before them as EMNIST's have: MNIST, Fashion-MNIST, KMNIST,
//! EMNIST and sets of one's own.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{DataError, IdxProblem};
use crate::layout::fashion_mnist::FashionMnist;
use crate::layout::reader::{Found, Reader, found, in_memory};
use crate::layout::{idx, numbered_classes};
use crate::set::ImageSet;
use crate::source::Source;
use crate::source::entries::visible_entries;
use crate::source::packed::PackedImages;
use crate::split::{Parts, Splits, held_out_note, hold_out, share};
use crate::view::augment::Framing;

/// Fashion-MNIST as published.
#[derive(Debug)]
struct Published(PathBuf);

/// Any other set: gray images of one size, and labels from 0.
#[derive(Debug)]
struct IdxSet {
    train: Pair,
    test: Pair,
}

/// Image file and label file of a part.
#[derive(Debug)]
struct Pair {
    images: PathBuf,
    labels: PathBuf,
}

pub(super) fn find(dir: &Path) -> Result<Found, DataError> {
    if FashionMnist::is_in(dir) {
        return found(Published(dir.to_owned()));
    }
    let prefix = match &prefixes(dir)?[..] {
        [] => return Ok(None),
        [prefix] => prefix.clone(),
        [first, second, ..] => {
            let names = format!("{first}train-images and {second}train-images");
            return Err(DataError::AmbiguousParts { directory: dir.to_owned(), part: "train", names });
        }
    };
    let pair =
        |parts: &[&str]| Pair::find(dir, &parts.iter().map(|part| format!("{prefix}{part}")).collect::<Vec<_>>());
    found(IdxSet { train: pair(&["train"])?, test: pair(&["t10k", "test"])? })
}

/// What stands before `train-images` in the names of files, sorted: nothing in MNIST's, `emnist-letters-` and so on in
/// EMNIST's.
fn prefixes(dir: &Path) -> Result<Vec<String>, DataError> {
    let mut prefixes = Vec::new();
    for (name, path) in visible_entries(dir)? {
        let name = name.to_string_lossy();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let prefix =
            ["train-images-idx3-ubyte", "train-images.idx3-ubyte"].iter().find_map(|end| name.strip_suffix(end));
        if let Some(prefix) = prefix.filter(|_| path.is_file()) {
            prefixes.push(prefix.to_owned());
        }
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    Ok(prefixes)
}

impl Pair {
    /// The files of a part, under the first of `names` that exists.
    fn find(dir: &Path, names: &[String]) -> Result<Self, DataError> {
        let existing = |kind: &str, rank: usize| {
            names.iter().find_map(|name| file(dir, name, kind)).ok_or_else(|| DataError::Missing {
                path: dir.join(format!("{}-{kind}-idx{rank}-ubyte.gz", names[0])),
                remedy: "an IDX set needs train-images, train-labels, t10k-images and t10k-labels",
            })
        };
        Ok(Self { images: existing("images", 3)?, labels: existing("labels", 1)? })
    }

    fn read(&self) -> Result<ImageSet, DataError> {
        let ((shape, pixels), of_images) = read(&self.images, idx::any_images)?;
        let (labels, of_labels) = read(&self.labels, idx::any_labels)?;
        let [count, height, width] = shape;
        if count == 0 || height == 0 || width == 0 || labels.len() != count {
            let problem = match labels.len() == count {
                true => IdxProblem::Shape { what: "number of pixels", expected: 1, found: 0 },
                false => IdxProblem::Shape { what: "number of labels", expected: count, found: labels.len() },
            };
            return Err(DataError::Idx { path: self.labels.clone(), problem });
        }
        let checksum = format!("{of_images} {of_labels}");
        let packed = PackedImages { width, height, channels: 1, pixels, labels, checksum };
        Ok(ImageSet::new(Source::Packed(packed), Framing::Whole))
    }
}

/// The file of a part under one of its names: with `-idx3-ubyte` or `.idx3-ubyte`, gzipped or not.
fn file(dir: &Path, part: &str, kind: &str) -> Option<PathBuf> {
    let rank = if kind == "images" { 3 } else { 1 };
    let names = ["-", "."].map(|dash| format!("{part}-{kind}{dash}idx{rank}-ubyte"));
    let paths = names.iter().flat_map(|name| [dir.join(format!("{name}.gz")), dir.join(name)]);
    paths.into_iter().find(|path| path.is_file())
}

/// The content of a file, and its SHA-256.
fn read<T>(path: &Path, parse: impl Fn(&[u8]) -> Result<T, IdxProblem>) -> Result<(T, String), DataError> {
    let bytes = fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let content = parse(&bytes).map_err(|problem| DataError::Idx { path: path.to_owned(), problem })?;
    Ok((content, hex::encode(Sha256::digest(&bytes))))
}

/// Mean and standard deviation of all pixels, scaled to 0..=1; a set of one colour keeps its scale.
fn moments(set: &ImageSet) -> Result<(f32, f32), DataError> {
    let mut histogram = [0u64; 256];
    for i in 0..set.len() {
        set.get(i)?.pixels.iter().for_each(|&value| histogram[usize::from(value)] += 1);
    }
    let pixels: u64 = histogram.iter().sum();
    let moment = |power: i32| -> f64 {
        let of_value = |value: usize| histogram[value] as f64 * (value as f64 / 255.0).powi(power);
        (0..256).map(of_value).sum::<f64>() / pixels as f64
    };
    let variance = moment(2) - moment(1).powi(2);
    Ok((moment(1) as f32, if variance > 1e-12 { variance.sqrt() as f32 } else { 1.0 }))
}

fn gray(channels: usize, name: &str) -> Result<(), DataError> {
    match channels {
        1 => Ok(()),
        _ => Err(DataError::invalid("channels", channels, format!("1: {name} is gray"))),
    }
}

impl Reader for IdxSet {
    fn name(&self) -> String {
        "IDX files".into()
    }

    fn channels(&self) -> usize {
        1
    }

    fn is_in_memory(&self) -> bool {
        true
    }

    fn parts(&self, _: usize) -> Result<Parts, DataError> {
        Err(in_memory(&self.name()))
    }

    fn load(&self, channels: usize, seed: u64, fraction: Option<f64>) -> Result<Splits, DataError> {
        gray(channels, "an IDX set")?;
        let (train, test) = rayon::join(|| self.train.read(), || self.test.read());
        let (train, test) = (train?, test?);
        let count = numbered_classes::count(&train);
        if let Some(i) = (0..test.len()).find(|&i| test.label(i) >= count) {
            let problem = IdxProblem::Label { item: i, label: test.label(i) as u8, classes: count };
            return Err(DataError::Idx { path: self.test.labels.clone(), problem });
        }
        let gaps = numbered_classes::gaps(&train, count, false)?;
        let (mean, std) = moments(&train)?;
        let (train, validation) = hold_out(&train, share(train.len(), fraction), seed);
        let not_fashion = format!("these files are not those of Fashion-MNIST: an IDX set of {count} classes");
        let notes = [not_fashion].into_iter().chain(gaps).chain([held_out_note(validation.len(), seed)]).collect();
        let (mean, std, classes) = (vec![mean], vec![std], numbered_classes::names(count));
        Ok(Splits { train, validation, test, classes, channels: 1, mean, std, notes })
    }
}

impl Reader for Published {
    fn name(&self) -> String {
        "Fashion-MNIST".into()
    }

    fn channels(&self) -> usize {
        1
    }

    fn is_in_memory(&self) -> bool {
        true
    }

    fn parts(&self, _: usize) -> Result<Parts, DataError> {
        Err(in_memory(&self.name()))
    }

    fn load(&self, channels: usize, seed: u64, hold_out: Option<f64>) -> Result<Splits, DataError> {
        gray(channels, "Fashion-MNIST")?;
        FashionMnist::load_with(&self.0, seed, hold_out)
    }
}
