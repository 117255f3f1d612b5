//! The machine, source revision and versions of a run, for its records.

use serde::{Deserialize, Serialize};
use std::process::Command;

/// Machine and software versions of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Device name, see `--device`.
    pub device: String,
    /// Compute threads.
    pub threads: usize,
    /// CPU model.
    pub processor: String,
    /// Operating system.
    pub system: String,
    /// Git revision, with `-dirty` if tracked files have changed.
    pub revision: String,
    /// Versions of this workspace and of burn.
    pub versions: String,
    /// Start time, ISO 8601 (UTC).
    pub started: String,
}

/// Describes this machine, the source revision and the current time; `device` is the name given to `--device`.
pub fn machine(device: &str) -> Machine {
    Machine {
        device: device.to_owned(),
        threads: rayon::current_num_threads(),
        processor: processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        system: std::env::consts::OS.to_owned(),
        revision: revision().unwrap_or_else(|| "unknown".to_owned()),
        versions: versions(),
        started: now(),
    }
}

/// Environment variables in which launchers (Open MPI; MPICH and Intel MPI; Slurm) give the number of processes.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// Number of processes that a launcher started; `None` without a launcher.
pub fn launched() -> Option<usize> {
    SIZES.iter().find_map(|name| std::env::var(name).ok()).and_then(|size| size.parse().ok())
}

/// Versions that may change the numbers of a run, besides its revision.
fn versions() -> String {
    let lock = include_str!("../../../Cargo.lock");
    let burn = lock.split("[[package]]").find(|package| package.contains("name = \"burn\""));
    let burn = burn.and_then(|package| package.split("version = \"").nth(1)).and_then(|rest| rest.split('"').next());
    // Its pixels differ by a few values from those of the default decoder.
    let decoder = if cfg!(feature = "turbo") { ", libjpeg-turbo" } else { "" };
    format!("experiments {}, burn {}{decoder}", env!("CARGO_PKG_VERSION"), burn.unwrap_or("unknown"))
}

/// Peak resident memory of this process so far, in MiB; `None` where the system does not report it.
pub fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Lets [`peak_memory_mib`] count from now on, where the system allows it.
pub fn reset_peak_memory() {
    // A peak that goes on from before is too high, never too low.
    std::fs::write("/proc/self/clear_refs", "5").ok();
}

/// Today as `YYYY-MM-DD` (UTC).
pub fn today() -> String {
    now()[..10].to_owned()
}

/// The current time, ISO 8601 to the second (UTC).
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Whether this processor computes the same bits as every other x86-64 processor with AVX2 and FMA: there, sums are
/// rounded once per product and have one order.
pub fn has_common_bits() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn processor() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Current git revision of the source tree this binary was built in, with `-dirty` if tracked files have changed and
/// `-or-earlier` if it was committed after the binary was built.
fn revision() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let revision = git(&["rev-parse", "--short=12", "HEAD"])?;
    let dirty = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    let committed = git(&["show", "--no-patch", "--format=%ct", "HEAD"]).and_then(|seconds| seconds.parse().ok());
    let older = committed.zip(built()).is_some_and(|(committed, built)| built < committed);
    Some(format!("{revision}{}{}", if dirty { "-dirty" } else { "" }, if older { "-or-earlier" } else { "" }))
}

/// Modification time of this binary, in seconds since 1970.
fn built() -> Option<u64> {
    let modified = std::fs::metadata(std::env::current_exe().ok()?).ok()?.modified().ok()?;
    Some(modified.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_has_a_date() {
        assert_eq!(today().len(), 10);
        assert_eq!(now().len(), "2026-01-01T00:00:00Z".len());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_plausible() {
        reset_peak_memory();
        assert!((0.5..1e6).contains(&peak_memory_mib().unwrap()));
    }
}
