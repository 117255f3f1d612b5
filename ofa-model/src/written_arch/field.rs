//! Values of dictionaries, with the types that tools give them.

use serde_json::Value;

/// A number without a fraction: `7`, `7.0`, `"7"` or `[7]`.
pub(crate) fn whole(value: &Value, name: &str) -> Result<usize, String> {
    let found = float(value).filter(|number| number.fract() == 0.0 && (0.0..=1e15).contains(number));
    found.map(|number| number as usize).ok_or_else(|| format!("`{name}` is {}, expected a whole number", shown(value)))
}

/// A number: `0.25`, `"0.25"` or `[0.25]`.
pub(crate) fn number(value: &Value, name: &str) -> Result<f64, String> {
    float(value).ok_or_else(|| format!("`{name}` is {}, expected a number", shown(value)))
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        Value::Array(items) if items.len() == 1 => float(&items[0]),
        _ => None,
    }
}

/// The value as JSON, cut to a readable length.
pub(crate) fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(60).chain("..".chars()).collect() }
}
