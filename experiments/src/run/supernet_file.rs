//! The trained supernet of a run: a directory in the format of `import_checkpoint`, which every binary reads.

use crate::config::ExperimentConfig;
use crate::run::run_dir::{RunDir, remove_dir};
use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use ofa_data::Layout;
use ofa_model::{Supernet, SupernetConfig};
use ofa_train::{CheckpointDir, DamagedCheckpoint};
use std::fs;
use std::path::{Path, PathBuf};

/// Subdirectory of a run that holds its trained supernet.
pub const SUPERNET: &str = "supernet";
/// Subdirectory of a run that holds its checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";

/// Writes the supernet of a run atomically, replacing that of an earlier attempt.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(supernet: &Supernet, dir: &RunDir) -> Result<()> {
    let (path, new) = (dir.path(SUPERNET), dir.path("supernet.new"));
    remove_dir(&new)?;
    supernet.save(&new)?;
    remove_dir(&path)?;
    fs::rename(&new, &path).with_context(|| format!("cannot write {}", path.display()))
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

/// Opens the supernet in `root`: a directory written by [`write()`] or `import_checkpoint`, or a run, whose newest
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
}
