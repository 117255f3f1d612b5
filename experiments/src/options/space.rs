//! Options that name a search space, shared by the binaries about networks rather than runs.

use anyhow::{Context, Result, bail};
use burn::tensor::TensorData;
use clap::Args;
use ofa_model::SearchSpace;
use std::path::PathBuf;

/// Names that `--space` takes.
const NAMES: [&str; 5] = ["mobilenet_v3", "proxyless_nas", "paper_v1", "resnet50d", "small_mobilenet_v3"];

/// Which search space, of which size.
#[derive(Clone, Debug, Args)]
pub struct SpaceOptions {
    /// mobilenet_v3, proxyless_nas, paper_v1, resnet50d, small_mobilenet_v3, or a space.json file
    #[arg(long)]
    space: String,
    /// Width multiplier of mobilenet_v3 (1.0 and 1.2 are published), proxyless_nas (1.3) or paper_v1 [default: 1.0]
    #[arg(long)]
    width: Option<f64>,
    /// Number of classes [default: 1000, those of a checkpoint, or those of the file]
    #[arg(long)]
    classes: Option<usize>,
}

/// Which search space, where it need not be named.
#[derive(Clone, Debug, Args)]
pub struct OptionalSpace {
    /// mobilenet_v3, proxyless_nas, paper_v1, resnet50d, small_mobilenet_v3, or a space.json file [default: that of the run]
    #[arg(long)]
    space: Option<String>,
    /// Width multiplier of mobilenet_v3, proxyless_nas or paper_v1 [default: 1.0]
    #[arg(long, requires = "space")]
    width: Option<f64>,
    /// Number of classes [default: 1000, or those of the file]
    #[arg(long, requires = "space")]
    classes: Option<usize>,
}

impl OptionalSpace {
    /// The space, if one is named.
    ///
    /// # Errors
    ///
    /// As [`SpaceOptions::space`].
    pub fn named(&self) -> Result<Option<SearchSpace>> {
        let Self { space, width, classes } = self.clone();
        space.map(|space| SpaceOptions { space, width, classes }.space(None)).transpose()
    }
}

impl SpaceOptions {
    /// A name alone.
    pub fn named(space: &str) -> Self {
        Self { space: space.to_owned(), width: None, classes: None }
    }

    /// The space, with `classes` (those of a checkpoint) unless the options name a number.
    ///
    /// # Errors
    ///
    /// An unknown name, a file that is no valid space, or a width for a space that has none.
    pub fn space(&self, classes: Option<usize>) -> Result<SearchSpace> {
        let chosen = self.classes.or(classes);
        let (width, classes) = (self.width.unwrap_or(1.0), chosen.unwrap_or(1000));
        if !(0.05..=20.0).contains(&width) {
            bail!("--width {width} is not between 0.05 and 20");
        }
        if self.width.is_some() && !["mobilenet_v3", "proxyless_nas", "paper_v1"].contains(&self.space.as_str()) {
            bail!("--width: `{}` has no width multiplier", self.space);
        }
        let space = match self.space.as_str() {
            "mobilenet_v3" => SearchSpace::mobilenet_v3(width, classes),
            "proxyless_nas" => SearchSpace::proxyless_nas(width, classes),
            "paper_v1" => SearchSpace::paper_v1(width, classes),
            "resnet50d" => SearchSpace::resnet50d(classes),
            "small_mobilenet_v3" => SearchSpace::small_mobilenet_v3(1, chosen.unwrap_or(10)),
            file if file.ends_with(".json") => {
                let mut space = read(&PathBuf::from(file))?;
                space.classes = chosen.unwrap_or(space.classes);
                space
            }
            name => bail!("unknown space `{name}`; known are {}, or a space.json file", NAMES.join(", ")),
        };
        space.validate()?;
        Ok(space)
    }
}

/// Classes of the original's checkpoint: rows of its classifier.
pub fn classes_of(tensors: &[(String, TensorData)]) -> Option<usize> {
    let bias = tensors.iter().find(|(key, _)| key.starts_with("classifier.") && key.ends_with("bias"));
    bias.map(|(_, data)| data.shape().num_elements())
}

fn read(path: &PathBuf) -> Result<SearchSpace> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a search space", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(space: &str, width: Option<f64>, classes: Option<usize>) -> SpaceOptions {
        SpaceOptions { space: space.to_owned(), width, classes }
    }

    #[test]
    fn every_name_is_a_space() {
        for name in NAMES {
            options(name, None, None).space(None).unwrap();
        }
        assert_eq!(options("resnet50d", None, None).space(Some(7)).unwrap().classes, 7);
        assert_eq!(options("resnet50d", None, Some(3)).space(Some(7)).unwrap().classes, 3);
    }

    #[test]
    fn a_space_in_a_file_is_read() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("space.json");
        let space = SearchSpace::small_mobilenet_v3(3, 4);
        std::fs::write(&path, serde_json::to_string(&space).unwrap()).unwrap();
        assert_eq!(options(path.to_str().unwrap(), None, None).space(None).unwrap(), space);
        std::fs::write(&path, "{}").unwrap();
        let message = format!("{:#}", options(path.to_str().unwrap(), None, None).space(None).unwrap_err());
        assert!(message.contains("space.json is not a search space"), "{message}");
    }

    #[test]
    fn impossible_options_are_named() {
        let message = |options: SpaceOptions| options.space(None).unwrap_err().to_string();
        assert!(message(options("vgg", None, None)).contains("unknown space `vgg`; known are mobilenet_v3"));
        assert!(message(options("resnet50d", Some(1.2), None)).contains("`resnet50d` has no width"));
        assert!(message(options("mobilenet_v3", Some(0.0), None)).contains("--width 0 is not between"));
        assert!(message(options("mobilenet_v3", None, Some(0))).contains("classes is 0"));
    }
}
