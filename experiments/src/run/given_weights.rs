//! Weights that a training is given: those it begins with, and those of its teacher.

use crate::config::ExperimentConfig;
use crate::run::supernet_file;
use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use ofa_model::{Supernet, SupernetConfig};
use std::path::{Path, PathBuf};

/// The initial weights, on the autodiff device: random, or those of `training.start`. For other classes than the start
/// has, the classifier is a new one, and a line says so.
pub(crate) fn initial(config: &ExperimentConfig, device: &Device) -> Result<(Supernet, Option<String>)> {
    let space = &config.space;
    let Some(path) = &config.training.start else {
        let random = SupernetConfig::new(space.clone())?
            .with_seed(config.seed)
            .with_zero_last_gamma(config.training.recipe.zero_last_gamma);
        return Ok((random.init(&device.clone().autodiff()), None));
    };
    let found = supernet_file::open(path, device).with_context(|| in_words("training.start", path))?.supernet;
    let (name, classes) = (found.space().name.clone(), found.space().classes);
    let keeps_head = classes == space.classes;
    let found = if keeps_head { found } else { found.with_new_head(space.classes, config.seed)? };
    let fitting = found.in_space(space).with_context(|| {
        format!(
            "training.start: {} is a supernet of `{name}`, which differs from `{}` of this configuration in more than \
             resolutions and the number of classes: copy its space.json into the configuration, or start without it",
            path.display(),
            space.name
        )
    })?;
    let note = || {
        format!(
            "training.start: {} has {classes} classes, the images {}: everything but the classifier is kept",
            path.display(),
            space.classes
        )
    };
    Ok((fitting.train(), (!keeps_head).then(note)))
}

/// The teacher of `training.teacher`, if there is one: a finished supernet, not a checkpoint of a run in progress, so a
/// resumed run finds the same one.
pub(crate) fn teacher(config: &ExperimentConfig, device: &Device) -> Result<Option<Supernet>> {
    let read =
        |path: &PathBuf| supernet_file::finished(path, device).with_context(|| in_words("training.teacher", path));
    config.training.teacher.as_ref().map(read).transpose()
}

/// Reads the weights that the configuration names, so that what is wrong with them is known before a run begins.
pub(crate) fn check(config: &ExperimentConfig, device: &Device) -> Result<()> {
    if config.training.start.is_some() {
        initial(config, device)?;
    }
    teacher(config, device).map(drop)
}

fn in_words(key: &str, path: &Path) -> String {
    format!("{key}: the supernet in {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ofa_model::SearchSpace;

    #[test]
    fn a_start_of_other_classes_keeps_everything_but_the_classifier() {
        let root = tempfile::tempdir().unwrap();
        let start = root.path().join("start");
        let device = Device::flex();
        let of = |space: SearchSpace| SupernetConfig::new(space).unwrap().with_seed(3).init(&device);
        let there = of(SearchSpace::small_mobilenet_v3(1, 10));
        there.save(&start).unwrap();
        let mut config = ExperimentConfig::preset("smoke").unwrap();
        config.space = SearchSpace { resolutions: vec![24, 40], ..SearchSpace::small_mobilenet_v3(1, 2) };
        config.training.start = Some(start);
        let (supernet, note) = initial(&config, &device).unwrap();
        assert!(note.unwrap().contains("has 10 classes, the images 2: everything but the classifier is kept"));
        assert_eq!(supernet.space(), &config.space);
        for ((key, before), (_, after)) in there.to_original().iter().zip(&supernet.valid().to_original()) {
            assert_eq!(before == after, !key.starts_with("classifier."), "{key}");
        }
        config.space.classes = 10;
        assert_eq!(initial(&config, &device).unwrap().1, None);
        config.space.stages[0].channels *= 2;
        let message = initial(&config, &device).err().unwrap().to_string();
        assert!(message.contains("differs from `small_mobilenet_v3` of this configuration in more than"), "{message}");
    }
}
