//! What an error says, in one line and in words of this project.

/// Words of the libraries that read JSON, TOML and YAML, and ours.
const WORDS: [(&str, &str); 21] = [
    ("expected usize", "expected a whole number"),
    ("expected u64", "expected a whole number"),
    ("expected u32", "expected a whole number"),
    ("expected u16", "expected a whole number"),
    ("expected u8", "expected a whole number"),
    ("expected i64", "expected a whole number"),
    ("expected i32", "expected a whole number"),
    ("expected a nonzero usize", "expected a whole number above 0"),
    ("expected f64", "expected a number"),
    ("expected f32", "expected a number"),
    ("expected a sequence", "expected a list"),
    ("expected a map", "expected a table"),
    ("invalid type: sequence", "invalid type: list"),
    ("invalid type: map", "invalid type: table"),
    ("invalid type: unit value", "invalid type: nothing"),
    ("invalid type: null", "invalid type: nothing"),
    ("unknown variant", "unknown value"),
    ("EOF while parsing", "it ends in"),
    ("expected value", "expected a value"),
    ("expected ident", "expected null, true or false"),
    (", set DuplicateKeyPolicy in Options if acceptable", ""),
];

/// The error and its causes, each once: some errors say their cause themselves.
pub fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.ends_with(&cause) {
            line += if line.is_empty() { "" } else { ": " };
            line += &cause;
        }
    }
    in_plain_words(&line)
}

fn in_plain_words(text: &str) -> String {
    let mut text = WORDS.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours));
    for (theirs, ours) in [
        ("expected struct ", "expected a table"),
        ("expected internally tagged enum ", "expected a table"),
        ("expected enum ", "expected the name of a choice"),
        ("data did not match any variant of untagged enum ", "the value has none of the forms that are allowed here"),
    ] {
        while let Some(start) = text.find(theirs) {
            // The name of a type follows.
            let name = text[start + theirs.len()..].find(|c: char| !c.is_alphanumeric() && c != '_');
            let end = name.map_or(text.len(), |length| start + theirs.len() + length);
            text.replace_range(start..end, ours);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use ofa_model::ModelError;

    #[test]
    fn a_cause_is_said_once() {
        let missing = || ModelError::Io {
            path: "net/space.json".into(),
            source: std::io::Error::from(std::io::ErrorKind::NotFound),
        };
        assert_eq!(in_one_line(&missing().into()), "net/space.json: entity not found");
        let error = Err::<(), _>(missing()).context("training.start: the supernet in net").unwrap_err();
        assert_eq!(in_one_line(&error), "training.start: the supernet in net: net/space.json: entity not found");
    }

    #[test]
    fn words_of_libraries_are_ours() {
        let cases = [
            (
                "a: invalid type: string \"x\", expected usize at line 1",
                "a: invalid type: string \"x\", expected a whole number at line 1",
            ),
            (
                "data did not match any variant of untagged enum OneOrMany\n",
                "the value has none of the forms that are allowed here\n",
            ),
            ("invalid type: map, expected struct SearchSpace", "invalid type: table, expected a table"),
            ("EOF while parsing an object at line 1", "it ends in an object at line 1"),
            ("duplicate mapping key: a, set DuplicateKeyPolicy in Options if acceptable", "duplicate mapping key: a"),
        ];
        for (theirs, ours) in cases {
            assert_eq!(in_plain_words(theirs), ours);
        }
    }
}
