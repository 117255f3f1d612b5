//! Parsing archs given on the command line.

use anyhow::{Context, Result, bail, ensure};
use ofa_model::{Arch, SearchSpace, WrittenArch, read_text};
use std::path::{Path, PathBuf};

/// Largest resolution that is taken, in pixels: a slip must not exhaust memory.
const LARGEST_RESOLUTION: usize = 16_384;

/// Reads an arch of `space`. `text` is the arch in any form of [`WrittenArch`], a file with it, or a directory with our
/// `arch.json` or `card.json`.
///
/// `resolution` overrides the arch's own. Either may be one that the space does not list, because weights do not
/// depend on it: see [`with_resolution`].
///
/// # Errors
///
/// If `text` is not an arch, or makes a choice that the space does not offer.
pub fn read_arch(text: &str, space: &SearchSpace, resolution: Option<usize>) -> Result<Arch> {
    let arch = match file_of(text)? {
        Some(path) => {
            let content = read_text(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let context = || format!("{} is not an arch", path.display());
            found(WrittenArch::parse(&content, space).with_context(context)?, &path.display().to_string())
        }
        None => found(WrittenArch::parse(text, space)?, "the arch"),
    };
    let checked = match resolution {
        Some(resolution) => arch.at_resolution(resolution),
        None => arch,
    };
    let pixels = checked.resolution;
    ensure!(
        (1..=LARGEST_RESOLUTION).contains(&pixels),
        "the resolution is {pixels}, expected 1 to {LARGEST_RESOLUTION}"
    );
    with_resolution(space, Some(pixels)).check(&checked)?;
    Ok(checked)
}

/// The space that a subnet's file names, if `text` is such a file or the directory of a saved or exported subnet.
///
/// # Errors
///
/// If the file cannot be read, its space is invalid, or `text` is a directory of something else.
pub fn space_of(text: &str) -> Result<Option<SearchSpace>> {
    let Some(path) = file_of(text)? else { return Ok(None) };
    let content = read_text(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // Archs have forms that are not JSON, and those name no space.
    let Ok(mut card) = serde_json::from_str::<serde_json::Value>(&content) else { return Ok(None) };
    let space = card.get_mut("space").map(serde_json::Value::take);
    space.map(serde_json::from_value).transpose().with_context(|| format!("the space in {}", path.display()))
}

/// Reads a list of archs: one in a line, or a JSON list. Empty lines and lines that start with # are skipped.
///
/// # Errors
///
/// Those of [`read_arch`], with the line.
pub fn read_archs(path: &Path, space: &SearchSpace) -> Result<Vec<Arch>> {
    let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
    if let Ok(serde_json::Value::Array(items)) = serde_json::from_str(&text) {
        let arch = |(item, number): (&serde_json::Value, usize)| {
            read_arch(&item.to_string(), space, None).with_context(|| format!("{}: item {number}", path.display()))
        };
        return items.iter().zip(1..).map(arch).collect();
    }
    let lines = text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let arch = |(line, number)| read_arch(line, space, None).with_context(|| format!("{}:{number}", path.display()));
    lines.map(arch).collect()
}

/// `space` with `resolution` added, if it does not list it already.
pub fn with_resolution(space: &SearchSpace, resolution: Option<usize>) -> SearchSpace {
    resolution.map_or(space.clone(), |resolution| space.clone().with_resolution(resolution))
}

/// The arch, after the keys that choose nothing have been named on stderr.
#[allow(clippy::print_stderr, reason = "stdout is for results")]
fn found(written: WrittenArch, origin: &str) -> Arch {
    if !written.ignored.is_empty() {
        eprintln!("{origin}: not part of an arch and ignored: {}", written.ignored.join(", "));
    }
    written.arch
}

/// The file that `text` names; `None` if it is an arch itself.
fn file_of(text: &str) -> Result<Option<PathBuf>> {
    let path = Path::new(text);
    if path.is_dir() {
        let card = ["arch.json", "card.json"].into_iter().map(|name| path.join(name)).find(|file| file.is_file());
        return match card {
            Some(card) => Ok(Some(card)),
            None if path.join("subnets").is_dir() => {
                bail!("{text} is a run, not an arch: name one of the directories in {text}/subnets")
            }
            None if path.join("space.json").is_file() => {
                bail!("{text} is a supernet, not an arch: name one of its archs")
            }
            None => bail!("{text} has neither an arch.json nor a card.json"),
        };
    }
    let is_literal = text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[', '(', '"', '\'']);
    let is_file = !is_literal && (text.ends_with(".json") || text.ends_with(".config") || path.is_file());
    Ok(is_file.then(|| path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_arch_is_understood() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("arch.json");
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let arch = space.smallest();
        let forms = [
            serde_json::to_string(&arch).unwrap(),
            serde_json::to_string(&arch.to_string()).unwrap(),
            serde_json::to_string(&arch.to_original(&space)).unwrap(),
        ];
        for form in forms {
            std::fs::write(&path, form).unwrap();
            assert_eq!(read_arch(path.to_str().unwrap(), &space, None).unwrap(), arch);
        }
        assert_eq!(read_arch(&arch.to_string(), &space, Some(36)).unwrap(), arch.at_resolution(36));
    }

    #[test]
    fn a_list_is_read_in_every_form() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("archs.txt");
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let [small, large] = [space.smallest(), space.largest()];
        let dictionary = "{'ks': 7, 'e': 6, 'd': 4, 'wid': None}";
        let quoted = serde_json::to_string(&[small.to_string(), large.to_string()]).unwrap();
        for text in [format!("\u{feff}{small}\r\n# more\n\n{large}\r\n"), format!("{small}\n{dictionary}\n"), quoted] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_archs(&path, &space).unwrap(), [small.clone(), large.clone()]);
        }
        std::fs::write(&path, format!("{small}\nr28\n")).unwrap();
        let message = format!("{:#}", read_archs(&path, &space).unwrap_err());
        assert!(message.contains("archs.txt:2: `r28` is not an arch"), "{message}");
    }

    #[test]
    fn the_space_is_that_of_a_subnets_directory() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().to_str().unwrap();
        let space = SearchSpace::small_mobilenet_v3(3, 4);
        let (arch, written) = (space.smallest().to_string(), serde_json::to_value(&space).unwrap());
        let message = format!("{:#}", space_of(dir).unwrap_err());
        assert!(message.ends_with("has neither an arch.json nor a card.json"), "{message}");
        for name in ["card.json", "arch.json"] {
            let path = root.path().join(name);
            let write = |space: &serde_json::Value| {
                std::fs::write(&path, serde_json::json!({ "arch": arch, "space": space }).to_string()).unwrap();
            };
            write(&written);
            assert_eq!(space_of(dir).unwrap().as_ref(), Some(&space), "{name}");
            write(&serde_json::json!({}));
            let message = format!("{:#}", space_of(dir).unwrap_err());
            assert!(message.contains(&format!("the space in {}", path.display())), "{message}");
        }
        std::fs::write(root.path().join("arch.json"), "{'ks': 7, 'e': 6, 'd': 4}").unwrap();
        assert_eq!([space_of(dir).unwrap(), space_of(&arch).unwrap()], [None, None]);
    }

    #[test]
    fn what_is_no_arch_is_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("arch.json");
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let message = |text: &str| format!("{:#}", read_arch(text, &space, None).unwrap_err());
        std::fs::write(&path, r#"{"e": [], "d": []}"#).unwrap();
        assert!(message(path.to_str().unwrap()).contains("arch.json is not an arch: this is no arch: `ks` is missing"));
        std::fs::create_dir(root.path().join("subnets")).unwrap();
        assert!(message(root.path().to_str().unwrap()).contains("arch.json is not an arch"));
        std::fs::remove_file(&path).unwrap();
        assert!(message(root.path().to_str().unwrap()).contains("is a run, not an arch: name one of the directories"));
        assert!(message("r0-k3e3.k3e3-k3e3.k3e3-k3e3.k3e3").contains("resolution is 0"));
        assert!(message("r99999-k3e3.k3e3-k3e3.k3e3-k3e3.k3e3").contains("expected 1 to 16384"));
        assert!(message("r28-k3e3").contains("number of stages is 1, allowed: 3"));
        assert!(message("x").contains("`x` is not an arch"));
    }
}
