//! The directory of one run: everything it was started with and everything it found.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.toml";

/// A run directory that exists.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// A new directory for a run with the given configuration text.
    ///
    /// # Errors
    ///
    /// If it already holds a run, or cannot be written.
    pub fn create(root: &Path, config: &str) -> Result<Self> {
        if Self::holds_run(root) {
            bail!(
                "{} already holds a run; go on with it by `--resume --out {}`, or choose another --out",
                root.display(),
                root.display()
            );
        }
        fs::create_dir_all(root).with_context(|| format!("cannot make the run directory {}", root.display()))?;
        let dir = Self { root: root.to_owned() };
        dir.write(CONFIG, config)?;
        Ok(dir)
    }

    /// The directory of an earlier run, with its configuration text.
    ///
    /// # Errors
    ///
    /// If there is no run in it.
    pub fn open(root: &Path) -> Result<(Self, String)> {
        let path = root.join(CONFIG);
        let config = fs::read_to_string(&path)
            .with_context(|| format!("there is no run to resume: cannot read {}", path.display()))?;
        Ok((Self { root: root.to_owned() }, config))
    }

    /// Whether `root` is the directory of a run.
    pub fn holds_run(root: &Path) -> bool {
        root.join(CONFIG).exists()
    }

    /// A directory for files, without a run's configuration, that is made if it is not there.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn create_or_open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("cannot make the directory {}", root.display()))?;
        Ok(Self { root: root.to_owned() })
    }

    /// The newest run under `parent` whose name ends in `-{preset}`.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn newest(parent: &Path, preset: &str) -> Result<PathBuf> {
        let suffix = format!("-{preset}");
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let runs = entries.map(|entry| entry.path()).filter(|path| {
            Self::holds_run(path) && path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&suffix))
        });
        runs.max().with_context(|| {
            format!("there is no run to resume: {} holds no directory `<date>{suffix}`", parent.display())
        })
    }

    /// Path of `name` inside the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes a file whole or not at all.
    ///
    /// # Errors
    ///
    /// If it cannot be written; what was there before is intact.
    pub fn write(&self, name: &str, contents: &str) -> Result<()> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot write {}", path.display()))?;
        }
        write_whole(&path, contents.as_bytes())
    }

    /// Writes `value` as JSON, whole or not at all.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        self.write(name, &serde_json::to_string_pretty(value).context("the value is not JSON")?)
    }

    /// Writes rows as CSV with a header, whole or not at all.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub fn write_csv<T: Serialize>(&self, name: &str, rows: impl IntoIterator<Item = T>) -> Result<()> {
        let text = csv_text(rows).with_context(|| format!("a row of {name} is not CSV"))?;
        self.write(name, &text)
    }
}

/// Rows as CSV, with a header where they have names.
///
/// # Errors
///
/// If a row is none.
pub fn csv_text<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.into_iter().try_for_each(|row| writer.serialize(row))?;
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    String::from_utf8(bytes).context("CSV is UTF-8")
}

/// Refuses a place for results that is taken, before there are any.
///
/// # Errors
///
/// If `path` exists.
pub fn ensure_new(path: &Path) -> Result<()> {
    anyhow::ensure!(!path.exists(), "{} exists already; choose another --out", path.display());
    Ok(())
}

/// Makes a directory for results, with those around it.
///
/// # Errors
///
/// If it cannot be made.
pub fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

/// Writes a file whole or not at all.
///
/// # Errors
///
/// If it cannot be written, with its name; what was there before is intact.
pub fn write_whole(path: &Path, contents: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = atomic_write_file::AtomicWriteFile::open(path)?;
        file.write_all(contents)?;
        file.commit()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Removes a file, if there is one.
///
/// # Errors
///
/// If it cannot be removed.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_a_run_is_refused_and_can_be_opened() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("2026-01-01-smoke");
        RunDir::create(&root, "seed = 1").unwrap();
        let message = RunDir::create(&root, "seed = 2").unwrap_err().to_string();
        assert!(message.contains("already holds a run") && message.contains("--resume"), "{message}");
        assert_eq!(RunDir::open(&root).unwrap().1, "seed = 1");
        assert_eq!(RunDir::newest(temporary.path(), "smoke").unwrap(), root);
        assert!(RunDir::newest(temporary.path(), "default").is_err());
        assert!(RunDir::open(temporary.path()).is_err());
    }

    #[test]
    fn csv_has_a_header() {
        #[derive(Serialize)]
        struct Row {
            arch: &'static str,
            top1: f64,
        }
        let temporary = tempfile::tempdir().unwrap();
        let dir = RunDir::create(temporary.path(), "").unwrap();
        dir.write_csv("tables/a.csv", [Row { arch: "r28-k3e3", top1: 0.5 }]).unwrap();
        let text = fs::read_to_string(dir.path("tables/a.csv")).unwrap();
        assert_eq!(text, "arch,top1\nr28-k3e3,0.5\n");
    }
}
