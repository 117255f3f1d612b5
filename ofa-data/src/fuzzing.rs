//! Entry points for the fuzz targets in `ofa-data/fuzz`: every reader of untrusted bytes.

use std::io::Cursor;
use std::path::Path;

use crate::decode::{Damage, DecodeConfig, decode_as_stored};
use crate::layout::imagenet::{devkit, solution};
use crate::layout::{cifar::Cifar, idx, web_dataset};
use crate::source::archive::{Section, entries};

/// Decodes an image of any format, strictly and leniently.
pub fn image(bytes: &[u8]) {
    for damage in [Damage::Refuse, Damage::Show] {
        if let Ok(image) =
            decode_as_stored(bytes, damage, DecodeConfig { apply_orientation: true, ..DecodeConfig::default() })
        {
            assert_eq!(image.pixels.len(), image.width * image.height * image.channels);
        }
    }
}

/// Lists a tar archive and the archives nested in it.
pub fn archive(bytes: &[u8]) {
    let section = |start: u64, length: u64| Section { file: Cursor::new(bytes), start, length, at: 0 };
    let Ok(found) = entries(section(0, bytes.len() as u64), |_| true) else { return };
    for entry in found {
        let end = entry.offset + entry.bytes;
        assert!(end <= bytes.len() as u64, "{entry:?} ends beyond {}", bytes.len());
        for inner in entries(section(entry.offset, entry.bytes), |_| false).unwrap_or_default() {
            assert!(inner.offset + inner.bytes <= end, "{inner:?} ends beyond {entry:?}");
        }
    }
}

/// Parses label sources: Kaggle's solution file, the ImageNet development kit, a WebDataset label.
pub fn labels(bytes: &[u8]) {
    let _ = solution::parse(&String::from_utf8_lossy(bytes));
    let _ = web_dataset::Label::of_text(bytes);
    let _ = web_dataset::Label::of_json(bytes);
    let _ = web_dataset::stem(Path::new(&*String::from_utf8_lossy(bytes)), &[".jpg", ".cls.txt"]);
    let (meta, truth) = bytes.split_at(bytes.len() / 2);
    let _ = devkit::ground_truth::validation_wnids(bytes, "1\n2\n");
    let _ = devkit::ground_truth::validation_wnids(meta, &String::from_utf8_lossy(truth));
}

/// Parses the files of Fashion-MNIST and CIFAR.
pub fn packed(bytes: &[u8]) {
    let _ = idx::images(bytes, [3, 28, 28]);
    let _ = idx::labels(bytes, 3, 10);
    for set in [Cifar::Ten, Cifar::Hundred] {
        let _ = set.parse(bytes, 3);
    }
}
