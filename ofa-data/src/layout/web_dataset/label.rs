//! The label of a sample: a class index, or the name of a class.

use std::collections::HashMap;

use serde_json::Value;

use crate::source::MAX_CLASSES;
use crate::text;

/// Fields of a `.json` that may hold the label.
const FIELDS: [&str; 3] = ["label", "cls", "class"];

/// The label of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Label {
    Index(u32),
    Name(String),
}

impl Label {
    /// The content of a `.cls` or a `.cls.txt`.
    pub(crate) fn of_text(content: &[u8]) -> Result<Self, String> {
        let text = text::decoded(content);
        let text = text.trim();
        Self::parse(text).ok_or_else(|| format!("{text:?} is not a class index"))
    }

    /// The label in a JSON object: the first field that holds a class index, else the first that holds a name.
    pub(crate) fn of_json(content: &[u8]) -> Result<Self, String> {
        let value: Value =
            serde_json::from_str(&text::decoded(content)).map_err(|error| format!("not a JSON file: {error}"))?;
        let fields: Vec<(&str, &Value)> =
            FIELDS.into_iter().filter_map(|field| Some((field, value.get(field)?))).collect();
        let Some((field, first)) = fields.first() else {
            let names: Vec<&str> =
                value.as_object().into_iter().flat_map(|object| object.keys()).map(|key| &**key).collect();
            return Err(format!(
                "none of its fields ({}) is a label: expected {}",
                names.join(", "),
                FIELDS.join(", ")
            ));
        };
        let label = |value: &Value| match value {
            Value::String(text) => Self::parse(text.trim()),
            // Tables write whole numbers as 3.0.
            Value::Number(number) => Self::parse(number.to_string().trim_end_matches(".0")),
            _ => None,
        };
        let labels: Vec<Self> = fields.iter().filter_map(|(_, value)| label(value)).collect();
        let index = labels.iter().find(|label| matches!(label, Self::Index(_))).or(labels.first());
        index.cloned().ok_or_else(|| format!("its field {field} is {first}, which is not a class index"))
    }

    /// A whole number is an index. A text without a letter is nothing: it is a number that is no index.
    fn parse(text: &str) -> Option<Self> {
        let index = text.parse().ok().filter(|&index| index < MAX_CLASSES).map(Self::Index);
        let is_name = text.chars().any(char::is_alphabetic) && text.parse::<f64>().is_err() && !text.contains('\n');
        index.or_else(|| is_name.then(|| Self::Name(text.to_owned())))
    }
}

/// Numbers the labels of a shard, which are all indices or all names.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
    has_indices: bool,
}

impl Numbering {
    /// The index, or the position of the name among [`names`](Self::names).
    pub(super) fn number(&mut self, label: Label) -> Result<u32, String> {
        match label {
            Label::Index(index) if self.names.is_empty() => {
                self.has_indices = true;
                Ok(index)
            }
            Label::Name(name) if !self.has_indices => {
                let next = self.names.len() as u32;
                Ok(*self.numbers.entry(name).or_insert_with_key(|name| {
                    self.names.push(name.clone());
                    next
                }))
            }
            Label::Index(index) => Err(format!("its label is the number {index}, those before it are names")),
            Label::Name(name) => Err(format!("its label is the name {name:?}, those before it are numbers")),
        }
    }

    /// The names, if labels are names.
    pub(super) fn names(self) -> Option<Vec<String>> {
        (!self.names.is_empty()).then_some(self.names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d2_labels_are_numbers_or_names() {
        let index = |index| Ok(Label::Index(index));
        let name = |name: &str| Ok(Label::Name(name.to_owned()));
        assert_eq!(Label::of_text("\u{feff} 4\r\n".as_bytes()), index(4));
        assert_eq!(Label::of_text(b"sun fish\n"), name("sun fish"));
        for text in ["", "-1", "1.5", "1e3", "nan", "99999999", "--", "a\nb"] {
            assert_eq!(Label::of_text(text.as_bytes()), Err(format!("{text:?} is not a class index")));
        }
        assert_eq!(Label::of_json(br#"{"label": "dog", "cls": 3}"#), index(3));
        assert_eq!(Label::of_json(br#"{"label": null, "class": "n01440764"}"#), name("n01440764"));
        assert_eq!(Label::of_json(br#"{"class": "x", "label": 2.0}"#), index(2));
        assert_eq!(Label::of_json(br#"{"cls": 2.5, "class": "x"}"#), name("x"));
        let problem = Label::of_json(br#"{"label": [1], "url": ""}"#).unwrap_err();
        assert_eq!(problem, "its field label is [1], which is not a class index");
    }
}
