//! What a cell leaves behind.

use crate::ablation::record::CellRecord;
use crate::machine::environment::Machine;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::iter::Sum;
use std::ops::Add;
use std::path::Path;

/// Written last: a cell with this file is complete.
pub(super) const RECORD: &str = "design.json";

/// Compute that was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// Multiply-accumulate operations of all passes over images.
    pub macs: f64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Time of all processors together, in seconds. Work lost in a kill is not in it.
    pub processor_seconds: f64,
}

impl Add for Spent {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            macs: self.macs + other.macs,
            seconds: self.seconds + other.seconds,
            processor_seconds: self.processor_seconds + other.processor_seconds,
        }
    }
}

impl Sum for Spent {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl From<&CellRecord> for Spent {
    /// The training of a cell of `ablate_shrinking`, which notes no processor time: its threads are counted as busy.
    fn from(record: &CellRecord) -> Self {
        let seconds = record.seconds[0];
        Self { macs: record.budget.macs, seconds, processor_seconds: seconds * record.machine.threads as f64 }
    }
}

/// A complete cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesignRecord {
    /// Name of the method; `ofa` for the once-for-all network.
    pub method: String,
    /// Multiple of the configured lengths.
    pub budget: f64,
    /// Seed.
    pub seed: u64,
    /// Factor on the rates that trials choose.
    pub factor: f64,
    /// What is spent for all targets together.
    pub once: Spent,
    /// The networks designed.
    pub networks: Vec<Designed>,
    /// Peak resident memory of the process while it worked on the cell, in MiB; `None` where unknown.
    pub peak_mib: Option<f64>,
    /// Digest of what the code computes, see `identity.json`.
    pub code: String,
    /// The machine it ran on.
    pub machine: Machine,
    /// Where and how a training diverged, if one did; there are then no networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverged: Option<String>,
}

/// A network designed for a target, and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Designed {
    /// Index of the target.
    pub target: usize,
    /// `plain` or `fine_tuned` for those of a once-for-all network, `alone` for all others.
    pub trained: String,
    /// Limit on the latency by the table, in milliseconds.
    pub limit_ms: f64,
    /// The arch as text.
    pub arch: String,
    /// Latency by the table, in milliseconds.
    pub table_ms: f64,
    /// Measured median latency of the whole network, at the pace of the table, in milliseconds.
    pub measured_ms: f64,
    /// Top-1 on validation images after calibration, between 0 and 1: what budgets are judged by.
    pub validation_top1: f64,
    /// The same on test images.
    pub test_top1: f64,
    /// Spent on finding it.
    pub search: Spent,
    /// Spent on training it.
    pub training: Spent,
}

/// A row of `networks.csv`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DesignedRow {
    method: String,
    budget: f64,
    seed: u64,
    factor: f64,
    target: usize,
    trained: String,
    limit_ms: f64,
    table_ms: f64,
    measured_ms: f64,
    validation_top1: f64,
    test_top1: f64,
    once_tmacs: f64,
    search_tmacs: f64,
    training_tmacs: f64,
    once_processor_hours: f64,
    search_processor_hours: f64,
    training_processor_hours: f64,
    peak_mib: Option<f64>,
    arch: String,
}

impl DesignRecord {
    /// Reads the cell in a directory; `None` if it is not complete.
    ///
    /// # Errors
    ///
    /// If the file is damaged; the error names it.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(RECORD);
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).map(Some).with_context(|| path.display().to_string())
    }

    /// All that the cell spent.
    pub(super) fn spent(&self) -> Spent {
        self.networks.iter().map(|network| network.search + network.training).chain([self.once]).sum()
    }

    /// One row per network.
    pub(super) fn rows(&self) -> impl Iterator<Item = DesignedRow> {
        let (tmacs, hours) = (|spent: Spent| spent.macs / 1e12, |spent: Spent| spent.processor_seconds / 3600.0);
        self.networks.iter().map(move |network| DesignedRow {
            method: self.method.clone(),
            budget: self.budget,
            seed: self.seed,
            factor: self.factor,
            target: network.target,
            trained: network.trained.clone(),
            limit_ms: network.limit_ms,
            table_ms: network.table_ms,
            measured_ms: network.measured_ms,
            validation_top1: network.validation_top1,
            test_top1: network.test_top1,
            once_tmacs: tmacs(self.once),
            search_tmacs: tmacs(network.search),
            training_tmacs: tmacs(network.training),
            once_processor_hours: hours(self.once),
            search_processor_hours: hours(network.search),
            training_processor_hours: hours(network.training),
            peak_mib: self.peak_mib,
            arch: network.arch.clone(),
        })
    }
}
