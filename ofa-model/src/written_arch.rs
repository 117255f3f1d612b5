//! [`WrittenArch`]: an arch as people and tools write it down.

mod dictionary;
pub(crate) mod field;
mod literal;

use crate::{Arch, BlockArch, ModelError, Ratio, SearchSpace, StageArch};
use field::{number, whole};
use serde_json::{Map, Value};

/// An arch read from text of unknown form.
///
/// Understood are
///
/// - our text form, and our [`Arch`] as JSON;
/// - the original's dictionary as JSON or as Python prints it, with `r` or `image_size`, one value for all blocks or
///   stages, and numbers written as `7.0` or `"7"`;
/// - the `net.config` of a specialised net;
/// - any of them inside a dictionary or tuple with other things: our `arch.json` and `card.json`, results of a search.
///
/// Any resolution is taken, because no weight depends on it.
///
/// ```
/// use ofa_model::{SearchSpace, WrittenArch};
///
/// let space = SearchSpace::mobilenet_v3(1.0, 1000);
/// let found = WrittenArch::parse("(0.78, {'wid': None, 'ks': 7, 'e': 6.0, 'd': 2, 'r': [130]}, 21.5)", &space)?;
/// assert_eq!((found.arch.resolution, found.arch.depths()), (130, vec![2; 5]));
/// # Ok::<(), ofa_model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenArch {
    /// The arch, checked against the space but for its resolution.
    pub arch: Arch,
    /// Keys that hold no choice, such as accuracies.
    pub ignored: Vec<String>,
}

/// Keys under which tools put an arch, ours first.
const HOLDERS: [&str; 9] =
    ["arch", "original_arch", "config", "arch_config", "subnet", "subnet_config", "setting", "settings", "sample"];
/// Keys of the original's dictionary.
const CHOICES: [&str; 4] = ["ks", "e", "d", "w"];

impl WrittenArch {
    /// Reads the arch that `text` describes.
    ///
    /// # Errors
    ///
    /// [`ModelError::WrittenArch`] if it is none of the forms; [`ModelError::ParseArch`] for a text form with a slip;
    /// the errors of [`SearchSpace::check`], [`Arch::from_original`] and [`Arch::from_original_config`].
    pub fn parse(text: &str, space: &SearchSpace) -> Result<Self, ModelError> {
        let text = text.trim_start_matches('\u{feff}').trim();
        let found = match value_in(text) {
            Some(value) => from_value(&value.map_err(refused)?, space)?,
            None => plain(in_line(one_line(text)?)?),
        };
        if found.arch.resolution == 0 {
            return Err(refused("its resolution is 0".to_owned()));
        }
        space.clone().with_resolution(found.arch.resolution).check(&found.arch)?;
        Ok(found)
    }
}

/// The value that is written in `text`: all of it, or the dictionary in a line of a log. `None` if there is none.
fn value_in(text: &str) -> Option<Result<Value, String>> {
    let inner = text.find('{').zip(text.rfind('}')).and_then(|(start, end)| text.get(start..=end));
    // `OrderedDict([..])`, `Namespace(..)`
    let is_call = text.ends_with(')') && text.starts_with(char::is_alphabetic);
    let is_value = is_call || text.starts_with(['{', '[', '(', '"', '\'']);
    let whole = is_value.then(|| literal::parse(text));
    match (whole, inner) {
        (Some(Err(problem)), Some(inner)) => Some(literal::parse(inner).map_err(|_| problem)),
        // Another line that ends with a bracket.
        (Some(Err(_)), None) if is_call => None,
        (Some(whole), _) => Some(whole),
        (None, inner) => inner.map(literal::parse),
    }
}

fn refused(problem: String) -> ModelError {
    ModelError::WrittenArch { problem }
}

fn plain(arch: Arch) -> WrittenArch {
    WrittenArch { arch, ignored: Vec::new() }
}

fn one_line(text: &str) -> Result<&str, ModelError> {
    match text.lines().count() {
        0 => Err(refused("it is empty".to_owned())),
        1 => Ok(text),
        lines => Err(refused(format!("it has {lines} lines, expected one arch"))),
    }
}

/// The arch that is `line`, or the only one among its words, as in `best: (r28-k7e6.., 0.78)` or a row of a table.
fn in_line(line: &str) -> Result<Arch, ModelError> {
    line.parse().or_else(|error| {
        let words = line.split(|c: char| c.is_whitespace() || ",;:()[]'\"".contains(c));
        let mut archs = words.filter_map(|word| word.parse::<Arch>().ok());
        match (archs.next(), archs.next()) {
            (Some(arch), None) => Ok(arch),
            _ => Err(error),
        }
    })
}

fn from_value(value: &Value, space: &SearchSpace) -> Result<WrittenArch, ModelError> {
    match value {
        Value::String(text) => match value_in(text.trim()) {
            Some(Ok(inner)) if !inner.is_string() => from_value(&inner, space),
            _ => Ok(plain(in_line(text.trim())?)),
        },
        Value::Object(entries) => from_object(entries, space),
        Value::Array(items) => match pairs(items) {
            Some(entries) => from_object(&entries, space),
            None => from_items(items, space),
        },
        other => Err(refused(format!("{} is neither a dictionary nor an arch in text form", field::shown(other)))),
    }
}

/// The entries of a dictionary that is written as pairs of a name and a value.
fn pairs(items: &[Value]) -> Option<Map<String, Value>> {
    let pair = |item: &Value| match item.as_array()?.as_slice() {
        [Value::String(name), value] => Some((name.clone(), value.clone())),
        _ => None,
    };
    items.iter().map(pair).collect::<Option<_>>().filter(|entries: &Map<_, _>| !entries.is_empty())
}

/// The one item that can be an arch, such as in a pair of an accuracy and a dictionary.
fn from_items(items: &[Value], space: &SearchSpace) -> Result<WrittenArch, ModelError> {
    let mut holding = items.iter().filter(|item| item.is_object() || item.is_string() || item.is_array());
    match (holding.next(), holding.next()) {
        (Some(item), None) => from_value(item, space),
        (None, _) => Err(refused("it is a list without a dictionary or an arch in text form".to_owned())),
        (Some(_), Some(_)) => Err(refused(format!("it is a list of {} things, expected one arch", items.len()))),
    }
}

fn from_object(entries: &Map<String, Value>, space: &SearchSpace) -> Result<WrittenArch, ModelError> {
    if let Some(Value::Array(stages)) = entries.get("stages") {
        return ours(entries, stages);
    }
    if let Some(Value::Array(_)) = entries.get("blocks") {
        let config = Value::Object(entries.clone()).to_string();
        return Arch::from_original_config(&config, space).map(plain);
    }
    if CHOICES.iter().any(|key| entries.contains_key(*key)) || dictionary::has_long_names(entries) {
        return dictionary::read(entries, space);
    }
    let holder = HOLDERS.iter().find_map(|key| entries.get(*key)).or_else(|| only_nested(entries));
    match holder {
        Some(holder) => from_value(holder, space),
        None => {
            let keys = entries.keys().take(10).map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            Err(refused(format!(
                "it has the keys {keys}; expected ks, e and d (the original's dictionary), stages (ours), blocks (a \
                 net.config), or arch"
            )))
        }
    }
}

/// The only dictionary among the entries.
fn only_nested(entries: &Map<String, Value>) -> Option<&Value> {
    let mut nested = entries.values().filter(|value| value.is_object());
    nested.next().filter(|_| nested.next().is_none())
}

/// Our [`Arch`] as JSON.
fn ours(entries: &Map<String, Value>, stages: &[Value]) -> Result<WrittenArch, ModelError> {
    if stages.iter().any(|stage| stage.get("depths").is_some()) {
        return Err(refused("this is a search space; name one of its archs".to_owned()));
    }
    let resolution = entries.get("resolution").ok_or_else(|| refused("`resolution` is missing".to_owned()))?;
    let resolution = whole(resolution, "resolution").map_err(refused)?;
    let stages = stages.iter().zip(1..).map(|(stage, s)| our_stage(stage, s)).collect::<Result<_, _>>()?;
    let ignored = entries.keys().filter(|key| !["resolution", "stages"].contains(&key.as_str())).cloned().collect();
    Ok(WrittenArch { arch: Arch { resolution, stages }, ignored })
}

fn our_stage(stage: &Value, s: usize) -> Result<StageArch, ModelError> {
    let Some(Value::Array(blocks)) = stage.get("blocks") else {
        return Err(refused(format!("stage {s} has no list of blocks")));
    };
    let width = match stage.get("width") {
        None | Some(Value::Null) => Ratio::ONE,
        Some(width) => Ratio::try_from(number(width, "width").map_err(refused)?)?,
    };
    let block = |(block, b): (&Value, usize)| {
        let entry =
            |key: &str| block.get(key).ok_or_else(|| refused(format!("`{key}` of stage {s}, block {b} is missing")));
        let kernel_size = whole(entry("kernel_size")?, "kernel_size").map_err(refused)?;
        let expand_ratio = number(entry("expand_ratio")?, "expand_ratio").map_err(refused)?;
        Ok(BlockArch { kernel_size, expand_ratio: Ratio::try_from(expand_ratio)? })
    };
    Ok(StageArch { width, blocks: blocks.iter().zip(1..).map(block).collect::<Result<_, ModelError>>()? })
}

#[cfg(test)]
mod tests;
