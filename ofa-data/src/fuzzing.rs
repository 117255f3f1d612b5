//! What the fuzz targets in `ofa-data/fuzz` call: every reader of bytes that come from elsewhere.

use std::io::Cursor;
use std::path::Path;

use crate::decode::{Damage, decode_as_stored};
use crate::layout::imagenet::{devkit, solution};
use crate::layout::{cifar::Cifar, idx, web_dataset};
use crate::source::archive::{Section, entries};

/// A JPEG or PNG image, strictly and leniently.
pub fn image(bytes: &[u8]) {
    for damage in [Damage::Refuse, Damage::Show] {
        if let Ok(image) = decode_as_stored(bytes, damage) {
            assert_eq!(image.pixels.len(), image.width * image.height * image.channels);
        }
    }
}

/// A tar archive, and the archives in it.
pub fn archive(bytes: &[u8]) {
    let section = |start: u64, length: u64| Section { file: Cursor::new(bytes), start, length, at: 0 };
    let Ok(found) = entries(section(0, bytes.len() as u64), |_| true) else { return };
    for entry in found {
        let end = entry.offset + entry.bytes;
        assert!(end <= bytes.len() as u64, "{entry:?} ends behind {}", bytes.len());
        for inner in entries(section(entry.offset, entry.bytes), |_| false).unwrap_or_default() {
            assert!(inner.offset + inner.bytes <= end, "{inner:?} ends behind {entry:?}");
        }
    }
}

/// What tells the labels of images: Kaggle's solution, the development kit, a label of a WebDataset.
pub fn labels(bytes: &[u8]) {
    let _ = solution::parse(bytes);
    let _ = web_dataset::label(bytes);
    let _ = web_dataset::key(Path::new(&*String::from_utf8_lossy(bytes)));
    let (meta, truth) = bytes.split_at(bytes.len() / 2);
    let _ = devkit::ground_truth::validation_wnids(bytes, "1\n2\n");
    let _ = devkit::ground_truth::validation_wnids(meta, &String::from_utf8_lossy(truth));
}

/// The files of Fashion-MNIST and CIFAR.
pub fn packed(bytes: &[u8]) {
    let _ = idx::images(bytes, [3, 28, 28]);
    let _ = idx::labels(bytes, 3, 10);
    for set in [Cifar::Ten, Cifar::Hundred] {
        let _ = set.parse(bytes, 3);
    }
}
