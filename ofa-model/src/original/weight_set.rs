//! [`WeightSet`]: tensors of a checkpoint that are the weights of one network.

use std::collections::{BTreeMap, HashSet};

/// Tensors whose paths share a prefix before the original's names.
#[derive(Debug, Default)]
pub(super) struct WeightSet {
    /// The dictionaries, wrappers and attributes around the network, joined by dots.
    pub(super) prefix: String,
    /// Path in the file and name in the network, sorted.
    pub(super) keys: Vec<(String, String)>,
    /// Wrappers inside the names, which were taken out.
    pub(super) wrappers: Vec<String>,
}

/// What compilers and trainers put around a module, also one inside the network.
const WRAPPERS: [&str; 4] = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
/// Words in the key of a moving average.
const AVERAGES: [&str; 7] = ["ema", "average", "averaged", "avg", "swa", "shadow", "polyak"];
/// Words in the key of what is not the result of a training.
const LESSER: [&str; 10] =
    ["teacher", "grad", "grads", "gradients", "optimizer", "optim", "momentum", "init", "initial", "start"];

/// All sets of weights among the paths of tensors, by prefix.
pub(super) fn all<'a>(keys: impl Iterator<Item = &'a str> + Clone) -> Vec<WeightSet> {
    let mut sets: BTreeMap<String, WeightSet> = BTreeMap::new();
    for (key, (prefix, name, wrappers)) in keys.clone().filter_map(|key| Some((key, split(key)?))) {
        let set = sets.entry(prefix.clone()).or_insert_with(|| WeightSet { prefix, ..WeightSet::default() });
        set.keys.push((key.to_owned(), name));
        set.wrappers.extend(wrappers);
    }
    // What else lies in the dictionary of a set belongs to it, to be reported if it does not fit.
    let prefixes: Vec<String> = sets.keys().cloned().collect();
    for key in keys.filter(|key| split(key).is_none()) {
        let owner = prefixes.iter().filter(|prefix| below(key, prefix).is_some()).max_by_key(|prefix| prefix.len());
        if let Some(set) = owner.and_then(|prefix| sets.get_mut(prefix)) {
            let name = below(key, &set.prefix).expect("the owner is above").to_owned();
            set.keys.push((key.to_owned(), name));
        }
    }
    let tidy = |mut set: WeightSet| {
        set.keys.sort_by(|(_, a), (_, b)| a.cmp(b));
        set.wrappers.sort();
        set.wrappers.dedup();
        set
    };
    sets.into_values().map(tidy).collect()
}

/// The set below the key `chosen`, or without it the one to prefer.
pub(super) fn choose<'a>(sets: &'a [WeightSet], chosen: Option<&str>) -> Option<&'a WeightSet> {
    sets.iter().filter(|set| chosen.is_none_or(|key| set.is_below(key))).min_by_key(|set| set.rank())
}

impl WeightSet {
    /// The prefix, or a dot for none.
    pub(super) fn label(&self) -> String {
        if self.prefix.is_empty() { ".".to_owned() } else { self.prefix.clone() }
    }

    pub(super) fn is_average(&self) -> bool {
        self.says(&AVERAGES)
    }

    /// Tensors that belong to no set, as the parts of the file that they lie in.
    pub(super) fn left_out<'a>(&self, keys: impl Iterator<Item = &'a str>, sets: &[Self]) -> Vec<String> {
        let taken: HashSet<&str> = sets.iter().flat_map(|set| &set.keys).map(|(path, _)| path.as_str()).collect();
        let mut parts: Vec<String> =
            keys.filter(|key| !taken.contains(key)).map(|key| self.first_difference(key)).collect();
        parts.dedup();
        parts
    }

    /// The beginning of `key`, up to the first part in which it differs from the prefix.
    fn first_difference(&self, key: &str) -> String {
        let same = key.split('.').zip(self.prefix.split('.')).take_while(|(ours, theirs)| ours == theirs).count();
        key.split('.').take(same + 1).collect::<Vec<_>>().join(".")
    }

    /// Whether the key is the whole prefix, its beginning, or parts in a row.
    fn is_below(&self, key: &str) -> bool {
        let (parts, key): (Vec<&str>, Vec<&str>) = (self.prefix.split('.').collect(), key.split('.').collect());
        key.iter().all(|part| part.is_empty()) && self.prefix.is_empty()
            || parts.windows(key.len()).any(|window| window == key)
    }

    /// Smaller is better.
    fn rank(&self) -> (bool, bool, bool, usize, &str) {
        let has_statistics = self.keys.iter().any(|(_, name)| name.ends_with("running_var"));
        (!has_statistics, self.says(&LESSER), !self.is_average(), self.prefix.len(), &self.prefix)
    }

    fn says(&self, words: &[&str]) -> bool {
        let prefix = self.prefix.to_lowercase();
        prefix.split(|c: char| !c.is_alphanumeric()).any(|word| words.contains(&word))
    }
}

/// `key` without the parts of `prefix`.
fn below<'a>(key: &'a str, prefix: &str) -> Option<&'a str> {
    if prefix.is_empty() { Some(key) } else { key.strip_prefix(prefix)?.strip_prefix('.') }
}

/// The prefix and the original's name in the path of a tensor, with the wrappers taken out of the name.
fn split(key: &str) -> Option<(String, String, Vec<String>)> {
    let parts: Vec<&str> = key.split('.').collect();
    let start = (0..parts.len()).find(|&start| is_name(&parts[start..]))?;
    let (wrappers, name): (Vec<&str>, Vec<&str>) =
        parts[start..].iter().copied().partition(|part| WRAPPERS.contains(part));
    Some((parts[..start].join("."), name.join("."), wrappers.into_iter().map(str::to_owned).collect()))
}

/// Whether the parts are a parameter's name in one of the original's networks.
fn is_name(parts: &[&str]) -> bool {
    if WRAPPERS.contains(&parts[0]) {
        return false;
    }
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !WRAPPERS.contains(part)).collect();
    let is_leaf = |leaf: &str| {
        ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"].contains(&leaf)
            || leaf.ends_with("_matrix")
    };
    let is_number = |part: &str| part.parse::<usize>().is_ok();
    let is_layer = |layer: &str| {
        ["conv", "mobile_inverted_conv", "conv1", "conv2", "conv3", "downsample", "shortcut"].contains(&layer)
    };
    parts.last().is_some_and(|leaf| is_leaf(leaf))
        && match parts[..] {
            ["first_conv" | "final_expand_layer" | "feature_mix_layer", _, ..] | ["classifier", "linear", ..] => true,
            ["input_stem", number, ..] => is_number(number),
            ["blocks", number, layer, ..] => is_number(number) && is_layer(layer),
            [first, _, ..] => first.strip_prefix("first_conv_").is_some_and(is_number),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(keys: &[&str]) -> Vec<WeightSet> {
        all(keys.iter().copied())
    }

    fn names(set: &WeightSet) -> Vec<&str> {
        set.keys.iter().map(|(_, name)| name.as_str()).collect()
    }

    #[test]
    fn any_prefix_goes_and_wrappers_inside_go_too() {
        let plain = ["blocks.0.conv.point_linear.bn.weight", "classifier.linear.weight", "first_conv.conv.weight"];
        for prefix in ["", "module.", "module._orig_mod.", "a.b.c.model.", "model_ema.module.", "net.0."] {
            let keys: Vec<String> = plain.iter().map(|key| format!("{prefix}{key}")).collect();
            let found = sets(&keys.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!((found.len(), names(&found[0])), (1, plain.to_vec()), "{prefix}");
            assert_eq!(found[0].prefix, prefix.trim_end_matches('.'));
        }
        let found = sets(&["blocks.3._orig_mod.mobile_inverted_conv.depth_conv.conv._orig_mod.7to5_matrix"]);
        assert_eq!(names(&found[0]), ["blocks.3.mobile_inverted_conv.depth_conv.conv.7to5_matrix"]);
        assert_eq!(found[0].wrappers, ["_orig_mod"]);
    }

    #[test]
    fn what_is_no_network_of_the_original_is_no_set() {
        let others =
            ["blocks.0.0.conv_pw.weight", "features.0.weight", "classifier.0.weight", "conv1.weight", "images"];
        assert!(sets(&others).is_empty());
        assert!(sets(&["optimizer.first_conv.conv.weight.exp_avg"]).is_empty());
    }

    #[test]
    fn the_moving_average_goes_first_if_it_is_whole() {
        let set = |prefix: &str, leaf: &str| format!("{prefix}.first_conv.bn.{leaf}");
        let whole =
            [set("model", "running_var"), set("model_ema.module", "running_var"), set("teacher", "running_var")];
        let found = all(whole.iter().map(String::as_str));
        let prefix = |chosen| choose(&found, chosen).map(|set| set.prefix.as_str());
        assert_eq!((prefix(None), prefix(Some("model"))), (Some("model_ema.module"), Some("model")));
        assert_eq!((prefix(Some("model_ema")), prefix(Some("teacher"))), (Some("model_ema.module"), Some("teacher")));
        assert_eq!((prefix(Some("ema")), prefix(Some("."))), (None, None));
        let half = [set("model", "running_var"), set("ema", "weight")];
        let found = all(half.iter().map(String::as_str));
        assert_eq!(choose(&found, None).unwrap().prefix, "model");
    }

    #[test]
    fn what_lies_beside_the_weights_is_told_apart_from_what_lies_among_them() {
        let keys = ["epoch.0", "optimizer.state.0.exp_avg", "optimizer.state.1.exp_avg", "sd.loss.weight"];
        let weights = ["sd.net.first_conv.conv.weight", "sd.net.extra.weight"];
        let found = sets(&[&keys[..], &weights].concat());
        assert_eq!(names(&found[0]), ["extra.weight", "first_conv.conv.weight"]);
        assert_eq!(found[0].left_out(keys.into_iter().chain(weights), &found), ["epoch", "optimizer", "sd.loss"]);
        let flat = sets(&["first_conv.conv.weight", "aux.weight"]);
        assert_eq!(names(&flat[0]), ["aux.weight", "first_conv.conv.weight"]);
    }
}
