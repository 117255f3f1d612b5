//! [`NetworkLatencies`]: measured latencies of whole networks.

use super::timed_rows::{TimedFormat, TimedRows, checked};
use super::{LatencyHeader, LatencyTable, NetworkFit};
use crate::SearchError;
use crate::tables::table_file::Format;
use crate::timing::{Latency, LatencyConfig, TimedRun};
use ofa_model::{Arch, SearchSpace};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::ops::ControlFlow;
use std::path::Path;

/// Measured latencies of whole networks, from which [`LatencyTable::from_networks`] estimates those of units: for a
/// device on which parts of a network take other times alone than within it, because a compiler works across them.
#[derive(Clone, Debug)]
pub struct NetworkLatencies {
    header: LatencyHeader,
    networks: Vec<(Arch, Latency)>,
}

struct NetworkFormat;

#[derive(Serialize, Deserialize)]
struct NetworkRow {
    arch: String,
    median_ms: f64,
    iqr_ms: f64,
    samples: usize,
}

impl Format for NetworkFormat {
    const TITLE: &'static str = "network latencies 1";
    const COLUMNS: &'static [&'static str] = &["arch", "median_ms", "iqr_ms", "samples"];
    const RESULTS: &'static [&'static str] = &["pace_ms"];
    type Header = LatencyHeader;
    type Row = NetworkRow;
}

impl TimedFormat for NetworkFormat {
    type Key = Arch;

    fn name(arch: &Arch) -> impl Display {
        arch
    }

    fn row(arch: &Arch, &Latency { median_ms, iqr_ms, samples }: &Latency) -> NetworkRow {
        NetworkRow { arch: arch.to_string(), median_ms, iqr_ms, samples }
    }

    fn check(&NetworkRow { ref arch, median_ms, iqr_ms, samples }: &NetworkRow) -> Result<(Arch, Latency), String> {
        let latency = checked(arch, Latency { median_ms, iqr_ms, samples })?;
        Ok((arch.parse().map_err(|error: ofa_model::ModelError| error.to_string())?, latency))
    }
}

impl NetworkLatencies {
    /// Times `archs` of `space` on the device called `device`, and appends the rows to the CSV file `path`.
    ///
    /// `run` gives the forward pass of an arch; that of the smallest arch is the [`Pacemaker`](crate::timing::Pacemaker).
    /// Networks are timed in groups, interleaved within a group; an existing file is resumed. After each network,
    /// `progress` receives the number of networks done, their total, the arch and its latency; it can stop the
    /// measurement at the end of the group.
    ///
    /// # Errors
    ///
    /// If an arch is outside the space; if the file was measured for another space, device, batch or thread count
    /// (naming which), is damaged (naming the line) or cannot be written; if a setting is impossible or a run fails; or
    /// [`SearchError::Stopped`] if `progress` asked to stop.
    pub fn measure<'a>(
        path: &Path,
        space: &SearchSpace,
        device: &str,
        config: &LatencyConfig,
        archs: &[Arch],
        run: impl Fn(&Arch) -> Result<TimedRun<'a>, SearchError>,
        progress: impl FnMut(usize, usize, &Arch, &Latency) -> ControlFlow<()>,
    ) -> Result<Self, SearchError> {
        archs.iter().try_for_each(|arch| space.check(arch))?;
        let header = LatencyHeader::new(space, device, config);
        let pace = || run(&space.smallest());
        let rows = TimedRows::<NetworkFormat>::measure(path, &header, config, archs, pace, &run, progress)?;
        let networks = archs.iter().map(|arch| (arch.clone(), rows.latencies[arch])).collect();
        Ok(Self { header: rows.header, networks })
    }

    /// Archs and their median latencies in milliseconds, in the order in which they were asked for.
    pub fn medians(&self) -> Vec<(Arch, f64)> {
        self.networks.iter().map(|(arch, latency)| (arch.clone(), latency.median_ms)).collect()
    }

    /// The table that is estimated from them: see [`LatencyTable::from_networks`].
    ///
    /// # Errors
    ///
    /// Those of [`LatencyTable::from_networks`].
    pub fn table(&self, space: &SearchSpace, seed: u64) -> Result<NetworkFit, SearchError> {
        LatencyTable::from_networks(space, self.header.clone(), &self.medians(), seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::cell::Cell;
    use std::path::PathBuf;
    use std::time::Duration;

    struct Fixture {
        dir: tempfile::TempDir,
        space: SearchSpace,
        archs: Vec<Arch>,
        /// Networks that were built.
        built: Cell<usize>,
    }

    impl Fixture {
        fn new() -> Self {
            let space = SearchSpace::small_mobilenet_v3(1, 10);
            let rng = &mut ChaCha8Rng::seed_from_u64(1);
            let archs = (0..40).map(|_| space.sample(rng)).collect();
            Self { dir: tempfile::tempdir().unwrap(), space, archs, built: Cell::new(0) }
        }

        fn path(&self) -> PathBuf {
            self.dir.path().join("networks.csv")
        }

        /// A device that takes a nanosecond for ten MACs, times `factor`.
        fn measure(&self, device: &str, factor: f64, stop_after: usize) -> Result<NetworkLatencies, SearchError> {
            let config = LatencyConfig { warmup: 0, min_samples: 2, max_samples: 2, ..LatencyConfig::default() };
            let run = |arch: &Arch| -> Result<TimedRun, SearchError> {
                self.built.set(self.built.get() + 1);
                let time = Duration::from_secs_f64(1e-10 * factor * self.space.cost(arch).macs as f64);
                Ok(Box::new(move || Ok(time)))
            };
            let progress = |done, total, _: &Arch, _: &Latency| {
                assert_eq!(total, 40);
                if done == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            NetworkLatencies::measure(&self.path(), &self.space, device, &config, &self.archs, run, progress)
        }
    }

    #[test]
    fn networks_are_timed_once_and_give_a_table() {
        let fixture = Fixture::new();
        let measured = fixture.measure("board", 1.0, 0).unwrap();
        let ms = |arch: &Arch| 1e-7 * fixture.space.cost(arch).macs as f64;
        for ((arch, median), asked) in measured.medians().iter().zip(&fixture.archs) {
            assert_eq!(arch, asked);
            assert!((median - ms(arch)).abs() < 1e-5 * ms(arch), "{arch}: {median}");
        }
        let fit = measured.table(&fixture.space, 1).unwrap();
        let header = fit.table.header();
        assert_eq!((header.device.as_str(), fit.table.units().len()), ("board", 171));
        assert!((header.pace_ms.unwrap() - ms(&fixture.space.smallest())).abs() < 1e-5);
        assert!(fit.report.kendall_tau > 0.99, "{:?}", fit.report);
        fixture.built.set(0);
        let again = fixture.measure("board", 5.0, 0).unwrap();
        assert_eq!((again.medians(), fixture.built.get()), (measured.medians(), 1), "only the pacemaker is built");
    }

    #[test]
    fn a_stopped_measurement_goes_on_at_the_pace_that_it_began_with() {
        let fixture = Fixture::new();
        let stopped = fixture.measure("board", 1.0, 3).unwrap_err();
        assert!(matches!(stopped, SearchError::Stopped { done: 16, total: 40, .. }), "{stopped}");
        // The machine has become twice as slow, for the pacemaker as well.
        let whole = fixture.measure("board", 2.0, 0).unwrap();
        for (arch, median) in whole.medians() {
            let ms = 1e-7 * fixture.space.cost(&arch).macs as f64;
            assert!((median - ms).abs() < 1e-5 * ms, "{arch}: {median}, not {ms}");
        }
        let other = fixture.measure("phone", 1.0, 0).unwrap_err().to_string();
        assert!(other.contains(r#"the table's device is "board", not "phone""#), "{other}");
    }

    #[test]
    fn rows_that_hold_no_network_are_named() {
        let fixture = Fixture::new();
        fixture.measure("board", 1.0, 0).unwrap();
        let text = std::fs::read_to_string(fixture.path()).unwrap();
        let first = fixture.archs[0].to_string();
        for (from, to, says) in [(first.as_str(), "brick", "brick"), (",2\n", ",many\n", "csv:3")] {
            std::fs::write(fixture.path(), text.replacen(from, to, 1)).unwrap();
            let message = fixture.measure("board", 1.0, 0).unwrap_err().to_string();
            assert!(message.contains("networks.csv:3") && message.contains(says), "{message}");
        }
    }
}
