//! Writes whole directories: a kill at any instant leaves the old one or the new one, complete.
//!
//! A directory is filled under the name `*.unfinished` and synced. One that it replaces is renamed to `*.replaced`, the
//! new one takes its name, and the old one is removed. Between the two renames only `*.replaced` exists: readers use it
//! ([`whole_directory`]), and the next write puts it back. That write also removes whatever a kill left over.

use crate::ModelError;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Suffix of a directory that is still being written.
const UNFINISHED: &str = ".unfinished";
/// Suffix of a directory that is about to be replaced.
const REPLACED: &str = ".replaced";

/// Writes a new directory, which appears complete or not at all. `fill` writes to a temporary directory beside it.
///
/// # Errors
///
/// [`ModelError::Io`] if `dir` exists or cannot be created, and any error of `fill`. On error nothing is left behind.
pub fn write_directory<E: From<ModelError>>(dir: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    if whole_directory(dir).exists() {
        return Err(at(dir)(io::ErrorKind::AlreadyExists.into()).into());
    }
    replace_directory(dir, fill)
}

/// Writes a directory, replacing an earlier one once the new one is complete. `fill` writes to a temporary directory
/// beside it.
///
/// # Errors
///
/// [`ModelError::Io`] if `dir` cannot be written, and any error of `fill`. An earlier directory is then unchanged.
pub fn replace_directory<E: From<ModelError>>(dir: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    // Without a trailing separator, which would put the temporary directory inside `dir`.
    let dir: &Path = &dir.components().collect::<PathBuf>();
    let unfinished = beside(dir, UNFINISHED);
    recover(dir)?;
    fs::create_dir_all(&unfinished).map_err(at(&unfinished))?;
    instant();
    if let Err(error) = fill(&unfinished).and_then(|()| Ok(sync(&unfinished)?)) {
        // The first error is the one to report, not a failure to clean up.
        drop(fs::remove_dir_all(&unfinished));
        return Err(error);
    }
    instant();
    Ok(put_in_place(&unfinished, dir)?)
}

/// Puts back what a kill left renamed, and removes what it left over.
fn recover(dir: &Path) -> Result<(), ModelError> {
    let replaced = beside(dir, REPLACED);
    if !dir.exists() && replaced.exists() {
        rename(&replaced, dir)?;
        instant();
    }
    remove_directory(&replaced)?;
    instant();
    remove_directory(&beside(dir, UNFINISHED))?;
    instant();
    Ok(())
}

fn put_in_place(unfinished: &Path, dir: &Path) -> Result<(), ModelError> {
    let replaced = beside(dir, REPLACED);
    if dir.exists() {
        rename(dir, &replaced)?;
        instant();
    }
    rename(unfinished, dir)?;
    instant();
    sync_one(parent(dir))?;
    remove_directory(&replaced)?;
    instant();
    Ok(())
}

/// Where the contents of `dir` are: in `dir` itself, or beside it if a kill interrupted its replacement.
pub fn whole_directory(dir: &Path) -> PathBuf {
    let replaced = beside(dir, REPLACED);
    if !dir.exists() && replaced.exists() { replaced } else { dir.to_owned() }
}

/// The directories in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directories {
    /// Where the contents of each complete directory are, in the order of their names.
    pub whole: Vec<PathBuf>,
    /// Remains of interrupted writes, which the next write of the same directory would remove.
    pub left_over: Vec<PathBuf>,
}

impl Directories {
    /// Lists those in `root`; none if it does not exist.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] if `root` cannot be listed.
    pub fn list(root: &Path) -> Result<Self, ModelError> {
        let mut listed = Self::default();
        let entries = match fs::read_dir(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listed),
            entries => entries.map_err(at(root))?,
        };
        for entry in entries {
            let path = entry.map_err(at(root))?.path();
            if path.is_dir() {
                listed.add(path);
            }
        }
        listed.whole.sort();
        Ok(listed)
    }

    fn add(&mut self, path: PathBuf) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_superseded = |name| path.with_file_name(name).exists();
        if name.ends_with(UNFINISHED) || name.strip_suffix(REPLACED).is_some_and(is_superseded) {
            self.left_over.push(path);
        } else {
            self.whole.push(path);
        }
    }
}

/// Removes a directory with all its contents, if it exists.
///
/// # Errors
///
/// [`ModelError::Io`] if it cannot be removed.
pub fn remove_directory(dir: &Path) -> Result<(), ModelError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(dir)(error)),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), ModelError> {
    fs::rename(from, to).map_err(at(to))
}

/// Syncs a directory with all it contains, so that a crash of the system cannot leave it renamed but empty.
fn sync(dir: &Path) -> Result<(), ModelError> {
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let path = entry.map_err(at(dir))?.path();
        if path.is_dir() { sync(&path) } else { sync_one(&path) }?;
    }
    sync_one(dir)
}

fn sync_one(path: &Path) -> Result<(), ModelError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(at(path))
}

fn parent(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path with a suffix added to its name.
fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.components().collect::<PathBuf>().into_os_string();
    name.push(suffix);
    name.into()
}

/// The error for a file that could not be read or written.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> ModelError {
    let path = path.to_owned();
    move |source| ModelError::Io { path, source }
}

/// An instant between two operations, at which a test ends the process.
#[cfg(not(test))]
fn instant() {}
#[cfg(test)]
use tests::instant;

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Environment variables of the process to be killed: the directory it writes, and the instants it survives.
    const DIRECTORY: &str = "KILLED_WRITE";
    const SURVIVED: &str = "KILLED_AFTER";
    /// Exit status of a killed process.
    const KILLED: i32 = 9;

    /// Ends the process, with no destructor run, once it has survived as many instants as it should.
    pub(super) fn instant() {
        static PASSED: AtomicUsize = AtomicUsize::new(0);
        if std::env::var(SURVIVED).is_ok_and(|n| n == PASSED.fetch_add(1, Ordering::Relaxed).to_string()) {
            std::process::exit(KILLED);
        }
    }

    fn fill(text: &str) -> impl Fn(&Path) -> Result<(), ModelError> {
        move |dir| {
            fs::write(dir.join("a"), text).map_err(at(dir))?;
            instant();
            fs::create_dir(dir.join("b")).and_then(|()| fs::write(dir.join("b/c"), text)).map_err(at(dir))
        }
    }

    /// The text of both files; `None` if there is no directory.
    fn read(dir: &Path) -> Option<String> {
        let dir = whole_directory(dir);
        let [a, c] = ["a", "b/c"].map(|file| fs::read_to_string(dir.join(file)));
        if !dir.exists() {
            return None;
        }
        let (a, c) = (a.unwrap(), c.unwrap());
        assert_eq!(a, c);
        Some(a)
    }

    fn names(root: &Path) -> Vec<String> {
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The write itself, when this binary is started as the process to be killed.
    #[test]
    fn the_process_to_be_killed() {
        if let Some(dir) = std::env::var_os(DIRECTORY) {
            replace_directory(Path::new(&dir), fill("new")).unwrap();
        }
    }

    /// Writes `dir` in a process that is killed after some instants. Whether it was.
    fn killed(dir: &Path, survived: usize) -> bool {
        let arguments = ["directory::tests::the_process_to_be_killed", "--exact"];
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments).env(DIRECTORY, dir).env(SURVIVED, survived.to_string());
        let status = command.stdout(Stdio::null()).status().unwrap();
        assert!(status.success() || status.code() == Some(KILLED), "{status}");
        !status.success()
    }

    /// Kills a write that replaces `old` at every instant, and then the write that follows.
    fn kill_twice_at_every_instant(old: Option<&str>) -> usize {
        for first in 0.. {
            for second in 0.. {
                let root = tempfile::tempdir().unwrap();
                let dir = root.path().join("net");
                if let Some(old) = old {
                    replace_directory(&dir, fill(old)).unwrap();
                }
                let first_killed = killed(&dir, first);
                let after = read(&dir);
                assert!(after.as_deref() == Some("new") || (first_killed && after.as_deref() == old), "{after:?}");
                let second_killed = killed(&dir, second);
                let found = read(&dir);
                assert!(found.as_deref() == Some("new") || (second_killed && found == after), "{after:?}, {found:?}");
                replace_directory(&dir, fill("newest")).unwrap();
                assert_eq!((read(&dir).as_deref(), names(root.path())), (Some("newest"), vec!["net".to_owned()]));
                if !second_killed && !first_killed {
                    return first;
                }
                if !second_killed {
                    break;
                }
            }
        }
        unreachable!("a write ends")
    }

    #[test]
    fn kills_at_any_instant_leave_a_complete_directory() {
        assert_eq!(kill_twice_at_every_instant(None), 7);
        assert_eq!(kill_twice_at_every_instant(Some("old")), 8);
    }

    #[test]
    fn a_kill_while_the_old_directory_is_removed_leaves_the_new_one() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("net");
        replace_directory(&dir, fill("new")).unwrap();
        fs::create_dir(root.path().join("net.replaced")).unwrap();
        assert_eq!(read(&dir).unwrap(), "new");
        let (whole, left_over) = (vec![dir.clone()], vec![root.path().join("net.replaced")]);
        assert_eq!(Directories::list(root.path()).unwrap(), Directories { whole, left_over });
        replace_directory(&dir, fill("newer")).unwrap();
        assert_eq!(names(root.path()), ["net"]);
    }

    #[test]
    fn an_error_leaves_what_was_there() {
        let root = tempfile::tempdir().unwrap();
        // With a trailing slash, as shells complete it.
        let dir = PathBuf::from(format!("{}/", root.path().join("net").display()));
        let fail = |unfinished: &Path| -> Result<(), ModelError> {
            fs::write(unfinished.join("half"), "").unwrap();
            Err(at(unfinished)(io::ErrorKind::StorageFull.into()))
        };
        assert!(write_directory(&dir, fail).is_err());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        write_directory(&dir, fill("old")).unwrap();
        assert!(matches!(write_directory(&dir, fill("new")), Err(ModelError::Io { .. })));
        assert!(replace_directory(&dir, fail).is_err());
        assert_eq!((read(&dir).unwrap(), names(root.path())), ("old".into(), vec!["net".to_owned()]));
    }
}
