//! Tests of `set`.

use super::samples::{file_set, tiny_set};
use super::*;
use std::collections::BTreeSet;
use std::fs;

const WHOLE: &[u8] = include_bytes!("../../fixtures/gradient_rgb.jpg");

#[test]
fn images_and_labels_are_those_of_the_source() {
    let set = tiny_set(5, 3);
    assert_eq!((set.len(), set.channels(), set.is_empty()), (5, 1, false));
    assert_eq!((0..5).map(|i| set.label(i)).collect::<Vec<_>>(), [0, 1, 2, 0, 1]);
    let image = set.get(3).unwrap();
    assert_eq!((image.width, image.height, image.channels), (4, 4, 1));
    assert_eq!(image.pixels, (48..64).collect::<Vec<u8>>());
}

#[test]
fn subsets_are_seeded_nested_and_without_repetition() {
    let set = tiny_set(12, 3);
    let (small, large) = (set.subset(4, 1), set.subset(9, 1));
    assert_eq!(large.members[..4], *small.members);
    assert_eq!(large.members.iter().collect::<BTreeSet<_>>().len(), 9);
    assert_ne!(set.subset(9, 2).members, large.members);
    assert_eq!(set.subset(100, 1).len(), 12);
    // a subset of a subset stays inside it
    let inner = large.subset(5, 8);
    assert!(inner.members.iter().all(|member| large.members.contains(member)));
}

#[test]
fn fingerprints_follow_content_and_order() {
    let set = tiny_set(12, 3);
    assert_eq!(set.fingerprint(), tiny_set(12, 3).fingerprint());
    assert_eq!(set.fingerprint().len(), 64);
    let others = [tiny_set(12, 4), tiny_set(11, 3), set.subset(12, 1), set.subset(12, 2)];
    for other in &others {
        assert_ne!(set.fingerprint(), other.fingerprint());
    }
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let x = file_set(a.path(), &[("x.png", b"1")], 1).fingerprint();
    assert_eq!(x, file_set(b.path(), &[("x.png", b"1")], 1).fingerprint());
    assert_ne!(x, file_set(a.path(), &[("y.png", b"1")], 1).fingerprint());
    assert_ne!(x, file_set(a.path(), &[("x.png", b"1")], 3).fingerprint());
}

#[test]
fn a_broken_file_is_named_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let set = file_set(dir.path(), &[("broken.jpg", &WHOLE[..400])], 3);
    let message = || set.get(0).unwrap_err().to_string();
    assert!(message().contains("broken.jpg: truncated after 400 bytes"), "{}", message());
    fs::write(dir.path().join("broken.jpg"), WHOLE).unwrap();
    assert!(message().contains("broken.jpg: changed since it was listed: 735 bytes now, 400 then"), "{}", message());
    fs::remove_file(dir.path().join("broken.jpg")).unwrap();
    assert!(message().contains("broken.jpg: cannot be read: No such file"), "{}", message());
}

/// Results for a whole, a truncated and an empty file.
fn shown(set: &ImageSet) -> Vec<Result<Option<(usize, usize)>, String>> {
    let size = |picture: &Picture| picture.whole().map(|image| (image.width, image.height));
    let show = |i| set.show(i, size).map_err(|error| error.to_string());
    (0..set.len()).map(show).collect()
}

#[test]
fn the_policy_says_what_becomes_of_broken_images() {
    let dir = tempfile::tempdir().unwrap();
    let set = file_set(dir.path(), &[("whole", WHOLE), ("cut", &WHOLE[..WHOLE.len() - 9]), ("empty", b"")], 3);
    let names = |set: &ImageSet| -> Vec<String> {
        let name = |broken: &BrokenImage| broken.path.file_name().unwrap().to_string_lossy().into_owned();
        set.broken().iter().map(name).collect()
    };
    let seen = shown(&set);
    assert_eq!(seen[0], Ok(Some((24, 16))));
    assert!(seen[1].as_ref().unwrap_err().contains("cut: truncated after"), "{seen:?}");
    assert!(names(&set).is_empty());

    let skipping = |max_fraction| ReadConfig { broken: BrokenImages::Skip { max_fraction }, ..ReadConfig::default() };
    let skip = set.clone().with_reading(skipping(0.7)).unwrap();
    assert_eq!(shown(&skip), [Ok(Some((24, 16))), Ok(None), Ok(None)]);
    assert_eq!(names(&skip.subset(1, 5)), ["cut", "empty"]);
    skip.check_broken().unwrap();
    let strict = set.clone().with_reading(skipping(0.4)).unwrap();
    assert_eq!(shown(&strict), shown(&skip));
    let error = strict.check_broken().unwrap_err().to_string();
    assert!(error.starts_with("2 of 3 images") && error.ends_with("empty: empty file"), "{error}");
    for fraction in [5.0, -0.1, f64::NAN] {
        let error = set.clone().with_reading(skipping(fraction)).unwrap_err().to_string();
        assert!(error.starts_with("skip.max_fraction is "), "{error}");
    }

    let lenient = set.with_reading(ReadConfig { broken: BrokenImages::Lenient, ..ReadConfig::default() }).unwrap();
    let seen = shown(&lenient);
    assert_eq!(seen[1], Ok(Some((24, 16))));
    assert!(seen[2].as_ref().unwrap_err().ends_with("empty: empty file"), "{seen:?}");
    assert_eq!(names(&lenient), ["cut"]);
}

#[test]
fn cached_images_are_those_that_were_read() {
    let dir = tempfile::tempdir().unwrap();
    let set = file_set(dir.path(), &[("whole", WHOLE)], 3);
    let cached = set.clone().with_reading(ReadConfig { cache_mib: 1, ..ReadConfig::default() }).unwrap();
    let pixels = |set: &ImageSet| set.show(0, |picture| Ok(picture.whole()?.pixels.clone())).unwrap().unwrap();
    let before = pixels(&cached);
    fs::remove_file(dir.path().join("whole")).unwrap();
    assert_eq!(pixels(&cached), before);
    assert!(set.get(0).is_err());
}

#[test]
fn a_panic_while_an_image_is_looked_at_is_its_problem() {
    let dir = tempfile::tempdir().unwrap();
    let set = file_set(dir.path(), &[("whole", WHOLE)], 3);
    let error = set.show(0, |_| -> Result<(), _> { panic!("index 7 is out of bounds") }).unwrap_err().to_string();
    assert!(error.ends_with("whole: the decoder panicked: index 7 is out of bounds"), "{error}");
}

/// Images of one's own: decoded ones, the second of them malformed, and encoded ones.
#[derive(Debug)]
struct Own {
    labels: Vec<u32>,
    seed: u8,
}

impl ImageSource for Own {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn label(&self, i: usize) -> u32 {
        self.labels[i]
    }

    fn read(&self, i: usize) -> Result<StoredImage, ImageProblem> {
        let pixels = if i == 1 { vec![] } else { vec![self.seed; 8] };
        Ok(if i < 2 { Image { width: 4, height: 2, channels: 1, pixels }.into() } else { WHOLE.to_vec().into() })
    }

    fn identity(&self, i: usize) -> Vec<u8> {
        vec![self.seed, i as u8]
    }
}

#[test]
fn a_source_of_ones_own_is_a_set_like_any_other() {
    let set = |seed| ImageSet::from_source(Own { labels: vec![4, 2, 7], seed }, 3).unwrap();
    assert_eq!((set(1).len(), set(1).label(2), set(1).channels()), (3, 7, 3));
    assert_eq!(set(9).get(0).unwrap().pixels, [9; 24], "gray becomes RGB by repetition");
    assert_eq!(set(1).get(2).unwrap().width, 24);
    let message = set(1).get(1).unwrap_err().to_string();
    assert_eq!(message, "image number 1: 0 values are no image of 4 x 2 pixels with 1 channels (1 or 3)");
    let read = ReadConfig { broken: BrokenImages::Skip { max_fraction: 0.5 }, cache_mib: 1, ..ReadConfig::default() };
    let skipping = set(1).with_reading(read).unwrap();
    let sizes = |i| skipping.show(i, |picture| Ok(picture.size())).unwrap();
    assert_eq!([sizes(0), sizes(1), sizes(2)], [Some((4, 2)), None, Some((24, 16))]);
    assert_eq!(set(1).fingerprint(), set(1).fingerprint());
    assert_ne!(set(1).fingerprint(), set(2).fingerprint());
}

#[test]
fn a_source_that_cannot_be_a_set_is_refused() {
    let message = |channels, label| {
        let source = Own { labels: vec![0, 0, label], seed: 1 };
        ImageSet::from_source(source, channels).unwrap_err().to_string()
    };
    assert!(message(2, 0).contains("channels is 2, expected 1 (gray) or 3 (RGB)"), "{}", message(2, 0));
    let found = message(3, 1 << 20);
    assert!(found.contains("label is 1048576, expected below 1048576 (of number 2)"), "{found}");
}
