//! Detects the split of a file or directory from its name.

use std::ffi::OsStr;

/// `train`, `val` or `test` if exactly one of them is a word of `name`. `imagenet1k-train-0000.tar` and
/// `retrieval-train-0.tar` belong to train; `trainval.tar` and `train-val.tar` belong to no split. `valid` and
/// `validation` mean `val`, `training` and `testing` what they say; digits at the end of a word are ignored.
pub(crate) fn part_of(name: &OsStr) -> Option<&'static str> {
    let name = name.to_string_lossy().to_lowercase();
    let part = |word: &str| match word.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "train" | "training" => Some("train"),
        "val" | "valid" | "validation" => Some("val"),
        "test" | "testing" => Some("test"),
        _ => None,
    };
    let mut parts = name.split(|c: char| !c.is_alphanumeric()).filter_map(part);
    let first = parts.next()?;
    parts.all(|other| other == first).then_some(first)
}

/// The same for a directory, which may also be called `dev` or `eval`.
pub(crate) fn part_of_directory(name: &OsStr) -> Option<&'static str> {
    match name.to_string_lossy().to_lowercase().as_str() {
        "dev" | "eval" | "evaluation" => Some("val"),
        _ => part_of(name),
    }
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
            ("training_set", Some("train")),
            ("trainval-0.tar", None),
            ("train-val-0.tar", None),
            ("n01440764.tar", None),
        ] {
            assert_eq!(part_of(OsStr::new(name)), part, "{name}");
        }
        assert_eq!(
            ["Valid", "EVAL", "Testing", "cat"].map(|name| part_of_directory(OsStr::new(name))),
            [Some("val"), Some("val"), Some("test"), None]
        );
    }
}
