//! The original's dictionary of settings, as its code, its tutorial and its users write it.

use super::field::{number, shown, whole};
use super::{WrittenArch, refused};
use crate::{Arch, ModelError, OriginalArch, SearchSpace};
use serde_json::{Map, Value};

const KERNELS: [&str; 4] = ["ks", "kernel_size", "kernel_sizes", "k"];
const RATIOS: [&str; 3] = ["e", "expand_ratio", "expand_ratios"];
const DEPTHS: [&str; 3] = ["d", "depth", "depths"];
const WIDTHS: [&str; 1] = ["w"];
const RESOLUTIONS: [&str; 6] = ["r", "image_size", "resolution", "img_size", "input_size", "res"];
/// Index of a width in the list of a supernet, which has but one.
const WIDTH_INDEX: &str = "wid";

/// Whether a dictionary has the settings under long names.
pub(super) fn has_long_names(entries: &Map<String, Value>) -> bool {
    [&KERNELS[1..], &RATIOS[1..], &DEPTHS[1..]].iter().filter(|names| entry(entries, names).is_some()).count() > 1
}

pub(super) fn read(entries: &Map<String, Value>, space: &SearchSpace) -> Result<WrittenArch, ModelError> {
    if let Some(width) = entries.get(WIDTH_INDEX).filter(|width| !is_nothing(width)) {
        return Err(refused(format!(
            "`{WIDTH_INDEX}` is {}, expected null or 0: a supernet has one width, chosen with the space",
            shown(width)
        )));
    }
    let mut ignored: Vec<String> = entries.keys().filter(|key| !is_known(key)).cloned().collect();
    let [kernels, ratios, depths, widths] = OriginalArch::lengths(space);
    let mut list = |names: &[&'static str], length: usize| match entry(entries, names) {
        None | Some(Value::Null) if length > 0 => Err(refused(format!(
            "`{}` is missing: a dictionary of the original has ks, e and d, for a ResNet e, d and w",
            names[0]
        ))),
        Some(Value::Array(values)) => Ok(values.clone()),
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(one) => {
            if length == 0 {
                ignored.push(names[0].to_owned());
            }
            Ok(vec![one.clone(); length])
        }
    };
    let (kernels, ratios) = (list(&KERNELS, kernels)?, list(&RATIOS, ratios)?);
    let (depths, widths) = (list(&DEPTHS, depths)?, list(&WIDTHS, widths)?);
    let original = OriginalArch {
        ks: each(&kernels, 0, |value| whole(value, "ks"))?,
        e: each(&ratios, 0.0, |value| number(value, "e"))?,
        d: each(&depths, 0, |value| whole(value, "d"))?,
        w: each(&widths, 0, |value| whole(value, "w"))?,
        image_size: resolution(entries)?,
    };
    let space = original.image_size.map_or(space.clone(), |size| space.clone().with_resolution(size));
    Ok(WrittenArch { arch: Arch::from_original(&original, &space)?, ignored })
}

fn entry<'a>(entries: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| entries.get(*name))
}

fn is_known(key: &str) -> bool {
    [&KERNELS[..], &RATIOS, &DEPTHS, &WIDTHS, &RESOLUTIONS, &[WIDTH_INDEX]].iter().any(|names| names.contains(&key))
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().all(is_nothing),
        other => whole(other, WIDTH_INDEX) == Ok(0),
    }
}

/// Reads every value; null stands for a block that is skipped.
fn each<T: Copy>(
    values: &[Value],
    skipped: T,
    read: impl Fn(&Value) -> Result<T, String>,
) -> Result<Vec<T>, ModelError> {
    let read = |value: &Value| if value.is_null() { Ok(skipped) } else { read(value) };
    values.iter().map(read).collect::<Result<_, _>>().map_err(refused)
}

/// The resolution, if the dictionary has one.
fn resolution(entries: &Map<String, Value>) -> Result<Option<usize>, ModelError> {
    let mut found: Vec<(&str, usize)> = Vec::new();
    for name in RESOLUTIONS {
        match entries.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::Array(values)) if values.is_empty() => {}
            Some(value) => found.push((name, whole(value, name).map_err(refused)?)),
        }
    }
    match found[..] {
        [] => Ok(None),
        [(name, 0), ..] => Err(refused(format!("`{name}` is 0, expected the size of the images in pixels"))),
        [(name, size), ..] => match found.iter().find(|(_, other)| *other != size) {
            Some((other, value)) => Err(refused(format!("`{name}` is {size}, but `{other}` is {value}"))),
            None => Ok(Some(size)),
        },
    }
}
