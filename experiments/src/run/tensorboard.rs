//! Writes the metrics of a run as a TensorBoard event file: `tensorboard --logdir runs` shows all runs side by side.
//!
//! The existing crates cannot append to an existing file, and need protoc (`tboard`) or an unmaintained protobuf
//! (`tensorboard-rs`). Scalars use only a small part of the format, so we write it ourselves.

mod event;

use crate::run::run_dir::{RunDir, write_whole};
use crate::run::watched::watched_name;
use anyhow::{Context, Result};
use event::Point;
use ofa_model::Arch;
use serde::{Deserialize, de::DeserializeOwned};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Named as TensorBoard expects, and the same in every attempt of a run, so no data shows twice.
const FILE: &str = "tensorboard/events.out.tfevents.0.run";

/// A row of `metrics.csv`.
#[derive(Deserialize)]
struct EpochRow {
    #[serde(rename = "stage")]
    phase: String,
    epoch: usize,
    learning_rate: f64,
    loss: f64,
    label_loss: f64,
    teacher_loss: f64,
    train_top1: f64,
    seconds: f64,
}

/// A row of `watched.csv`.
#[derive(Deserialize)]
struct WatchedRow {
    #[serde(rename = "stage")]
    phase: String,
    /// Absent if measured at the end of the phase.
    #[serde(default)]
    epoch: Option<usize>,
    arch: String,
    top1: f64,
}

/// Updates the event file to the contents of `metrics.csv` and `watched.csv`; `archs` are the watched archs, in order.
///
/// Steps are epochs since the start of the run; wall times count training only. New points are appended, so an open
/// TensorBoard shows them. After a resume from an earlier checkpoint the file is rewritten.
///
/// # Errors
///
/// If a file cannot be read or written.
pub fn update(dir: &RunDir, archs: &[Arch]) -> Result<()> {
    let epochs: Vec<EpochRow> = rows(&dir.path("metrics.csv"))?;
    let watched: Vec<WatchedRow> = rows(&dir.path("watched.csv"))?;
    let config = dir.path("config.toml");
    let began = fs::metadata(&config).and_then(|meta| meta.modified());
    let began = began.with_context(|| format!("cannot read {}", config.display()))?;
    let began = began.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let path = dir.path(FILE);
    let parent = path.parent().context("the event file has a directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    extend(&path, &event::file(began, &points(began, &epochs, &watched, archs)))
}

/// The scalars, in the order they were measured.
fn points(began: f64, epochs: &[EpochRow], watched: &[WatchedRow], archs: &[Arch]) -> Vec<Point> {
    let mut points = Vec::new();
    let mut time = began;
    for (i, epoch) in epochs.iter().enumerate() {
        time += epoch.seconds;
        let mut add = |tag: &str, value| points.push(Point { tag: tag.to_owned(), step: i as u64 + 1, time, value });
        add("train/loss", epoch.loss);
        add("train/label_loss", epoch.label_loss);
        // Phases without a teacher record 0.
        if epoch.teacher_loss != 0.0 {
            add("train/teacher_loss", epoch.teacher_loss);
        }
        add("train/top1", epoch.train_top1);
        add("learning_rate", epoch.learning_rate);
        let is_last = epochs[i + 1..].iter().all(|later| later.phase != epoch.phase);
        let now = |row: &&WatchedRow| row.phase == epoch.phase && row.epoch.map_or(is_last, |e| e == epoch.epoch);
        for row in watched.iter().filter(now) {
            let name = watched_name(&row.arch, archs).replace(' ', "_");
            add(&format!("watched/{name}"), row.top1);
        }
    }
    points
}

/// The rows of a CSV file with a header; empty if the file does not exist.
fn rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let context = || format!("{}", path.display());
    match fs::read(path) {
        Ok(bytes) => {
            csv::Reader::from_reader(&bytes[..]).into_deserialize().collect::<Result<_, _>>().with_context(context)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(context),
    }
}

/// Makes a file hold `bytes`: appends the rest if it already holds a prefix of them, else replaces it.
fn extend(path: &Path, bytes: &[u8]) -> Result<()> {
    let present = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read.with_context(|| format!("cannot read {}", path.display()))?,
    };
    match bytes.strip_prefix(&present[..]) {
        Some(rest) if !present.is_empty() => {
            let append = |mut file: fs::File| file.write_all(rest).and_then(|()| file.sync_all());
            let written = fs::OpenOptions::new().append(true).open(path).and_then(append);
            written.with_context(|| format!("cannot write {}", path.display()))
        }
        _ => write_whole(path, bytes),
    }
}

#[cfg(test)]
mod tests;
