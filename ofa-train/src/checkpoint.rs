//! Checkpoints that survive kills and show damage.

use crate::TrainError;
use crate::weights::filled;
use burn::module::Module;
use ofa_model::{Directories, check_weights, remove_directory, replace_directory};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const MANIFEST: &str = "manifest.json";

/// A directory of checkpoints, each a subdirectory whose name sorts by progress.
///
/// A checkpoint is either complete or absent ([`replace_directory`]). Its manifest holds the SHA-256 of every file, so damage is detected. The newest `keep` checkpoints are kept, plus the one with
/// the best mean accuracy of the watched archs, under the name `best`.
#[derive(Clone, Debug)]
pub struct CheckpointDir {
    root: PathBuf,
    keep: usize,
    every: Option<usize>,
}

/// Files of one checkpoint, by name.
pub(crate) type Files = BTreeMap<&'static str, Vec<u8>>;

/// The newest intact checkpoint.
pub(crate) struct Found {
    /// Directory of the checkpoint.
    pub(crate) path: PathBuf,
    /// File contents, by name.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Newer checkpoints that were skipped, and why.
    pub(crate) damaged: Vec<DamagedCheckpoint>,
}

impl Found {
    /// Takes the contents of `name`, a file that every checkpoint has.
    pub(crate) fn take(&mut self, name: &'static str) -> Result<Vec<u8>, TrainError> {
        let missing = || TrainError::Record { what: name, problem: "missing from the checkpoint".into() };
        self.files.remove(name).ok_or_else(missing)
    }

    /// Loads the network in the file `name`, which every checkpoint has, into `blank`, a network of the same space.
    ///
    /// # Errors
    ///
    /// [`TrainError::Record`] if the file is missing or does not fit, [`TrainError::UnsoundCheckpoint`] if it holds
    /// what no training leaves.
    pub(crate) fn network<N: Module>(&mut self, blank: N, name: &'static str) -> Result<N, TrainError> {
        let network = filled(blank, name, self.take(name)?)?;
        match check_weights(&network) {
            Ok(()) => Ok(network),
            Err(error) => Err(TrainError::UnsoundCheckpoint { path: self.path.join(name), problem: error.to_string() }),
        }
    }

    /// As [`network`](Self::network), for a file that not every checkpoint has.
    pub(crate) fn network_if_any<N: Module>(&mut self, blank: N, name: &'static str) -> Result<Option<N>, TrainError> {
        self.files.contains_key(name).then(|| self.network(blank, name)).transpose()
    }
}

/// A checkpoint that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedCheckpoint {
    /// Directory of the checkpoint.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    sha256: BTreeMap<String, String>,
}

impl CheckpointDir {
    /// Name of the best checkpoint. Training never resumes from it, only from the newest.
    pub(crate) const BEST: &str = "best";

    /// Manages checkpoints in `root`, keeping the newest `keep`. The directory is created with the first checkpoint.
    ///
    /// # Panics
    ///
    /// If `keep` is 0: the last intact checkpoint must never be deleted.
    pub fn new(root: impl Into<PathBuf>, keep: usize) -> Self {
        assert!(keep > 0, "at least one checkpoint must be kept");
        Self { root: root.into(), keep, every: None }
    }

    /// Also writes checkpoints within epochs, every `steps` steps.
    ///
    /// # Panics
    ///
    /// If `steps` is 0.
    pub fn every_steps(self, steps: usize) -> Self {
        assert!(steps > 0, "the checkpoint interval must be at least one step");
        Self { every: Some(steps), ..self }
    }

    /// Whether checkpoints within epochs were asked for.
    pub(crate) fn has_interval(&self) -> bool {
        self.every.is_some()
    }

    /// Whether a checkpoint is due after `step` steps of an epoch.
    pub(crate) fn is_due(&self, step: usize) -> bool {
        self.every.is_some_and(|every| step.is_multiple_of(every))
    }

    /// Path of the checkpoint `name`, whether or not it exists.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a checkpoint, replacing any of the same name, and deletes those no longer kept.
    pub(crate) fn save(&self, name: &str, files: &Files) -> Result<PathBuf, TrainError> {
        let path = self.path(name);
        replace_directory(&path, |unfinished| write(unfinished, files))?;
        self.delete_old()?;
        Ok(path)
    }

    /// Path of the newest checkpoint, intact or not; the best one is ignored.
    ///
    /// # Errors
    ///
    /// [`TrainError::Io`] if the directory cannot be listed.
    pub fn newest_path(&self) -> Result<Option<PathBuf>, TrainError> {
        Ok(self.list()?.whole.pop())
    }

    /// The newest checkpoint whose files match its manifest.
    pub(crate) fn newest(&self) -> Result<Option<Found>, TrainError> {
        let mut damaged = Vec::new();
        for path in self.list()?.whole.into_iter().rev() {
            match read(&path) {
                Ok(files) => return Ok(Some(Found { path, files, damaged })),
                Err(problem) => damaged.push(DamagedCheckpoint { path, problem }),
            }
        }
        match damaged.into_iter().next() {
            Some(DamagedCheckpoint { path, problem }) => Err(TrainError::Io {
                path,
                source: std::io::Error::other(format!(
                    "no intact checkpoint is left ({problem}); restore one from a backup or start a new run"
                )),
            }),
            None => Ok(None),
        }
    }

    /// Lists the checkpoints, oldest first, without the best.
    fn list(&self) -> Result<Directories, TrainError> {
        let mut listed = Directories::list(&self.root)?;
        listed.whole.retain(|path| path.file_prefix().is_none_or(|name| name != Self::BEST));
        Ok(listed)
    }

    fn delete_old(&self) -> Result<(), TrainError> {
        let Directories { whole, left_over } = self.list()?;
        let old = whole.len().saturating_sub(self.keep);
        left_over.iter().chain(&whole[..old]).try_for_each(|path| Ok(remove_directory(path)?))
    }
}

/// Writes the files of a checkpoint and their manifest.
fn write(dir: &Path, files: &Files) -> Result<(), TrainError> {
    let sha256 = files.iter().map(|(file, bytes)| ((*file).to_owned(), digest(bytes))).collect();
    let manifest = serde_json::to_vec_pretty(&Manifest { sha256 }).expect("a manifest is plain data");
    for (file, bytes) in files.iter().map(|(file, bytes)| (*file, bytes)).chain([(MANIFEST, &manifest)]) {
        let path = dir.join(file);
        fs::write(&path, bytes).map_err(|source| TrainError::Io { path, source })?;
    }
    Ok(())
}

fn read(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let bytes = fs::read(dir.join(MANIFEST)).map_err(|error| format!("{MANIFEST}: {error}"))?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| format!("{MANIFEST}: {error}"))?;
    let mut files = BTreeMap::new();
    for (file, expected) in manifest.sha256 {
        let bytes = fs::read(dir.join(&file)).map_err(|error| format!("{file}: {error}"))?;
        let found = digest(&bytes);
        if found != expected {
            return Err(format!("{file}: sha256 is {found}, expected {expected} (file has {} bytes)", bytes.len()));
        }
        files.insert(file, bytes);
    }
    Ok(files)
}

/// Parses the JSON file `name` of a checkpoint.
pub(crate) fn parse<T: DeserializeOwned>(found: &Found, name: &'static str) -> Result<T, TrainError> {
    parse_bytes(name, found.files.get(name).map(Vec::as_slice).unwrap_or_default())
}

/// Parses the contents of the JSON file `name` of a checkpoint.
pub(crate) fn parse_bytes<T: DeserializeOwned>(name: &'static str, bytes: &[u8]) -> Result<T, TrainError> {
    serde_json::from_slice(bytes).map_err(|error| TrainError::Record { what: name, problem: error.to_string() })
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Files {
        Files::from([("weights.bpk", text.as_bytes().to_vec()), ("state.json", b"{}".to_vec())])
    }

    #[test]
    fn the_newest_checkpoint_is_found_and_old_ones_go() {
        let root = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::new(root.path(), 2);
        assert!(dir.newest().unwrap().is_none());
        for name in ["01", "02", "03"] {
            dir.save(name, &files(name)).unwrap();
        }
        let found = dir.newest().unwrap().unwrap();
        assert_eq!(found.files["weights.bpk"], b"03");
        assert!(found.damaged.is_empty());
        assert!(!root.path().join("01").exists());
    }

    #[test]
    fn the_best_stays_and_is_not_gone_on_from() {
        let root = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::new(root.path(), 1);
        dir.save("01", &files("one")).unwrap();
        dir.save(CheckpointDir::BEST, &files("one")).unwrap();
        dir.save("02", &files("two")).unwrap();
        assert_eq!(dir.newest().unwrap().unwrap().files["weights.bpk"], b"two");
        assert_eq!(fs::read(root.path().join("best/weights.bpk")).unwrap(), b"one");
        assert!(!root.path().join("01").exists());
    }

    #[test]
    fn damage_falls_back_to_the_one_before_and_says_so() {
        let root = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::new(root.path(), 3);
        dir.save("01", &files("one")).unwrap();
        dir.save("02", &files("two")).unwrap();
        dir.save("03", &files("three")).unwrap();
        fs::write(root.path().join("03/weights.bpk"), "thr").unwrap();
        fs::write(root.path().join("02/manifest.json"), "{\"sha2").unwrap();
        fs::create_dir(root.path().join("04.unfinished")).unwrap();
        let found = dir.newest().unwrap().unwrap();
        assert_eq!(found.files["weights.bpk"], b"one");
        assert_eq!(found.damaged.len(), 2);
        assert!(found.damaged[0].problem.contains("weights.bpk: sha256"), "{:?}", found.damaged);
        assert!(found.damaged[1].problem.contains("manifest.json"), "{:?}", found.damaged);
    }

    #[test]
    fn without_any_sound_checkpoint_nothing_is_silently_restarted() {
        let root = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::new(root.path(), 2);
        dir.save("01", &files("one")).unwrap();
        fs::remove_file(root.path().join("01/weights.bpk")).unwrap();
        let message = dir.newest().err().unwrap().to_string();
        assert!(message.contains("no intact checkpoint"), "{message}");
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_an_error_and_keeps_the_rest() {
        let root = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::new(root.path(), 2);
        dir.save("01", &files("one")).unwrap();
        // A file blocks the directory of the next checkpoint, as on a file system that refuses writes.
        fs::write(root.path().join("02.unfinished"), "").unwrap();
        let message = dir.save("02", &files("two")).unwrap_err().to_string();
        assert!(message.contains("02.unfinished"), "{message}");
        assert_eq!(dir.newest().unwrap().unwrap().files["weights.bpk"], b"one");
    }

    #[test]
    fn a_checkpoint_may_be_written_again() {
        let root = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::new(root.path(), 1);
        dir.save("01", &files("one")).unwrap();
        dir.save("01", &files("again")).unwrap();
        assert_eq!(dir.newest().unwrap().unwrap().files["weights.bpk"], b"again");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_kill_while_the_only_checkpoint_is_replaced_loses_nothing() {
        let root = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::new(root.path(), 1);
        dir.save("01", &files("one")).unwrap();
        // Between the two renames.
        fs::rename(root.path().join("01"), root.path().join("01.replaced")).unwrap();
        fs::create_dir(root.path().join("01.unfinished")).unwrap();
        assert_eq!(dir.newest().unwrap().unwrap().files["weights.bpk"], b"one");
        dir.save("01", &files("two")).unwrap();
        assert_eq!(dir.newest().unwrap().unwrap().files["weights.bpk"], b"two");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_kills_left_over_is_passed_over_and_goes_with_the_next_checkpoint() {
        let root = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::new(root.path(), 2);
        for name in ["00", CheckpointDir::BEST, "01"] {
            dir.save(name, &files(name)).unwrap();
        }
        // After the second rename, and in the middle of writing.
        for name in ["01.replaced", "best.replaced", "02.unfinished"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let found = dir.newest().unwrap().unwrap();
        assert_eq!(found.files["weights.bpk"], b"01");
        assert!(found.damaged.is_empty());
        dir.save("03", &files("03")).unwrap();
        let mut left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["01", "03", "best"]);
    }
}
