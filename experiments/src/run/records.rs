//! The records of a run, besides its tables and subnets.

use crate::config::ExperimentConfig;
use crate::console::dashboard::KeepRecords;
use crate::console::heartbeat::Heartbeat;
use crate::console::interrupt::Interrupted;
use crate::console::say;
use crate::run::images::Images;
use crate::run::ranks::is_everywhere;
use crate::run::run_dir::RunDir;
use crate::run::tensorboard;
use anyhow::{Context, Result, bail};
use ofa_data::{BrokenImage, BrokenLine};
use ofa_model::{Arch, SearchSpace, Supernet};
use ofa_search::{AccuracyTable, LatencyTable};
use ofa_train::{EpochRecord, Ranks, TrainError, WatchedRecord, same_on_all, weights_sha256};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Summary of the search space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpaceSummary {
    /// Name of the space.
    pub name: String,
    /// Number of networks, not counting resolutions, in decimal.
    pub networks: String,
    /// Resolutions in pixels.
    pub resolutions: Vec<usize>,
    /// MACs of the smallest and the largest subnet.
    pub macs: [u64; 2],
    /// Parameters of the smallest and the largest subnet.
    pub parameters: [u64; 2],
}

/// Wall time of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseTime {
    /// Phase, such as `training`.
    pub name: String,
    /// Wall-clock seconds, over all attempts.
    pub seconds: f64,
}

/// A row of the accuracy table, with its costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TablePoint {
    /// The arch as text.
    pub arch: String,
    /// Measured top-1 on validation, 0 to 1.
    pub top1: f64,
    /// Latency by table, in milliseconds.
    pub latency_ms: f64,
    /// MACs.
    pub macs: u64,
}

/// Wall times of the phases of a run, including earlier attempts. Rank 0 keeps them.
pub struct Phases<'a> {
    dir: &'a RunDir,
    stop: &'a AtomicBool,
    ranks: &'a dyn Ranks,
    times: Vec<PhaseTime>,
}

const PHASES: &str = "phases.json";
const BROKEN: &str = "broken_images.csv";
const IMAGES: &str = "images.json";

impl<'a> Phases<'a> {
    /// Reads the phases recorded by an interrupted run; none for a new one. Once `stop` is true on any rank, no further
    /// phase starts.
    ///
    /// # Errors
    ///
    /// If the record cannot be read.
    pub fn resumed(dir: &'a RunDir, stop: &'a AtomicBool, ranks: &'a dyn Ranks) -> Result<Self> {
        let path = dir.path(PHASES);
        let times = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("{}", path.display())),
        };
        Ok(Self { dir, stop, ranks, times })
    }

    /// Runs a phase on all ranks, with a [`Heartbeat`], and records its time, even if it fails: attempts add up.
    ///
    /// # Errors
    ///
    /// Those of the phase, or [`Interrupted`] on all ranks if a stop was requested before it.
    pub fn time<T>(&mut self, name: &str, phase: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.ranks.any(self.stop.load(Ordering::Relaxed)) {
            return Err(Interrupted.into());
        }
        if !self.ranks.is_first() {
            return phase();
        }
        let started = Instant::now();
        let heartbeat = Heartbeat::begin(name);
        let result = phase();
        drop(heartbeat);
        let seconds = started.elapsed().as_secs_f64();
        match self.times.iter_mut().find(|time| time.name == name) {
            Some(time) => time.seconds += seconds,
            None => self.times.push(PhaseTime { name: name.to_owned(), seconds }),
        }
        let written = self.dir.write_json(PHASES, &self.times);
        // An error of the phase takes precedence over failing to record its time.
        let value = result?;
        written?;
        Ok(value)
    }

    /// Raises the time of a phase to at least `seconds`, known from its records: a killed attempt recorded no time.
    pub fn at_least(&mut self, name: &str, seconds: f64) {
        if let Some(time) = self.times.iter_mut().find(|time| time.name == name) {
            time.seconds = time.seconds.max(seconds);
        }
    }

    /// The recorded times, in phase order.
    pub fn into_records(self) -> Vec<PhaseTime> {
        self.times
    }
}

/// Keeps `metrics.csv`, `watched.csv` and TensorBoard's event file up to date.
pub fn keeper<'a>(dir: &'a RunDir, archs: &'a [Arch]) -> KeepRecords<'a> {
    #[derive(Serialize)]
    struct WatchedRow<'a> {
        #[serde(rename = "stage")]
        phase: &'a str,
        epoch: usize,
        arch: String,
        top1: f64,
    }
    let keep = move |epochs: &[EpochRecord], watched: &[WatchedRecord]| -> Result<()> {
        if !epochs.is_empty() {
            dir.write_csv("metrics.csv", epochs)?;
        }
        if !watched.is_empty() {
            let rows = watched.iter().map(|WatchedRecord { phase, epoch, arch, top1 }| WatchedRow {
                phase,
                epoch: *epoch,
                arch: arch.to_string(),
                top1: *top1,
            });
            dir.write_csv("watched.csv", rows)?;
        }
        tensorboard::update(dir, archs)
    };
    Box::new(move |epochs, watched| {
        keep(epochs, watched).map_err(|error| TrainError::Io {
            path: dir.root().to_owned(),
            source: std::io::Error::other(format!("{error:#}")),
        })
    })
}

/// Identifies weights and data: a table of other weights or images must not be resumed.
pub fn source(supernet: &Supernet, images: &Images) -> String {
    let splits = &images.splits;
    let data = Sha256::new().chain_update(splits.train.fingerprint()).chain_update(splits.validation.fingerprint());
    format!("weights {} data {}", &weights_sha256(supernet)[..16], beginning(data))
}

/// The first eight bytes of a hash, in hexadecimal.
fn beginning(hash: Sha256) -> String {
    hex::encode(&hash.finalize()[..8])
}

/// Summary of the space for the report.
pub fn space_summary(space: &SearchSpace) -> SpaceSummary {
    let (small, large) = (space.cost(&space.smallest()), space.cost(&space.largest()));
    SpaceSummary {
        name: space.name.clone(),
        networks: space.len().to_string(),
        resolutions: space.resolutions.clone(),
        macs: [small.macs, large.macs],
        parameters: [small.parameters, large.parameters],
    }
}

/// The accuracy table with the latency of each row.
///
/// # Errors
///
/// If the latency table lacks a unit.
pub fn table_points(
    config: &ExperimentConfig,
    accuracy: &AccuracyTable,
    latency: &LatencyTable,
) -> Result<Vec<TablePoint>> {
    let point = |row: &ofa_search::AccuracyRow| -> Result<TablePoint> {
        Ok(TablePoint {
            arch: row.arch.to_string(),
            top1: row.top1,
            latency_ms: latency.latency_ms(&config.space, &row.arch)?,
            macs: row.macs,
        })
    };
    accuracy.rows().iter().map(point).collect()
}

/// Adds the broken images that all ranks met to `broken_images.csv`: one row per image skipped or decoded in part, by
/// this or an earlier attempt of the run. If the run failed on this rank alone, only those of this rank.
///
/// # Errors
///
/// If the file cannot be read or written.
pub fn write_broken<T>(dir: &RunDir, images: &Images, result: &Result<T>, ranks: &dyn Ranks) -> Result<()> {
    let own = broken_lines(&images.broken());
    if result.as_ref().is_err_and(|error| !is_everywhere(error)) {
        return add_broken(dir, own);
    }
    let all = ranks.gather(serde_json::to_vec(&own)?);
    if !ranks.is_first() {
        return Ok(());
    }
    let mut rows = Vec::new();
    for of_rank in all {
        rows.extend(serde_json::from_slice::<Vec<_>>(&of_rank)?);
    }
    add_broken(dir, rows)
}

fn broken_lines(broken: &[BrokenImage]) -> Vec<BrokenLine> {
    let row = |image: &BrokenImage| BrokenLine {
        path: image.path.to_string_lossy().into_owned(),
        problem: image.problem.to_string(),
    };
    broken.iter().map(row).collect()
}

fn add_broken(dir: &RunDir, broken: Vec<BrokenLine>) -> Result<()> {
    if broken.is_empty() {
        return Ok(());
    }
    let path = dir.path(BROKEN);
    let mut rows = BTreeMap::new();
    if path.exists() {
        for row in csv::Reader::from_path(&path)?.into_deserialize() {
            let row: BrokenLine = row?;
            rows.insert(row.path.clone(), row);
        }
    }
    rows.extend(broken.into_iter().map(|row| (row.path.clone(), row)));
    say(&format!("{} broken images, see {}", rows.len(), path.display()));
    dir.write_csv(BROKEN, rows.into_values())
}

/// Writes the fingerprints of the images of a new run to `images.json`; for a resumed run, checks them. All ranks must
/// have the same images.
///
/// # Errors
///
/// If the images differ, since the rest of the run would not belong to its beginning; or if the file cannot be read
/// or written.
pub fn same_images(dir: &RunDir, images: &Images, ranks: &dyn Ranks) -> Result<()> {
    let splits = &images.splits;
    let parts = [("train", &splits.train), ("validation", &splits.validation), ("test", &splits.test)];
    let parts = parts.map(|(part, set)| (part.to_owned(), set.fingerprint()));
    if ranks.is_first() {
        same_as_noted(dir, &parts.clone().into())?;
    }
    Ok(same_on_all(ranks, "images", parts.map(|(_, fingerprint)| fingerprint).concat().as_bytes())?)
}

fn same_as_noted(dir: &RunDir, found: &BTreeMap<String, String>) -> Result<()> {
    let path = dir.path(IMAGES);
    if !path.exists() {
        return dir.write_json(IMAGES, found);
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let noted: BTreeMap<String, String> = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    match found.iter().find(|(part, fingerprint)| noted.get(*part) != Some(*fingerprint)) {
        None => Ok(()),
        Some((part, _)) => bail!(
            "the {part} images are not those the run started with (files were added, removed, renamed or changed): \
             restore them, name their directory with --data if they moved, or start a new run"
        ),
    }
}
