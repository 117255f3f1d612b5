//! Parsing archs given on the command line.

use anyhow::{Context, Result};
use ofa_model::{Arch, OriginalArch, SearchSpace};
use std::path::Path;

/// Reads an arch of `space`. `text` is the arch's text form, or a file: an arch as JSON, a dictionary of the original
/// code, or the `net.config` of one of its specialised nets.
///
/// `resolution` overrides the arch's own, even with one that the space does not list: weights do not depend on it.
///
/// # Errors
///
/// If `text` is not an arch, or makes a choice that the space does not offer.
pub fn read_arch(text: &str, space: &SearchSpace, resolution: Option<usize>) -> Result<Arch> {
    let is_file = text.ends_with(".json") || Path::new(text).is_file();
    let arch = if is_file { from_file(Path::new(text), space)? } else { text.parse()? };
    let checked = match resolution {
        Some(resolution) => arch.at_resolution(resolution),
        None => arch,
    };
    with_resolution(space, resolution).check(&checked)?;
    Ok(checked)
}

/// `space` with `resolution` added, if it does not list it already.
pub fn with_resolution(space: &SearchSpace, resolution: Option<usize>) -> SearchSpace {
    let mut space = space.clone();
    space.resolutions.extend(resolution);
    space.resolutions.sort_unstable();
    space.resolutions.dedup();
    space
}

fn from_file(path: &Path, space: &SearchSpace) -> Result<Arch> {
    let context = || format!("{} is not an arch", path.display());
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let value: serde_json::Value = serde_json::from_str(&text).with_context(context)?;
    if let Some(text) = value.as_str() {
        return text.parse().with_context(context);
    }
    if value.get("stages").is_some() {
        return serde_json::from_value(value).with_context(context);
    }
    if value.get("blocks").is_some() {
        return Arch::from_original_config(&text, space).with_context(context);
    }
    let original: OriginalArch = serde_json::from_value(value).with_context(context)?;
    // The original does not restrict resolutions to a list.
    let space = with_resolution(space, original.image_size);
    Arch::from_original(&original, &space).with_context(context)
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
    fn what_is_no_arch_is_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("arch.json");
        let space = SearchSpace::small_mobilenet_v3(1, 10);
        let message = |text: &str| format!("{:#}", read_arch(text, &space, None).unwrap_err());
        std::fs::write(&path, r#"{"e": [], "d": []}"#).unwrap();
        assert!(message(path.to_str().unwrap()).contains("arch.json is not an arch: `ks` of the original's arch"));
        assert!(message("r28-k3e3").contains("number of stages is 1, allowed: 3"));
        assert!(message("x").contains("`x` is not an arch"));
    }
}
