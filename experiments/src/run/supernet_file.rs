//! The trained supernet of a run: a directory in the format of `ofa weights import`, which every command reads.

use crate::config::ExperimentConfig;
use crate::run::classes::{Match, imagenet, matched, sorted_as_text};
use crate::run::run_dir::RunDir;
use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use ofa_data::{FashionMnist, Layout, Splits};
use ofa_model::{SearchSpace, SubnetCard, Supernet, SupernetConfig};
use ofa_train::{CheckpointDir, DamagedCheckpoint};
use std::fs;
use std::path::{Path, PathBuf};

/// Subdirectory of a run that holds its trained supernet.
pub const SUPERNET: &str = "supernet";
/// Subdirectory of a run that holds its checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";

/// Writes the supernet of a run, replacing that of an earlier attempt once the new one is complete.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(supernet: &Supernet, dir: &RunDir) -> Result<()> {
    supernet.save_over(&dir.path(SUPERNET)).context("cannot write the supernet")
}

/// Reads the trained supernet of a run; `None` if it has not finished training.
///
/// # Errors
///
/// If the files are damaged.
pub fn read(dir: &RunDir, device: &Device) -> Result<Option<Supernet>> {
    let path = dir.path(SUPERNET);
    Ok(if Supernet::is_saved_in(&path) { Some(Supernet::load(&path, device)?) } else { None })
}

/// Reads the supernet in `root`: a supernet directory, or a run that has finished training.
///
/// # Errors
///
/// If there is no supernet, or it is damaged.
pub fn finished(root: &Path, device: &Device) -> Result<Supernet> {
    let of_run = root.join(SUPERNET);
    Ok(Supernet::load(if Supernet::is_saved_in(&of_run) { &of_run } else { root }, device)?)
}

/// The space of the supernet in `root`, a supernet directory or a run that has finished training, without its weights.
///
/// # Errors
///
/// If there is no supernet.
pub fn space(root: &Path) -> Result<SearchSpace> {
    let of_run = root.join(SUPERNET);
    Ok(Supernet::space_in(if Supernet::is_saved_in(&of_run) { &of_run } else { root })?)
}

/// A supernet and its origin.
pub struct OpenedSupernet {
    /// The weights.
    pub supernet: Supernet,
    /// Directory of the weights.
    pub path: PathBuf,
    /// Configuration of the run that trained it; `None` if not opened from a run directory.
    pub config: Option<ExperimentConfig>,
    /// Damaged checkpoints that were skipped, with the reason.
    pub damaged: Vec<DamagedCheckpoint>,
}

/// Opens the supernet in `root`: a directory written by [`write()`] or `ofa weights import`, or a run, whose newest
/// intact checkpoint is used until it has finished training.
///
/// # Errors
///
/// If there is no supernet, or it is damaged.
pub fn open(root: &Path, device: &Device) -> Result<OpenedSupernet> {
    if Supernet::is_saved_in(root) {
        let supernet = Supernet::load(root, device)?;
        return Ok(OpenedSupernet { supernet, path: root.to_owned(), config: None, damaged: Vec::new() });
    }
    let (dir, text) = RunDir::open(root)
        .with_context(|| format!("{} is neither a run directory nor a supernet directory", root.display()))?;
    let config = ExperimentConfig::parse(&text).with_context(|| dir.path("config.toml").display().to_string())?;
    if let Some(supernet) = read(&dir, device)? {
        return Ok(OpenedSupernet { supernet, path: dir.path(SUPERNET), config: Some(config), damaged: Vec::new() });
    }
    let blank = SupernetConfig::new(config.space.clone())?.init(device);
    match CheckpointDir::new(dir.path(CHECKPOINTS), 1).supernet(blank)? {
        Some(saved) => Ok(OpenedSupernet {
            supernet: saved.supernet,
            path: saved.path,
            config: Some(config),
            damaged: saved.damaged,
        }),
        None => bail!("{} contains no supernet and no checkpoint yet", root.display()),
    }
}

impl OpenedSupernet {
    /// Lists the images in `data`. Where their classes are some of the network's, or all in another order, by name or
    /// WordNet id, the network keeps these, in the order of the images; a line on stderr says so.
    ///
    /// # Errors
    ///
    /// If the images cannot be listed, or the network has no class for one of theirs.
    #[allow(clippy::print_stderr, reason = "stdout is for results")]
    pub fn for_images_in(&mut self, data: &Path) -> Result<Splits> {
        let seed = self.configuration(Some(data))?.seed;
        let images = Layout::detect(data)?.load(self.supernet.space().image_channels, seed)?;
        if let Some(note) = self.select_classes(&images.classes)? {
            eprintln!("{}: {note}", data.display());
        }
        Ok(images)
    }

    /// Keeps the classes called `images`, and says what was done or is in doubt.
    fn select_classes(&mut self, images: &[String]) -> Result<Option<String>> {
        let classes = self.supernet.space().classes;
        let known = self.class_names();
        match known.as_ref().map(|network| matched(network, images)) {
            Some(Match::Same) => Ok(None),
            Some(Match::Selected(selected)) => {
                self.supernet = self.supernet.clone().with_classes(&selected);
                Ok(Some(format!("scored among {} of the network's {classes} classes, matched by name", selected.len())))
            }
            _ if images.len() == classes => Ok(sorted_as_text(images).then(|| {
                format!(
                    "warning: the names of the classes are numbers sorted as text ({}, ..): if the network counts them, \
                     its scores are wrong; write them with leading zeros",
                    images[..3].join(", ")
                )
            })),
            Some(Match::Unknown(unknown)) => bail!(
                "the network has {classes} classes, and none called {}{}",
                unknown.iter().take(10).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
                if unknown.len() > 10 { format!(" and {} more", unknown.len() - 10) } else { String::new() }
            ),
            None => bail!(
                "the images have {} classes, the network {classes}, whose names are not known: import the weights \
                 with --new-head to train them on these images",
                images.len()
            ),
        }
    }

    /// Names of the classes: those of the run's subnets, else of its images; ImageNet's if there are 1,000.
    fn class_names(&self) -> Option<Vec<String>> {
        let classes = self.supernet.space().classes;
        let run = self.path.ancestors().find(|dir| dir.join("config.toml").is_file());
        let subnets = run.and_then(|run| fs::read_dir(run.join("subnets")).ok()).into_iter().flatten().flatten();
        let names = |subnet: fs::DirEntry| -> Option<Vec<String>> {
            let card = fs::read_to_string(subnet.path().join("arch.json")).ok()?;
            Some(serde_json::from_str::<SubnetCard>(&card).ok()?.classes)
        };
        let of_run = subnets.filter_map(names).find(|names| names.len() == classes);
        let of_images = || self.names_of_images().filter(|names| names.len() == classes);
        of_run.or_else(of_images).or_else(|| (classes == 1000).then(imagenet))
    }

    /// Names of the classes of the images that the run trained on, if they are still there.
    fn names_of_images(&self) -> Option<Vec<String>> {
        let config = self.config.as_ref()?;
        match &config.data.dir {
            Some(dir) => Some(Layout::detect(dir).ok()?.load(config.data.channels, config.seed).ok()?.classes),
            None => Some(FashionMnist::CLASSES.map(str::to_owned).to_vec()),
        }
    }

    /// The configuration of its run, or the preset `standard` with its space; `data` replaces the directory of the
    /// images.
    ///
    /// # Errors
    ///
    /// If the layout of `data` is unknown.
    pub fn configuration(&self, data: Option<&Path>) -> Result<ExperimentConfig> {
        let mut config = self.config.clone().map_or_else(|| ExperimentConfig::preset("standard"), Ok)?;
        config.space = self.supernet.space().clone();
        config.data.channels = config.space.image_channels;
        if let Some(data) = data {
            let layout = Layout::detect(data)?;
            config.data.dir = Some(data.to_owned());
            config.data.prepared = layout.preparation()?;
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supernet_is_written_again_and_comes_back() {
        let temporary = tempfile::tempdir().unwrap();
        let config = ExperimentConfig::preset("smoke").unwrap();
        let dir = RunDir::create(temporary.path(), &config.to_toml().unwrap()).unwrap();
        let device = Device::flex();
        let message = open(dir.root(), &device).err().unwrap().to_string();
        assert!(message.contains("no supernet and no checkpoint"), "{message}");
        assert!(read(&dir, &device).unwrap().is_none());
        for seed in [1, 2] {
            let supernet = SupernetConfig::new(config.space.clone()).unwrap().with_seed(seed).init(&device);
            write(&supernet, &dir).unwrap();
            assert_eq!(read(&dir, &device).unwrap().unwrap().to_original(), supernet.to_original());
            let opened = open(dir.root(), &device).unwrap();
            assert_eq!(opened.supernet.to_original(), supernet.to_original());
            assert_eq!((opened.path, opened.config.as_ref()), (dir.path(SUPERNET), Some(&config)));
        }
        assert!(open(&dir.path(SUPERNET), &device).unwrap().config.is_none());
        let message = format!("{:#}", open(&dir.path("nowhere"), &device).err().unwrap());
        assert!(message.contains("nowhere is neither a run directory"), "{message}");
    }

    #[test]
    fn a_network_keeps_the_classes_that_images_have() {
        let space = ofa_model::SearchSpace::small_mobilenet_v3(1, 1000);
        let supernet = SupernetConfig::new(space).unwrap().init(&Device::flex());
        let opened = || OpenedSupernet {
            supernet: supernet.clone(),
            path: PathBuf::from("net"),
            config: None,
            damaged: Vec::new(),
        };
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let mut some = opened();
        let note = some.select_classes(&names(&["n02510455", "tench"])).unwrap().unwrap();
        assert!(note.contains("scored among 2 of the network's 1000 classes"), "{note}");
        assert_eq!(some.supernet.to_original(), supernet.clone().with_classes(&[388, 0]).to_original());
        let message = opened().select_classes(&names(&["cat", "tench"])).unwrap_err().to_string();
        assert!(message.contains("none called `cat`"), "{message}");
        let mut numbers: Vec<String> = (0..1000).map(|class| class.to_string()).collect();
        assert_eq!(opened().select_classes(&numbers).unwrap(), None);
        numbers.sort();
        let note = opened().select_classes(&numbers).unwrap().unwrap();
        assert!(note.contains("sorted as text (0, 1, 10, ..)"), "{note}");
        let mut small = opened();
        small.supernet = small.supernet.with_classes(&[0, 1, 2]);
        let message = small.select_classes(&names(&["a", "b"])).unwrap_err().to_string();
        assert!(message.contains("have 2 classes, the network 3"), "{message}");
    }
}
