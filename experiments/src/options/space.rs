//! Command-line options that select a search space, shared by the commands that work on networks instead of runs.

use anyhow::{Context, Result, bail};
use burn::tensor::TensorData;
use clap::Args;
use ofa_model::{SearchSpace, read_text};
use std::path::Path;

/// Names that `--space` takes.
const NAMES: [&str; 5] = ["mobilenet_v3", "proxyless_nas", "paper_v1", "resnet50d", "small_mobilenet_v3"];

/// A search space and its size.
#[derive(Clone, Debug, Args)]
pub struct SpaceOptions {
    /// Search space: mobilenet_v3, proxyless_nas, paper_v1, resnet50d, small_mobilenet_v3, or a space.json file
    #[arg(long)]
    space: String,
    /// Width multiplier of mobilenet_v3 (published: 1.0 and 1.2), proxyless_nas (published: 1.3) or paper_v1
    /// [default: 1.0]
    #[arg(long)]
    width: Option<f64>,
    /// Number of classes [default: that of the checkpoint or the space.json file, else 1000; small_mobilenet_v3: 10]
    #[arg(long)]
    classes: Option<usize>,
}

/// A search space and its size, where a run or a saved subnet may supply them instead.
#[derive(Clone, Debug, Args)]
pub struct OptionalSpace {
    /// Search space: mobilenet_v3, proxyless_nas, paper_v1, resnet50d, small_mobilenet_v3, or a space.json file
    /// [default: that of the run or of the saved subnet]
    #[arg(long)]
    space: Option<String>,
    /// Width multiplier of mobilenet_v3, proxyless_nas or paper_v1 [default: 1.0]
    #[arg(long, requires = "space")]
    width: Option<f64>,
    /// Number of classes [default: that of the space.json file, else 1000; small_mobilenet_v3: 10]
    #[arg(long, requires = "space")]
    classes: Option<usize>,
}

impl OptionalSpace {
    /// The selected space; `None` without `--space`.
    ///
    /// # Errors
    ///
    /// Those of [`SpaceOptions::space`].
    pub fn named(&self) -> Result<Option<SearchSpace>> {
        let Self { space, width, classes } = self.clone();
        space.map(|space| SpaceOptions { space, width, classes }.space(None)).transpose()
    }
}

impl SpaceOptions {
    /// A space by name, at its default width and number of classes.
    pub fn named(space: &str) -> Self {
        Self { space: space.to_owned(), width: None, classes: None }
    }

    /// Number of classes, if the options give one.
    pub fn classes(&self) -> Option<usize> {
        self.classes
    }

    /// The selected space with the classes of a checkpoint, whatever number the options give.
    ///
    /// # Errors
    ///
    /// Those of [`SpaceOptions::space`].
    pub fn of_checkpoint(&self, classes: Option<usize>) -> Result<SearchSpace> {
        Self { classes: None, ..self.clone() }.space(classes)
    }

    /// The selected space. `classes` (of a checkpoint) applies unless the options give a number.
    ///
    /// # Errors
    ///
    /// If the name is unknown, the file is not a valid space, the width is not in 0.05 to 20, or the space has no
    /// width multiplier.
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
                let mut space = read(Path::new(file))?;
                space.classes = chosen.unwrap_or(space.classes);
                space
            }
            name => bail!("unknown space `{name}`; choose from: {}, or a space.json file", NAMES.join(", ")),
        };
        space.validate()?;
        Ok(space)
    }
}

/// Number of classes of a checkpoint of the original: the length of its classifier's bias.
pub fn classes_of(tensors: &[(String, TensorData)]) -> Option<usize> {
    let bias = tensors.iter().find(|(key, _)| key.starts_with("classifier.") && key.ends_with("bias"));
    bias.map(|(_, data)| data.shape().num_elements())
}

fn read(path: &Path) -> Result<SearchSpace> {
    let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
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
        assert!(message(options("vgg", None, None)).contains("unknown space `vgg`; choose from: mobilenet_v3"));
        assert!(message(options("resnet50d", Some(1.2), None)).contains("`resnet50d` has no width"));
        assert!(message(options("mobilenet_v3", Some(0.0), None)).contains("--width 0 is not between"));
        assert!(message(options("mobilenet_v3", None, Some(0))).contains("classes is 0"));
    }
}
