//! Latencies that are measured in groups and written row by row, whatever is timed: units or whole networks.

use super::LatencyHeader;
use crate::SearchError;
use crate::tables::table_file::{self, Content, Format, invalid};
use crate::timing::{Latency, LatencyConfig, Pacemaker, TimedRun, time_interleaved};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::ControlFlow;
use std::path::Path;

/// Keys timed together, all in memory at the same time.
pub(super) const GROUP: usize = 16;

/// A file with a latency per row.
pub(super) trait TimedFormat: Format<Header = LatencyHeader> {
    /// What is timed.
    type Key: Ord + Clone;
    /// How errors name a key.
    fn name(key: &Self::Key) -> impl Display;
    /// The row of a key.
    fn row(key: &Self::Key, latency: &Latency) -> Self::Row;
    /// Key and latency of a row, or what is wrong with it.
    fn check(row: &Self::Row) -> Result<(Self::Key, Latency), String>;
}

/// The rows of a file.
pub(super) struct TimedRows<F: TimedFormat> {
    pub(super) header: LatencyHeader,
    pub(super) latencies: BTreeMap<F::Key, Latency>,
    /// The unfinished last line of a killed run. `None` if absent.
    pub(super) dropped_line: Option<String>,
}

impl<F: TimedFormat> TimedRows<F> {
    /// Times those of `keys` that are not yet in the file `path`, in this order, and appends their rows. `header` is
    /// without a pace: a new file takes that of `pace` now, an existing one keeps its own, or its lack of one.
    ///
    /// Each group is written when it is complete. After each key, `progress` receives the number of keys done, their
    /// total, the key and its latency; it can stop the measurement at the end of the group.
    pub(super) fn measure<'a>(
        path: &Path,
        header: &LatencyHeader,
        config: &LatencyConfig,
        keys: &[F::Key],
        pace: impl Fn() -> Result<TimedRun<'a>, SearchError>,
        run: impl Fn(&F::Key) -> Result<TimedRun<'a>, SearchError>,
        mut progress: impl FnMut(usize, usize, &F::Key, &Latency) -> ControlFlow<()>,
    ) -> Result<Self, SearchError> {
        config.validate()?;
        let now = if path.exists() { None } else { Some(Pacemaker::new(pace()?, config)?) };
        let header = LatencyHeader { pace_ms: now.map(|pacemaker| pacemaker.usual_ms()), ..header.clone() };
        let (content, mut appender) = table_file::open::<F>(path, &header)?;
        let mut table = Self::from_content(path, content)?;
        let mut pacemaker = match table.header.pace_ms {
            Some(usual_ms) => Some(Pacemaker::at(pace()?, usual_ms)),
            None => None,
        };
        let missing: Vec<&F::Key> = keys.iter().filter(|key| !table.latencies.contains_key(key)).collect();
        let mut done = keys.len() - missing.len();
        for group in missing.chunks(GROUP) {
            let mut runs = group.iter().map(|key| run(key)).collect::<Result<Vec<_>, _>>()?;
            let timings = time_interleaved(config, &mut runs, pacemaker.as_mut())?;
            let mut stopped = false;
            for (key, timing) in group.iter().zip(timings) {
                let latency = timing.at_usual_pace;
                appender.append(&F::row(key, &latency))?;
                done += 1;
                stopped |= progress(done, keys.len(), key, &latency).is_break();
                table.latencies.insert((*key).clone(), latency);
            }
            if stopped && done < keys.len() {
                return Err(SearchError::Stopped { path: path.to_owned(), done, total: keys.len() });
            }
        }
        Ok(table)
    }

    /// Checks what was read from `path`.
    pub(super) fn from_content(path: &Path, content: Content<F>) -> Result<Self, SearchError> {
        content.header.check().map_err(|problem| invalid(path, 1, problem))?;
        let mut latencies = BTreeMap::new();
        for (line, row) in content.rows {
            let (key, latency) = F::check(&row).map_err(|problem| invalid(path, line, problem))?;
            let before = latencies.insert(key.clone(), latency).filter(|before| *before != latency);
            if let Some(before) = before {
                return Err(SearchError::ConflictingRows {
                    path: path.to_owned(),
                    line,
                    key: F::name(&key).to_string(),
                    found: format!("{} ms", latency.median_ms),
                    before: format!("{} ms", before.median_ms),
                });
            }
        }
        Ok(Self { header: content.header, latencies, dropped_line: content.dropped })
    }
}

/// The latency of `name` in a row, or what is wrong with it.
pub(super) fn checked(name: impl Display, latency: Latency) -> Result<Latency, String> {
    let Latency { median_ms, iqr_ms, .. } = latency;
    if median_ms.is_finite() && median_ms >= 0.0 && iqr_ms.is_finite() && iqr_ms >= 0.0 {
        return Ok(latency);
    }
    Err(format!("`{name}` has a latency of {median_ms} ms with an interquartile range of {iqr_ms} ms"))
}
