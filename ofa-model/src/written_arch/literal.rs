//! Reads JSON and what Python prints: single quotes, tuples, `None`, `array([..])`, `np.int64(7)`, `dict(ks=7)`.

use serde_json::{Map, Value};

/// Deepest nesting, so that no text exhausts the stack.
const DEEPEST: usize = 64;

/// The value that `text` stands for; an error says where it ends to be one.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0).and_then(|value| {
        reader.blanks();
        if reader.at == text.len() { Ok(value) } else { Err("something follows the dictionary".to_owned()) }
    });
    value.map_err(|problem| {
        let before = &text[..reader.at];
        let (line, column) =
            (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
        format!("line {line}, column {column}: {problem}")
    })
}

struct Reader<'a> {
    text: &'a str,
    /// Bytes read.
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// The next character that is no blank.
    fn peek(&mut self) -> Result<char, String> {
        self.blanks();
        self.rest().chars().next().ok_or_else(|| "it ends too early".to_owned())
    }

    /// Passes over `expected` if it is next.
    fn takes(&mut self, expected: char) -> Result<bool, String> {
        let is_next = self.peek()? == expected;
        self.at += if is_next { expected.len_utf8() } else { 0 };
        Ok(is_next)
    }

    fn while_in(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let word = &rest[..rest.find(|c: char| !belongs(c)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err(format!("it is nested more than {DEEPEST} times"));
        }
        match self.peek()? {
            '{' => self.dictionary(depth),
            '[' => self.items('[', ']', depth).map(Value::Array),
            // Brackets around a single thing are no tuple, which a list of one is read as all the same.
            '(' => self.items('(', ')', depth).map(Value::Array),
            '\'' | '"' => self.string().map(Value::String),
            c if c.is_ascii_digit() || "+-.".contains(c) => self.number(),
            c if c.is_alphabetic() || c == '_' => self.word(depth),
            c => Err(format!("`{c}` begins no value")),
        }
    }

    fn dictionary(&mut self, depth: usize) -> Result<Value, String> {
        self.takes('{')?;
        let mut entries = Map::new();
        while !self.takes('}')? {
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                other => other.to_string(),
            };
            if !self.takes(':')? {
                return Err(format!("a colon is missing after `{key}`"));
            }
            let value = self.value(depth + 1)?;
            if entries.insert(key.clone(), value).is_some() {
                return Err(format!("`{key}` appears twice"));
            }
            if !self.takes(',')? && self.peek()? != '}' {
                return Err("a comma or `}` is missing".to_owned());
            }
        }
        Ok(Value::Object(entries))
    }

    /// Items between brackets; arguments by name (`dtype=..`) are passed over.
    fn items(&mut self, open: char, close: char, depth: usize) -> Result<Vec<Value>, String> {
        Ok(self.arguments(open, close, depth)?.0)
    }

    /// Items between brackets, and arguments by name.
    fn arguments(&mut self, open: char, close: char, depth: usize) -> Result<(Vec<Value>, Map<String, Value>), String> {
        self.takes(open)?;
        let (mut items, mut named) = (Vec::new(), Map::new());
        while !self.takes(close)? {
            let start = self.at;
            let name = self.while_in(|c| c.is_alphanumeric() || c == '_');
            let is_named = self.at > start && self.takes('=')?;
            if !is_named {
                self.at = start;
            }
            let value = if is_named { self.argument(depth + 1)? } else { self.value(depth + 1)? };
            if is_named {
                named.insert(name.to_owned(), value);
            } else {
                items.push(value);
            }
            if !self.takes(',')? && self.peek()? != close {
                return Err(format!("a comma or `{close}` is missing"));
            }
        }
        Ok((items, named))
    }

    /// The value of an argument by name, which may also be a word such as `int64`.
    fn argument(&mut self, depth: usize) -> Result<Value, String> {
        let start = self.at;
        let is_word = self.peek()?.is_alphabetic();
        if is_word {
            self.while_in(|c| c.is_alphanumeric() || c == '_' || c == '.');
        }
        if is_word && !self.rest().starts_with('(') {
            return Ok(Value::Null);
        }
        self.at = start;
        self.value(depth)
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.peek()?;
        self.at += 1;
        let (mut text, mut escaped) = (String::new(), false);
        for c in self.rest().chars() {
            self.at += c.len_utf8();
            match c {
                _ if std::mem::take(&mut escaped) => text.push(match c {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                }),
                '\\' => escaped = true,
                _ if c == quote => return Ok(text),
                _ => text.push(c),
            }
        }
        Err("a quote is missing at the end of a text".to_owned())
    }

    fn number(&mut self) -> Result<Value, String> {
        let text = self.while_in(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let whole = text.trim_start_matches('+').parse::<i64>().map(Value::from);
        // Python also prints `-inf`, which chooses nothing.
        let float = || text.parse::<f64>().map(Value::from);
        whole.or_else(|_| float()).map_err(|_| format!("`{text}` is no number"))
    }

    /// A constant of Python or JSON, or a call, which stands for its first argument, or for all if they have names.
    fn word(&mut self, depth: usize) -> Result<Value, String> {
        let start = self.at;
        let word = self.while_in(|c| c.is_alphanumeric() || c == '_' || c == '.');
        match word {
            "None" | "null" | "nan" | "NaN" | "inf" | "Infinity" => Ok(Value::Null),
            "True" | "true" => Ok(Value::Bool(true)),
            "False" | "false" => Ok(Value::Bool(false)),
            _ if self.rest().starts_with('(') => {
                let (items, named) = self.arguments('(', ')', depth + 1)?;
                Ok(items.into_iter().next().unwrap_or(if named.is_empty() { Value::Null } else { named.into() }))
            }
            _ => {
                self.at = start;
                Err(format!("`{word}` is no value"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_and_python_are_read() {
        let cases = [
            (r#"{"ks": [7, 5.0], "r": null}"#, json!({"ks": [7, 5.0], "r": null})),
            ("{'ks': (7, 5), 'wid': None,}", json!({"ks": [7, 5], "wid": null})),
            ("(0.5, {'d': -1, 'x': True}, nan)", json!([0.5, {"d": -1, "x": true}, null])),
            ("{'ks': array([7, 5], dtype=int64), 'e': np.float32(6.0)}", json!({"ks": [7, 5], "e": 6.0})),
            ("OrderedDict([('d', [2, 2]), ('it\\'s', 1e-3)])", json!([["d", [2, 2]], ["it's", 0.001]])),
            ("Namespace(ks=[7, 5], r=28, net='x')", json!({"ks": [7, 5], "r": 28, "net": "x"})),
            ("{\n  'acc': -inf, 'n': +3}", json!({"acc": null, "n": 3})),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_slip_is_placed() {
        let deep = "[".repeat(10_000);
        let cases = [
            ("{'ks': [7, 5}", "line 1, column 13: a comma or `]` is missing"),
            ("{'ks': 7,\n 'd' 4}", "line 2, column 6: a colon is missing after `d`"),
            ("{'ks': 7, 'ks': 5}", "`ks` appears twice"),
            ("{'ks': seven}", "line 1, column 8: `seven` is no value"),
            ("{'ks': 7..5}", "`7..5` is no number"),
            ("{'ks': 7", "it ends too early"),
            ("{'ks", "a quote is missing"),
            ("{} {}", "something follows"),
            ("{'a': \u{20ac}}", "`\u{20ac}` begins no value"),
            (&deep, "nested more than 64 times"),
        ];
        for (text, expected) in cases {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
