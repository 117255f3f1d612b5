//! The directory of one run: its configuration and all its results.

use anyhow::{Context, Result, bail};
use ofa_model::read_text;
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.toml";

/// An existing run directory.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// Creates the directory of a run and writes `config` as its `config.toml`.
    ///
    /// # Errors
    ///
    /// If it already holds a run, or cannot be written.
    pub fn create(root: &Path, config: &str) -> Result<Self> {
        Self::ensure_free(root)?;
        fs::create_dir_all(root).with_context(|| format!("cannot create the run directory {}", root.display()))?;
        let dir = Self { root: root.to_owned() };
        dir.write(CONFIG, config)?;
        Ok(dir)
    }

    /// Checks that `root` holds no run.
    ///
    /// # Errors
    ///
    /// If it does.
    pub fn ensure_free(root: &Path) -> Result<()> {
        if Self::holds_run(root) {
            bail!(
                "{} already holds a run; resume it with `--resume --out {}`, or choose another --out",
                root.display(),
                root.display()
            );
        }
        Ok(())
    }

    /// Replaces the configuration, atomically.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn configure(&self, config: &str) -> Result<()> {
        self.write(CONFIG, config)
    }

    /// Opens the directory of an earlier run and returns it with the text of its configuration.
    ///
    /// # Errors
    ///
    /// If it holds no run.
    pub fn open(root: &Path) -> Result<(Self, String)> {
        let path = root.join(CONFIG);
        let config = read_text(&path)
            .with_context(|| format!("there is no run in {}: cannot read {}", root.display(), path.display()))?;
        Ok((Self { root: root.to_owned() }, config))
    }

    /// Whether `root` is a run directory.
    pub fn holds_run(root: &Path) -> bool {
        root.join(CONFIG).exists()
    }

    /// Opens a directory for result files without a configuration; creates it if missing.
    ///
    /// # Errors
    ///
    /// If it cannot be created.
    pub fn create_or_open(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("cannot create the directory {}", root.display()))?;
        Ok(Self { root: root.to_owned() })
    }

    /// The newest run under `parent` whose name ends in `-{preset}`.
    ///
    /// # Errors
    ///
    /// If there is no such run.
    pub fn newest(parent: &Path, preset: &str) -> Result<PathBuf> {
        let suffix = format!("-{preset}");
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let runs = entries.map(|entry| entry.path()).filter(|path| {
            Self::holds_run(path) && path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&suffix))
        });
        runs.max()
            .with_context(|| format!("no run to resume: {} contains no directory `<date>{suffix}`", parent.display()))
    }

    /// Path of `name` inside the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes a file atomically.
    ///
    /// # Errors
    ///
    /// If it cannot be written; an existing file is then unchanged.
    pub fn write(&self, name: &str, contents: &str) -> Result<()> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot write {}", path.display()))?;
        }
        write_whole(&path, contents.as_bytes())
    }

    /// Writes `value` as JSON, atomically.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        self.write(name, &serde_json::to_string_pretty(value).context("the value cannot be serialised as JSON")?)
    }

    /// Writes rows as CSV with a header, atomically.
    ///
    /// # Errors
    ///
    /// If a row cannot be serialised, or the file cannot be written.
    pub fn write_csv<T: Serialize>(&self, name: &str, rows: impl IntoIterator<Item = T>) -> Result<()> {
        let text = csv_text(rows).with_context(|| format!("a row of {name} cannot be serialised as CSV"))?;
        self.write(name, &text)
    }
}

/// Rows as CSV text, with a header if the row type has named fields.
///
/// # Errors
///
/// If a row cannot be serialised.
pub fn csv_text<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.into_iter().try_for_each(|row| writer.serialize(row))?;
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    String::from_utf8(bytes).context("CSV is UTF-8")
}

/// Checks that an output path is free; call it before the work starts.
///
/// # Errors
///
/// If `path` exists.
pub fn ensure_new(path: &Path) -> Result<()> {
    anyhow::ensure!(!path.exists(), "{} exists already; choose another --out", path.display());
    Ok(())
}

/// Creates an output directory and its parents.
///
/// # Errors
///
/// If it cannot be created.
pub fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))
}

/// Writes a file atomically.
///
/// # Errors
///
/// If it cannot be written; the error names the file, and an existing file is unchanged.
pub fn write_whole(path: &Path, contents: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = atomic_write_file::AtomicWriteFile::open(path)?;
        file.write_all(contents)?;
        file.commit()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Removes a file, if it exists.
///
/// # Errors
///
/// If it cannot be removed.
pub fn remove_file(path: &Path) -> Result<()> {
    removed(fs::remove_file(path), path)
}

/// Removes a directory with all its contents, if it exists.
///
/// # Errors
///
/// If it cannot be removed.
pub fn remove_dir(path: &Path) -> Result<()> {
    removed(fs::remove_dir_all(path), path)
}

fn removed(result: std::io::Result<()>, path: &Path) -> Result<()> {
    match result {
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
