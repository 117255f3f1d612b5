//! The command line that reproduces a report.

use std::path::Path;

/// The `cargo run` command of this process, with the output directory replaced by `--out DIR`.
pub fn again() -> String {
    let mut words = std::env::args();
    let binary = words.next().unwrap_or_default();
    let name = Path::new(&binary).file_stem().unwrap_or_default().to_string_lossy();
    in_words(&name, words)
}

fn in_words(binary: &str, mut options: impl Iterator<Item = String>) -> String {
    let mut command = format!("cargo run --release --bin {binary} --");
    let mut has_out = false;
    while let Some(option) = options.next() {
        if option == "--out" {
            options.next();
            has_out = true;
        } else if option.starts_with("--out=") {
            has_out = true;
        } else {
            command.push(' ');
            command.push_str(&quoted(&option));
        }
    }
    if has_out {
        command.push_str(" --out DIR");
    }
    command
}

/// `word`, quoted for a POSIX shell if necessary. Not by the crate `shlex`, which quotes every comma and `=`, too.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_but_the_place_is_kept() {
        let words = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>().into_iter();
        let command = in_words("fit", words("--tables|my runs/a|--out|x|--seeds|5"));
        assert_eq!(command, "cargo run --release --bin fit -- --tables 'my runs/a' --seeds 5 --out DIR");
        assert_eq!(in_words("fit", words("--out=x|--it's")), r"cargo run --release --bin fit -- '--it'\''s' --out DIR");
    }
}
