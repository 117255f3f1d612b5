//! Detects the split of a file from its name.

use std::ffi::OsStr;

/// `train`, `val` or `test` if exactly one of them is a word of `name`. `imagenet1k-train-0000.tar` and
/// `retrieval-train-0.tar` belong to train; `trainval.tar` and `train-val.tar` belong to no split. `valid` and
/// `validation` mean `val`; digits at the end of a word are ignored.
pub(crate) fn part_of(name: &OsStr) -> Option<&'static str> {
    let name = name.to_string_lossy().to_lowercase();
    let part = |word: &str| match word.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "train" => Some("train"),
        "val" | "valid" | "validation" => Some("val"),
        "test" => Some("test"),
        _ => None,
    };
    let mut parts = name.split(|c: char| !c.is_alphanumeric()).filter_map(part);
    let first = parts.next()?;
    parts.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_words_of_the_name() {
        for (name, part) in [
            ("imagenet1k-train-0000.tar", Some("train")),
            ("imagenet-val-000049.tar", Some("val")),
            ("retrieval-train-0000.tar", Some("train")),
            ("latest_validation_3.tar", Some("val")),
            ("test-00000-of-00028.parquet", Some("test")),
            ("Train0001.tar", Some("train")),
            ("trainval-0.tar", None),
            ("train-val-0.tar", None),
            ("n01440764.tar", None),
        ] {
            assert_eq!(part_of(OsStr::new(name)), part, "{name}");
        }
    }
}
