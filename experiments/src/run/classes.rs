//! Classes of a network and of images, matched by name or WordNet id.

use std::collections::{BTreeSet, HashMap};

const IMAGENET: &str = include_str!("classes/imagenet.txt");

/// ImageNet's 1,000 classes in the order of the logits of published networks: WordNet id, then names.
pub fn imagenet() -> Vec<String> {
    IMAGENET.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// How the classes of images relate to those of a network.
#[derive(Debug, PartialEq, Eq)]
pub enum Match {
    /// Class for class the same.
    Same,
    /// Each class of the images is this class of the network.
    Selected(Vec<usize>),
    /// Classes of the images whose names the network does not know, or knows for another class already.
    Unknown(Vec<String>),
}

/// Matches the classes of images with those of a network by WordNet id or name. Case, `_` and `-` do not count, and of
/// several names separated by commas any does.
pub fn matched(network: &[String], images: &[String]) -> Match {
    if network == images {
        return Match::Same;
    }
    // None for a name of several classes.
    let mut known: HashMap<String, Option<usize>> = HashMap::new();
    for (class, name) in network.iter().enumerate() {
        for alias in aliases(name) {
            known.entry(alias).and_modify(|owner| *owner = None).or_insert(Some(class));
        }
    }
    let find = |name: &String| aliases(name).iter().find_map(|alias| known.get(alias).copied().flatten());
    let found: Vec<Option<usize>> = images.iter().map(find).collect();
    let mut taken = BTreeSet::new();
    let repeated = |class: &Option<usize>| class.is_none_or(|class| !taken.insert(class));
    let unknown: Vec<String> =
        found.iter().map(repeated).zip(images).filter(|(unknown, _)| *unknown).map(|(_, name)| name.clone()).collect();
    if !unknown.is_empty() {
        return Match::Unknown(unknown);
    }
    let classes: Vec<usize> = found.into_iter().flatten().collect();
    if classes.iter().copied().eq(0..network.len()) { Match::Same } else { Match::Selected(classes) }
}

/// Whether names are numbers that were sorted as text: 0, 1, 10, 11, .., 2.
pub fn sorted_as_text(names: &[String]) -> bool {
    let numbers: Option<Vec<u64>> = names.iter().map(|name| name.parse().ok()).collect();
    numbers.is_some_and(|numbers| !numbers.is_sorted())
}

/// The ways to call a class, the most certain first.
fn aliases(name: &str) -> Vec<String> {
    let plain = |text: &str| text.trim().replace(['_', '-'], " ").to_lowercase();
    let id = name.split(|c: char| !c.is_alphanumeric()).find(|word| is_wordnet_id(word));
    let names = id.map_or(name.to_owned(), |id| name.replacen(id, "", 1));
    let mut aliases: Vec<String> = id.map(str::to_lowercase).into_iter().collect();
    aliases.push(plain(names.trim_matches(|c: char| c == '-' || c == '_' || c.is_whitespace())));
    aliases.extend(names.split(',').map(plain));
    let mut seen = BTreeSet::new();
    aliases.retain(|alias| !alias.is_empty() && seen.insert(alias.clone()));
    aliases
}

fn is_wordnet_id(word: &str) -> bool {
    word.strip_prefix('n').is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn the_table_is_imagenets() {
        let classes = imagenet();
        assert_eq!((classes.len(), classes[0].as_str()), (1000, "n01440764 tench, Tinca tinca"));
        assert!(classes[388].starts_with("n02510455 giant panda") && classes.is_sorted_by_key(|name| &name[..9]));
    }

    #[test]
    fn classes_are_found_by_id_or_name_in_any_order() {
        let network = imagenet();
        let found = |images: &[&str]| matched(&network, &names(images));
        assert_eq!(found(&["n02510455", "n01440764"]), Match::Selected(vec![388, 0]));
        assert_eq!(found(&["giant_panda", "Tench", "hen"]), Match::Selected(vec![388, 0, 8]));
        assert_eq!(found(&["n01440764-tench", "388_n02510455_giant panda"]), Match::Selected(vec![0, 388]));
        assert_eq!(found(&["cat", "tench", "crane", "goldfish"]), Match::Unknown(names(&["cat", "crane"])));
        assert_eq!(found(&["tench", "n01440764"]), Match::Unknown(names(&["n01440764"])), "one class twice");
        let ids: Vec<String> = network.iter().map(|name| name[..9].to_owned()).collect();
        assert_eq!(matched(&network, &ids), Match::Same);
        let (ours, theirs) = (names(&["cat", "dog"]), names(&["dog", "cat"]));
        assert_eq!(matched(&ours, &ours), Match::Same);
        assert_eq!(matched(&ours, &theirs), Match::Selected(vec![1, 0]));
    }

    #[test]
    fn numbers_sorted_as_text_are_seen() {
        let numbers = |count: usize| (0..count).map(|i| i.to_string()).collect::<Vec<_>>();
        let mut text = numbers(12);
        text.sort();
        assert!(sorted_as_text(&text) && !sorted_as_text(&numbers(12)) && !sorted_as_text(&names(&["b", "a"])));
        assert!(!sorted_as_text(&names(&["000", "001", "010"])));
    }
}
