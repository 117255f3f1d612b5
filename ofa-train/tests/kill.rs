//! A training process that is killed at any moment and restarted ends with the same weights as an uninterrupted one,
//! bit for bit.

mod common;

use common::{Bench, bits};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Environment variable with the working directory of the process to be killed; only set there.
const ROOT: &str = "KILLED_TRAINING";
/// Number of kills.
const KILLS: u32 = 24;

/// The training run itself, when this binary is started as the process to be killed.
#[test]
fn the_process_to_be_killed() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let root = Path::new(&root);
    let outcome = bench().train(Some(&root.join("checkpoints")), &mut ()).unwrap();
    // Renamed into place, because a kill may fall between creating a file and writing its contents.
    std::fs::write(root.join("result.part"), fingerprint(&bits(&outcome.supernet))).unwrap();
    std::fs::rename(root.join("result.part"), root.join("result")).unwrap();
}

/// A bench with a checkpoint after every step, so most kills fall into or near a write.
fn bench() -> Bench {
    Bench { checkpoint_steps: Some(1), ..Bench::new() }
}

fn fingerprint(bits: &[u32]) -> String {
    let mut hasher = DefaultHasher::new();
    bits.hash(&mut hasher);
    hasher.finish().to_string()
}

fn start(root: &Path) -> Child {
    let arguments = ["the_process_to_be_killed", "--exact", "--test-threads", "1"];
    let mut command = Command::new(std::env::current_exe().unwrap());
    let command = command.args(arguments).env(ROOT, root).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn killed_at_random_moments() {
    if std::env::var_os(ROOT).is_some() {
        return;
    }
    let expected = fingerprint(&bits(&bench().train(None, &mut ()).unwrap().supernet));

    // Run time without a kill. Kill times are drawn from all of it, including start and end.
    let root = tempfile::tempdir().unwrap();
    let began = Instant::now();
    assert!(start(root.path()).wait().unwrap().success());
    let whole = began.elapsed();
    assert_eq!(std::fs::read_to_string(root.path().join("result")).unwrap(), expected);

    let rng = &mut ChaCha8Rng::seed_from_u64(9);
    let (mut root, mut kills, mut finished) = (tempfile::tempdir().unwrap(), 0, 0);
    while kills < KILLS || finished == 0 {
        let mut child = start(root.path());
        if kills < KILLS {
            std::thread::sleep(rng.random_range(Duration::ZERO..whole));
            child.kill().unwrap();
            kills += 1;
        }
        // The process may finish before the kill.
        let succeeded = child.wait().unwrap().success();
        let result = std::fs::read_to_string(root.path().join("result"));
        assert!(kills == KILLS || !succeeded || result.is_ok());
        if let Ok(found) = result {
            assert_eq!(found, expected, "after {kills} kills");
            (root, finished) = (tempfile::tempdir().unwrap(), finished + 1);
        }
    }
}
